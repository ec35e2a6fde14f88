"""The key that signs sessions, where the environment gives none."""

import contextlib
import os
import tempfile
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from django.core.management.utils import get_random_secret_key


def stored_secret_key(directory: Path) -> str:
    """Return the key kept in `directory`/secret-key, made at the first call.

    Processes that start together agree: a key is written aside and linked into place, which
    fails for all but the first.
    """
    path = directory / "secret-key"
    try:
        if not path.exists():
            with tempfile.NamedTemporaryFile("w", dir=directory, prefix=".secret-key-") as file:
                file.write(get_random_secret_key())
                file.flush()
                with contextlib.suppress(FileExistsError):
                    os.link(file.name, path)
        key = path.read_text().strip()
    except OSError as error:
        raise ImproperlyConfigured(f"SECRET_KEY: cannot use {path}: {error.strerror}.") from error
    if not key:
        raise ImproperlyConfigured(f"SECRET_KEY: {path} is empty; delete it or set SECRET_KEY.")
    return key
