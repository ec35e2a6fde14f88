"""SQL that takes values out of a JSON column, reading each document once."""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from django.db import connection

from metrics.collectors.base import Json

Path = tuple[str, ...]

MOST_ARGUMENTS = 90
"""PostgreSQL passes 100 arguments to a function, SQLite 127."""

# SQLite compares what stands between the quotes with the JSON text as it was written, so names
# that are written with a backslash cannot be found there.
_PLAIN = re.compile(r'[^"\\\x00-\x1f\x7f-\U0010ffff]+')


class Extraction(NamedTuple):
    """Expressions for SELECT, what stands beside the table in FROM, and their parameters.

    The parameters belong to the expressions; those in FROM are none.
    """

    select: str
    lateral: str
    parameters: list[Any]
    paths: list[Path]
    asked: list[Path]
    ahead: int = 0
    """So many values in front of each expression's are of no path."""

    def values(
        self, columns: Sequence[str], opened: Callable[[str], Any] = json.loads
    ) -> list[Json]:
        """Return the value of each path that was asked for, None where there is none."""
        found: list[Json] = []
        for text in columns:
            found += opened(text)[self.ahead :]
        if self.paths == self.asked:
            return found
        known = dict(zip(self.paths, found, strict=True))
        return [_value(known, path) for path in self.asked]


def extraction(column: str, asked: Sequence[Path]) -> Extraction:
    """Return how to read these paths; each begins with a name that is safe in SQL."""
    if connection.vendor == "postgresql":
        return _postgresql(column, list(asked))
    return _sqlite(column, list(asked))


def _postgresql(column: str, asked: list[Path]) -> Extraction:
    # Each `->` on the column itself would decompress the whole document again.
    tops = dict.fromkeys(path[0] for path in asked)
    record = ", ".join(f'"{top}" jsonb' for top in tops)
    parts, parameters = [], []
    for some in _portions(asked):
        parts.append(", ".join(f'doc."{path[0]}" #> %s::text[]' for path in some))
        parameters += [list(path[1:]) for path in some]
    select = ", ".join(f"jsonb_build_array({part})" for part in parts)
    # Nothing else than an object is a record; asking jsonb_typeof would decompress it once more.
    document = f"""jsonb_path_query_first({column}, 'strict $ ? (@.type() == "object")')"""
    lateral = f"CROSS JOIN LATERAL jsonb_to_record({document}) AS doc({record})"
    return Extraction(select, lateral, parameters, asked, asked)


def _sqlite(column: str, asked: list[Path]) -> Extraction:
    paths = list(dict.fromkeys(_plain_part(path) for path in asked))
    parts, parameters = [], []
    for some in _portions(paths):
        # With one path only the answer would be the bare value.
        parts.append(", ".join(["%s"] * (len(some) + 1)))
        parameters += ["$.none", *("$" + "".join(f'."{name}"' for name in path) for path in some)]
    select = ", ".join(f"json_extract({column}, {part})" for part in parts)
    return Extraction(select, "", parameters, paths, asked, ahead=1)


def _plain_part(path: Path) -> Path:
    for length, name in enumerate(path):
        if not _PLAIN.fullmatch(name) or (length and path[length - 1] == "per_core"):
            return path[:length]
    return path


def _portions(paths: list[Path]) -> list[list[Path]]:
    return [paths[at : at + MOST_ARGUMENTS] for at in range(0, len(paths), MOST_ARGUMENTS)]


def _value(known: dict[Path, Json], path: Path) -> Json:
    length = max(n for n in range(len(path) + 1) if path[:n] in known)
    value = known[path[:length]]
    for name in path[length:]:
        if isinstance(value, list):
            value = value[int(name)] if int(name) < len(value) else None
        else:
            value = value.get(name) if isinstance(value, dict) else None
    return value
