"""Reads settings from the environment, from `NAME_FILE` and from an env file.

Every error is an ImproperlyConfigured that names the variable and says what it should hold.
An empty variable counts as unset.
"""

import difflib
import io
import ipaddress
import os
import re
import stat
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.core.exceptions import ImproperlyConfigured
from environ import Env

from perfwatch_site.databases import described

ENV_FILE = "PERFWATCH_ENV_FILE"
ENV_FILE_LINE = re.compile(r"(export )?[A-Za-z_0-9]+=.*|#.*|\s*")
HOST = re.compile(r"\*|\.?[A-Za-z0-9_-][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\]")
HOST_AND_PORT = re.compile(r"([A-Za-z0-9_-][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?")

REDIS_OPTIONS = {"ssl_ca_certs", "ssl_cert_reqs", "ssl_certfile", "ssl_keyfile"}


class Environment:
    """The process environment, with checked and named access; relative paths start at `base`."""

    def __init__(self, base: Path) -> None:
        """Load the file that `PERFWATCH_ENV_FILE` names, else `.env` in `base` if there is one.

        What the process environment says already wins over the file. An empty
        `PERFWATCH_ENV_FILE` means no file at all.
        """
        self.names: set[str] = set()
        self.base = base
        path = base / os.environ.get(ENV_FILE, ".env")
        if os.environ.get(ENV_FILE, path.exists()):
            text = _content(ENV_FILE, path)
            for number, line in enumerate(text.splitlines(), 1):
                if not ENV_FILE_LINE.fullmatch(line):
                    # The line itself may hold a secret.
                    raise ImproperlyConfigured(
                        f"{ENV_FILE}: line {number} of {path} is not like NAME=value."
                    )
            Env.read_env(io.StringIO(text))

    def text(self, name: str, default: str = "") -> str:
        """Return the value of `name`, or the content of the file that `name_FILE` names."""
        self.names.add(name)
        value = os.environ.get(name, "").strip()
        path = os.environ.get(f"{name}_FILE", "").strip()
        if value and path:
            raise ImproperlyConfigured(f"{name} and {name}_FILE are both set; unset one of them.")
        if path:
            value = _content(f"{name}_FILE", self.base / path).strip()
            if not value:
                raise ImproperlyConfigured(f"{name}_FILE: {path} is empty.")
        return value or default

    def refuse_unknown(self) -> None:
        """Refuse a PERFWATCH_ variable that nothing has asked for: its name is misspelled."""
        known = self.names | {f"{name}_FILE" for name in self.names} | {ENV_FILE}
        for name in sorted(os.environ):
            if name.startswith("PERFWATCH_") and os.environ[name] and name not in known:
                nearest = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0)
                raise ImproperlyConfigured(
                    f"{name} is not a variable of PerfWatch. Did you mean {nearest[0]}?"
                )

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        """Return a whole number from `low` to `high`."""
        value = self.text(name, str(default))
        # Python refuses to convert thousands of digits.
        digits = value.isascii() and value.isdigit() and len(value) <= 18
        if not digits or not low <= int(value) <= high:
            raise ImproperlyConfigured(
                f"{name} must be a whole number from {low} to {high}, not {value!r}."
            )
        return int(value)

    def flag(self, name: str, default: bool = False) -> bool:
        """Return a truth value: 1/0, true/false, yes/no, on/off."""
        value = self.text(name, "true" if default else "false").lower()
        if value in {"1", "true", "yes", "on"}:
            return True
        if value in {"0", "false", "no", "off"}:
            return False
        raise ImproperlyConfigured(f"{name} must be true or false, not {value!r}.")

    def words(self, name: str, default: str = "") -> list[str]:
        """Return a comma-separated list, without blanks."""
        return [word.strip() for word in self.text(name, default).split(",") if word.strip()]

    def hosts(self, name: str) -> list[str]:
        """Return a comma-separated list of host names: no scheme, no port, IPv6 in brackets."""
        hosts = self.words(name)
        for host in hosts:
            if not HOST.fullmatch(host):
                raise ImproperlyConfigured(
                    f"{name} must list hosts like example.org, .example.org or [::1], "
                    f"without scheme and port, not {host!r}."
                )
        return hosts

    def directory(self, name: str, default: Path) -> Path:
        """Return an existing directory as an absolute path."""
        path = self._path(name, default)
        if not os.path.isdir(path):  # noqa: PTH112  Path.is_dir raises where it may not look
            raise ImproperlyConfigured(f"{name}: {path} is not a directory.")
        return path

    def procfs(self, name: str, default: Path) -> Path:
        """Return a directory that looks like a procfs, as an absolute path."""
        path = self.directory(name, default)
        if not os.path.isfile(path / "stat"):  # noqa: PTH113  as above
            raise ImproperlyConfigured(f"{name}: {path} is no procfs: it has no file stat.")
        return path

    def data_directory(self, name: str, default: Path) -> Path:
        """Return a directory that only its owner can enter, made where it is missing."""
        path = self._path(name, default)
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = path.stat()
            # Root would close /tmp or the whole host to everybody else.
            if status.st_mode & stat.S_ISVTX or path == path.parent:
                raise ImproperlyConfigured(
                    f"{name}: {path} belongs to everybody; choose a directory of its own in it."
                )
            if status.st_uid == os.getuid() and status.st_mode & 0o077:
                path.chmod(0o700)
        except OSError as error:
            raise ImproperlyConfigured(
                f"{name}: cannot use {path} as data directory: {error.strerror}."
            ) from error
        return path

    def redis(self, name: str) -> str:
        """Return the URL of a Redis database, or "" where it is unset.

        The URL is never part of an error: it may hold a password.
        """
        value = self.text(name).rstrip("/")
        if value and not (
            _is_url(value, ("redis", "rediss"))
            and re.fullmatch(r"(/[0-9]+)?", urlsplit(value).path)
        ):
            raise ImproperlyConfigured(
                f"{name} must be like redis://host:6379/0 or rediss://host:6379/0, "
                "with nothing but the number of a database behind the host."
            )
        scheme, _, _, options, _ = urlsplit(value)
        if options and not (scheme == "rediss" and parse_qs(options).keys() <= REDIS_OPTIONS):
            raise ImproperlyConfigured(
                f"{name} may have the options {', '.join(sorted(REDIS_OPTIONS))}, "
                "and these with rediss:// only."
            )
        return value

    def origins(self, name: str) -> list[str]:
        """Return a comma-separated list of web origins: scheme, host and port, nothing else.

        A host may begin with `*.`: all below it.
        """
        return [_origin(name, word, wildcard="*.") for word in self.words(name)]

    def origin(self, name: str) -> str:
        """Return one web origin, or "" where it is unset."""
        value = self.text(name)
        return _origin(name, value) if value else ""

    def database(self, name: str, default: Path) -> dict[str, Any]:
        """Return Django's description of the database that `name` points at.

        Without a value it is the SQLite file `default`. The URL is never part of an error: it
        may hold a password.
        """
        value = self.text(name, f"sqlite:///{default}")
        return described(name, value, self.base)

    def networks(
        self, name: str, default: str = ""
    ) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        """Return a comma-separated list of IP addresses and networks."""
        try:
            return tuple(ipaddress.ip_network(word) for word in self.words(name, default))
        except ValueError as error:
            raise ImproperlyConfigured(
                f"{name} must list IP addresses or networks like 10.0.0.0/8: {error}."
            ) from error

    def _path(self, name: str, default: Path) -> Path:
        try:
            return self.base / Path(self.text(name, str(default))).expanduser()
        except RuntimeError as error:
            raise ImproperlyConfigured(f"{name}: there is no such home directory.") from error


def _content(name: str, path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise ImproperlyConfigured(f"{name}: cannot read {path}: {reason}.") from error


def _is_url(value: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(value)
        # .port raises for what is not a port
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _origin(name: str, value: str, wildcard: str = "") -> str:
    parts = urlsplit(value.rstrip("/")) if _is_url(value, ("http", "https")) else None
    if (
        not parts
        or not HOST_AND_PORT.fullmatch(parts.netloc.removeprefix(wildcard))
        or (parts.path or parts.query or parts.fragment)
    ):
        raise ImproperlyConfigured(
            f"{name} must be like https://example.org, without path, not {value!r}."
        )
    return f"{parts.scheme}://{parts.netloc.lower()}"
