"""Reads settings from the environment, from `NAME_FILE` and from an env file.

Every error is an ImproperlyConfigured that names the variable and says what it should hold.
An empty variable counts as unset.
"""

import ipaddress
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from environ import Env, FileAwareMapping

DATABASE_SCHEMES = ("postgres", "postgresql", "sqlite")


class Environment:
    """The process environment, with checked and named access."""

    def __init__(self, base: Path) -> None:
        """Load `PERFWATCH_ENV_FILE` (default `.env` in `base`) where it exists.

        What the process environment says already wins over the file.
        """
        env_file = os.environ.get("PERFWATCH_ENV_FILE", str(base / ".env"))
        if env_file and Path(env_file).is_file():
            Env.read_env(env_file)
        self._values = FileAwareMapping(os.environ)

    def text(self, name: str, default: str = "") -> str:
        """Return the value of `name`, or the content of the file that `name_FILE` names."""
        try:
            value = str(self._values.get(name, "")).strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not text"
            path = os.environ.get(f"{name}_FILE", "")
            raise ImproperlyConfigured(f"{name}_FILE: cannot read {path}: {reason}.") from error
        return value or default

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        """Return a whole number from `low` to `high`."""
        value = self.text(name, str(default))
        if not value.isascii() or not value.isdigit() or not low <= int(value) <= high:
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

    def words(self, name: str) -> list[str]:
        """Return a comma-separated list, without blanks."""
        return [word.strip() for word in self.text(name).split(",") if word.strip()]

    def directory(self, name: str, default: Path) -> Path:
        """Return an existing directory as an absolute path."""
        path = Path(self.text(name, str(default))).expanduser().absolute()
        if not path.is_dir():
            raise ImproperlyConfigured(f"{name}: {path} is not a directory.")
        return path

    def data_directory(self, name: str, default: Path) -> Path:
        """Return a directory that only its owner can enter, made where it is missing."""
        path = Path(self.text(name, str(default))).expanduser().absolute()
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if path.stat().st_uid == os.getuid() and path.stat().st_mode & 0o077:
                path.chmod(0o700)
        except OSError as error:
            raise ImproperlyConfigured(
                f"{name}: cannot use {path} as data directory: {error.strerror}."
            ) from error
        return path

    def url(self, name: str, schemes: tuple[str, ...], default: str = "") -> str:
        """Return a URL with one of `schemes` and a host, or the default where it is unset."""
        value = self.text(name, default)
        if not value:
            return ""
        try:
            parts = urlsplit(value)
            # .port raises for what is not a port
            complete = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
        except ValueError:
            complete = False
        if not complete:
            wanted = " or ".join(f"{scheme}://…" for scheme in schemes)
            raise ImproperlyConfigured(f"{name} must be a URL like {wanted}.")
        return value.rstrip("/")

    def database(self, name: str, default: Path) -> dict[str, Any]:
        """Return Django's description of the database that `name` points at.

        Without a value it is the SQLite file `default`. The URL is never part of an error: it
        may hold a password.
        """
        value = self.text(name, f"sqlite:///{default}")
        scheme = value.partition(":")[0]
        wrong = ImproperlyConfigured(
            f"{name} must be like postgres://user:password@host:5432/name or sqlite:////path/file."
        )
        if scheme not in DATABASE_SCHEMES or "://" not in value:
            raise wrong
        if scheme == "sqlite":
            path = value.removeprefix("sqlite://").removeprefix("/")
            if not path:
                raise wrong
            return {"ENGINE": "django.db.backends.sqlite3", "NAME": path, "OPTIONS": {}}
        try:
            database: dict[str, Any] = Env.db_url_config(value)
        except ValueError as error:
            raise wrong from error
        if not database.get("NAME"):
            raise wrong
        database.setdefault("OPTIONS", {})
        return database

    def networks(self, name: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        """Return a comma-separated list of IP addresses and networks."""
        try:
            return tuple(ipaddress.ip_network(word) for word in self.words(name))
        except ValueError as error:
            raise ImproperlyConfigured(
                f"{name} must list IP addresses or networks like 10.0.0.0/8: {error}."
            ) from error
