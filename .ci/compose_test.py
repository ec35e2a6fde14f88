#!/usr/bin/env python3
"""Builds and runs the containers for real and looks at them from outside: `make compose-test`.

Needs Docker Engine with compose (`docker compose` or docker-compose 1.29) on this same host, whose
numbers the sampler has to find. What it starts and stores is gone at the end. Options for
`docker build`, as `--network host`, are taken from DOCKER_BUILD_OPTIONS. Where no image registry
can be reached, `.ci/base-images` makes stand-ins for the base images first.
"""

import http.cookiejar
import json
import os
import re
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from datetime import datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROJECT = "perfwatch-test"
OWN = ("web", "sampler", "beat", "worker")
SECRETS = ("POSTGRES_PASSWORD", "SECRET_KEY")
MOST_ADDED_MB, MOST_SECONDS = 150, 10
CAPABILITIES = {"SYS_ADMIN": 21, "PERFMON": 38}  # linux/capability.h


def run(*command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command without this shell's own settings for PerfWatch; show what it says if wrong."""
    kept = {name: value for name, value in os.environ.items() if name not in SECRETS}
    done = subprocess.run(command, cwd=ROOT, env=kept, text=True, capture_output=True, check=False)
    if check and done.returncode:
        raise SystemExit(f"{shlex.join(command)} failed:\n{done.stdout}\n{done.stderr}")
    return done


def say(what: str) -> None:
    """Report one thing that holds."""
    print(f"  {what}", flush=True)


def expect(condition: object, what: str) -> None:
    """End the test where something does not hold."""
    if not condition:
        raise SystemExit(f"NOT TRUE: {what}")
    say(what)


def wait(condition: object, seconds: float, what: str) -> None:
    """Wait until `condition` holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"NOT TRUE within {seconds:.0f} s: {what}")
        time.sleep(0.2)
    say(what)


class Compose:
    """The project under test, with a .env of its own in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        has_plugin = run("docker", "compose", "version", check=False).returncode == 0
        self.program = ["docker", "compose"] if has_plugin else ["docker-compose"]
        self.env_file = folder / "env"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        version = run("docker", "version", "--format", "{{.Server.Version}}").stdout
        # Older engines do not know the name PERFMON.
        self.capability = "SYS_ADMIN" if int(version.partition(".")[0]) < 23 else "PERFMON"
        self.values = {name: secrets.token_hex(32) for name in SECRETS} | {
            "PERFWATCH_PORT": str(self.port),
            "PERF_CAPABILITY": self.capability,
        }
        self.opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        )

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of compose."""
        return [
            *(*self.program, "--project-name", PROJECT, "--project-directory", str(ROOT)),
            *("--file", "compose.yaml", "--env-file", str(self.env_file), *arguments),
        ]

    def __call__(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run compose."""
        return run(*self.command(*arguments), check=check)

    def write(self, *, without: str = "") -> None:
        """Write .env as somebody would who has copied .env.example, but for one value."""
        lines = [f"{name}={value}" for name, value in self.values.items() if name != without]
        self.env_file.write_text((ROOT / ".env.example").read_text() + "\n".join(lines) + "\n")

    def inside(self, service: str, *command: str, check: bool = True) -> str:
        """Return what a command says inside a container."""
        done = self("exec", "-T", service, *command, check=check)
        return (done.stdout + done.stderr).strip()

    def sql(self, statement: str) -> str:
        """Return what the database answers."""
        return self.inside("db", "psql", "-U", "perfwatch", "-At", "-c", statement)

    def inspect(self, service: str) -> dict:
        """Return what the engine knows of a container."""
        name = self("ps", "--quiet", service).stdout.strip()
        return json.loads(run("docker", "inspect", name).stdout)[0]

    def get(self, path: str, data: dict[str, str] | None = None) -> tuple[int, str]:
        """Return status and text of a page; 0 where nobody answers."""
        url = f"http://127.0.0.1:{self.port}{path}"
        body = urllib.parse.urlencode(data).encode() if data else None
        try:
            with self.opener.open(url, body, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def up(self) -> float:
        """Start everything; return the seconds from the start of `web` to its first page."""
        starting = subprocess.Popen(
            self.command("up", "--detach", "--no-build"),
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait(lambda: self.get("/login/")[0] == 200 or starting.poll(), 180, "a page is served")
        first_page = time.time()
        _, errors = starting.communicate(timeout=180)
        if starting.returncode:
            raise SystemExit(f"up failed:\n{errors}\n{self('logs', check=False).stdout[-5000:]}")
        started = self.inspect("web")["State"]["StartedAt"][:26].rstrip("Z")
        return first_page - datetime.fromisoformat(f"{started}+00:00").timestamp()


def refuses_to_start_without_secrets(compose: Compose) -> None:
    for name in SECRETS:
        compose.write(without=name)
        done = compose("config", "--quiet", check=False)
        named = done.returncode and f"{name} is missing in .env" in done.stderr
        expect(named, f"without {name} compose refuses to start and names it")
    compose.write()
    compose("config", "--quiet")


def builds_a_small_image(compose: Compose) -> None:
    options = shlex.split(os.environ.get("DOCKER_BUILD_OPTIONS", ""))
    run("docker", "build", *options, "--tag", "perfwatch", ".")
    base = re.findall(r"^FROM (\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[-1]
    sizes = [
        int(run("docker", "image", "inspect", "--format", "{{.Size}}", name).stdout)
        for name in (base, "perfwatch")
    ]
    added = (sizes[1] - sizes[0]) / 1e6
    expect(
        added <= MOST_ADDED_MB,
        f"the image adds {added:.0f} MB to its base of {sizes[0] / 1e6:.0f} MB",
    )
    look = "command -v gcc cc make node npm; ls /opt/venv/bin/pip* /opt/perfwatch/.env"
    found = run(
        "docker", "run", "--rm", "--network", "none", "perfwatch", "sh", "-c", look, check=False
    )
    expect(not found.stdout.strip(), "the image holds no build tools and no .env")


def samples_whatever_it_is_forbidden(compose: Compose) -> None:
    """Without compose: bare, without rights to its files, with few of them, and with the right."""
    text = (ROOT / "docs/containers.md").read_text().replace("\\\n", " ")
    giving, handing_on = re.search(
        r"(--user root --cap-add PERFMON) perfwatch +(setpriv .+) python manage.py serve", text
    ).groups()
    given = shlex.split(giving.replace("PERFMON", compose.capability))
    handed_on = shlex.split(handing_on.replace("PERFMON", compose.capability))
    filtered = "A seccomp filter forbids perf_event_open"
    other_user = ("--user", "12345", "--read-only", "--tmpfs", "/data:uid=12345,mode=700")
    for name, options, before, why in (
        ("as it is", (), (), filtered),
        ("as another user, read-only", other_user, (), filtered),
        ("with 64 file descriptors", (*given, "--ulimit", "nofile=64:64"), handed_on, None),
        ("as docs/containers.md gives it the capability", given, handed_on, ""),
    ):
        sample = (*before, "python", "manage.py", "sample")
        done = run("docker", "run", "--rm", "--network", "none", *options, "perfwatch", *sample)
        data = json.loads(done.stdout)
        statuses = {k: v for k, v in data["sampler"]["status"].items() if k != "pressure"}
        events = data["perf_events"]
        as_said = why is None or (events["reason"].startswith(why) if why else events["available"])
        expect(
            set(statuses.values()) == {"ok"} and as_said,
            f"the image alone, {name}, samples; events: {events['cpus'] or events['reason']}",
        )


def logs_in(compose: Compose) -> None:
    password = compose.inside("web", "cat", "/data/initial-admin-password")
    _, page = compose.get("/login/")
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    form = {
        "username": "admin",
        "password": password,
        "csrfmiddlewaretoken": token[1] if token else "",
    }
    compose.get("/login/", form)
    status, page = compose.get("/")
    expect(status == 200 and "Log out" in page, "the first administrator can log in")
    scripts = re.findall(r'src="(/static/[^"]+\.js)"', page)
    expect(
        scripts and all(compose.get(script)[0] == 200 for script in scripts),
        f"the page's {len(scripts)} scripts are served",
    )


def tells_the_numbers_of_the_host(compose: Compose) -> None:
    two = "(SELECT count(*) FROM metrics_snapshot) > 1"
    wait(lambda: compose.sql(f"SELECT {two}") == "t", 30, "samples are stored")
    document = json.loads(
        compose.sql("SELECT metric_data FROM metrics_snapshot ORDER BY id DESC LIMIT 1")
    )
    meminfo = dict(re.findall(r"^(\w+):\s+(\d+)", Path("/proc/meminfo").read_text(), re.MULTILINE))
    total = document["memory"]["total_bytes"]
    expect(total == int(meminfo["MemTotal"]) * 1024, f"its memory: {total} bytes")
    cpus = len(document["cpu"]["per_core"])
    expect(cpus == os.sysconf("SC_NPROCESSORS_CONF"), f"its CPUs: {cpus}")
    size = os.statvfs("/")
    root = document["disk"]["partitions"]["/"]["total_bytes"]
    expect(root == size.f_blocks * size.f_frsize, f"its filesystem /: {root} bytes")
    lines = Path("/proc/1/net/dev").read_text().splitlines()[2:]
    here = {line.partition(":")[0].strip() for line in lines}
    there = set(document["network"]["interfaces"])
    # Containers that come and go bring interfaces along.
    expect(
        len(there & here) >= len(here - there) and "lo" in there, f"its interfaces: {sorted(there)}"
    )
    hostname = json.loads(compose.sql("SELECT value FROM config WHERE key = 'system_info'"))[
        "hostname"
    ]
    expect(hostname == Path("/etc/hostname").read_text().strip(), f"its name: {hostname}")
    wrong = {
        k: v for k, v in document["sampler"]["status"].items() if v != "ok" and k != "pressure"
    }
    expect(not wrong, f"every collector works {wrong or ''}")
    switches = document["perf_events"]["context_switches"]
    expect(switches is not None, f"performance events are counted: {switches} context switches")


def may_do_nothing_else(compose: Compose) -> None:
    for service in OWN:
        status = compose.inside(service, "cat", "/proc/1/status")
        users = re.search(r"^Uid:\t(.*)$", status, re.MULTILINE)[1].split()
        bits = int(re.search(r"^CapEff:\t(.*)$", status, re.MULTILINE)[1], 16)
        own = 1 << CAPABILITIES[compose.capability] if service == "sampler" else 0
        expect(
            set(users) == {"10001"} and bits == own, f"{service} is not root, capabilities {bits:x}"
        )
        writes = compose.inside(service, "touch", "/opt/perfwatch/x", check=False)
        expect("Read-only file system" in writes, f"{service} cannot write to its image")
    for path in ("/host/root/x", "/host/sys/x"):
        writes = compose.inside("sampler", "touch", path, check=False)
        expect("Read-only file system" in writes, f"the sampler cannot write to {path[:-2]}")
    for service in ("web", "beat", "worker"):
        mounts = [mount["Source"] for mount in compose.inspect(service)["Mounts"]]
        expect(not {"/", "/proc", "/sys"} & set(mounts), f"{service} does not see the host")


def publishes_only_the_pages(compose: Compose) -> None:
    for service in (*OWN, "db", "redis"):
        found = compose.inspect(service)
        ports = {key: value for key, value in found["NetworkSettings"]["Ports"].items() if value}
        networks = {
            name.removeprefix(f"{PROJECT}_") for name in found["NetworkSettings"]["Networks"]
        }
        if service == "web":
            where = [(key, one["HostIp"]) for key, value in ports.items() for one in value]
            expect(where == [("8000/tcp", "127.0.0.1")], "web is published on loopback alone")
        else:
            expect(
                not ports and networks == {"inside"}, f"{service} is on the internal network alone"
            )
    network = run("docker", "network", "inspect", f"{PROJECT}_inside").stdout
    expect(json.loads(network)[0]["Internal"], "the internal network leads nowhere")


def sets_up_postgresql(compose: Compose) -> None:
    text = (ROOT / "docs/operations.md").read_text()
    wanted = re.findall(r"ALTER SYSTEM SET (\w+) = '?([\w.]+)'?;", text)
    for name, value in wanted:
        same = f"SELECT pg_size_bytes(current_setting('{name}')) = pg_size_bytes('{value}')"
        found = compose.sql(f"SHOW {name}")
        plain = (
            found.removesuffix("s").replace("1", "1000") if name.startswith("log_min") else found
        )
        expect(plain == value or compose.sql(same) == "t", f"{name} is {found}")


def is_healthy(compose: Compose) -> None:
    for service in (*OWN, "db", "redis"):
        wait(
            lambda service=service: (
                compose.inspect(service)["State"]["Health"]["Status"] == "healthy"
            ),
            120,
            f"{service} is healthy",
        )


def keeps_the_data(compose: Compose) -> None:
    first = compose.sql("SELECT min(id), min(timestamp) FROM metrics_snapshot")
    started = time.monotonic()
    compose("stop")
    say(f"everything stops within {time.monotonic() - started:.1f} s")
    compose("down")
    took = compose.up()
    say(f"the second start takes {took:.1f} s to the first page")
    expect(
        compose.sql("SELECT min(id), min(timestamp) FROM metrics_snapshot") == first,
        "the samples are still there after down and up",
    )
    status, page = compose.get("/")
    expect(status == 200 and "Log out" in page, "who was logged in still is")
    wait(lambda: compose.get("/readyz")[0] == 200, 60, "samples arrive again")


def logs_no_trace(compose: Compose) -> None:
    lines = compose("logs", "--no-color").stdout.splitlines()
    traces = [line for line in lines if "Traceback" in line]
    expect(lines and not traces, f"the log of {len(lines)} lines holds no trace {traces or ''}")


def answers_the_commands_of_operations(compose: Compose) -> None:
    for service, command in (
        ("web", "cleanup --dry-run"),
        ("web", "maintain vacuum"),
        ("web", "showmigrations metrics"),
        ("sampler", "doctor"),
    ):
        compose.inside(service, "python", "manage.py", *command.split())
        say(f"docker compose exec {service} python manage.py {command}")


def main() -> None:
    """Do it all; whatever happens, nothing is left."""
    if not shutil.which("docker") or run("docker", "version", check=False).returncode:
        sys.exit("There is no Docker Engine here that answers (`docker version` says why).")
    with tempfile.TemporaryDirectory() as folder:
        compose = Compose(Path(folder))
        refuses_to_start_without_secrets(compose)
        builds_a_small_image(compose)
        samples_whatever_it_is_forbidden(compose)
        try:
            took = compose.up()
            expect(took <= MOST_SECONDS, f"from start to the first page: {took:.1f} s")
            expect(compose.get("/healthz")[0] == 200, "/healthz answers")
            wait(
                lambda: compose.get("/readyz")[0] == 200, 60, "samples arrive: /readyz answers 200"
            )
            logs_in(compose)
            tells_the_numbers_of_the_host(compose)
            may_do_nothing_else(compose)
            publishes_only_the_pages(compose)
            sets_up_postgresql(compose)
            answers_the_commands_of_operations(compose)
            is_healthy(compose)
            keeps_the_data(compose)
            logs_no_trace(compose)
        except SystemExit:
            print(compose("ps", "--all", check=False).stdout or compose("ps", check=False).stdout)
            print(compose("logs", "--tail", "30", check=False).stdout)
            raise
        finally:
            compose("down", "--volumes", "--timeout", "10", check=False)
    print("The containers do what docs/containers.md says.")


if __name__ == "__main__":
    main()
