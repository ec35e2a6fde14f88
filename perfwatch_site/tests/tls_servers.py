"""PostgreSQL and Redis that speak TLS: those of the system, the wheels' cannot."""

import os
import secrets
import shutil
import signal
import subprocess
from pathlib import Path

from perfwatch_site.tests.servers import missing
from perfwatch_site.tests.workplace import free_port, port_answers, start_server, wait_for

WAY = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


class Certificates:
    """A CA, a certificate by it for 127.0.0.1 alone, and a CA that has nothing to do with it."""

    def __init__(self, folder):
        if not shutil.which("openssl"):
            missing("no openssl on PATH to make certificates with (Debian: openssl)")
        folder.chmod(0o755)
        self.ca, self.other_ca = folder / "ca.crt", folder / "other-ca.crt"
        self.certificate, self.key = folder / "server.crt", folder / "server.key"
        for name in ("ca", "other-ca"):
            self._make(folder, name, "/CN=A CA of tests")
        signed = ["-CA", self.ca, "-CAkey", folder / "ca.key"]
        names = ["-addext", "subjectAltName=IP:127.0.0.1"]
        self._make(folder, "server", "/CN=server", *signed, *names)

    def _make(self, folder, name, subject, *options):
        files = ["-keyout", folder / f"{name}.key", "-out", folder / f"{name}.crt"]
        command = [*WAY, "-subj", subject, *files, *options]
        subprocess.run(command, check=True, capture_output=True)


def start_postgresql(folder, certificates):
    """Start PostgreSQL that takes TLS only; return its process and its URL without options."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        missing("no PostgreSQL with TLS on this system (Debian: postgresql)")
    programs, home = found[-1].parent, folder / "postgresql"
    home.mkdir(mode=0o700)
    password, password_file = secrets.token_hex(16), home / "password"
    password_file.write_text(password)
    key = home / "server.key"
    shutil.copyfile(certificates.key, key)
    key.chmod(0o600)
    options = {"cwd": home}
    if os.getuid() == 0:
        for path in (home, password_file, key):
            shutil.chown(path, "nobody")
        options |= {"user": "nobody", "extra_groups": []}
    made = subprocess.run(
        [
            *(programs / "initdb", "--pgdata", home / "data", "--username", "perfwatch"),
            *("--auth", "scram-sha-256", "--pwfile", password_file, "--encoding", "UTF8"),
            *("--no-locale", "--no-sync"),
        ],
        capture_output=True,
        check=False,
        **options,
    )
    assert made.returncode == 0, made.stderr
    (home / "data/pg_hba.conf").write_text("hostssl all all all scram-sha-256\n")
    port, log = free_port(), folder / "postgresql.log"
    command = [str(programs / "postgres"), "-D", str(home / "data"), "-p", str(port)]
    for setting in (
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "fsync=off",
        "ssl=on",
        f"ssl_cert_file={certificates.certificate}",
        f"ssl_key_file={key}",
    ):
        command += ["-c", setting]
    server = start_server(command, log=log, death_signal=signal.SIGQUIT, **options)
    assert wait_for(lambda: "ready to accept connections" in log.read_text()), log.read_text()
    return server, f"postgres://perfwatch:{password}@127.0.0.1:{port}/postgres"


def start_redis(folder, certificates):
    """Start Redis that takes TLS only; return its process and its URL without options."""
    program = shutil.which("redis-server")
    if not program:
        missing("no redis-server with TLS on PATH (Debian: redis-server)")
    port, password, log = free_port(), secrets.token_hex(16), folder / "redis.log"
    configuration = folder / "redis.conf"
    configuration.write_text(
        f"bind 127.0.0.1\nport 0\ntls-port {port}\ntls-cert-file {certificates.certificate}\n"
        f"tls-key-file {certificates.key}\ntls-ca-cert-file {certificates.ca}\n"
        f'tls-auth-clients no\nrequirepass {password}\nsave ""\nappendonly no\n'
    )
    server = start_server([program, str(configuration)], log=log, cwd=folder)
    wait_for(lambda: server.poll() is not None or port_answers(port))
    if server.poll() is not None:
        missing("the redis-server on PATH was built without TLS (Debian: redis-server has it)")
    return server, f"rediss://:{password}@127.0.0.1:{port}/0"
