"""Copies everything from one database to another, and compares them row by row.

Both are known to Django by an alias. Small tables are written anew each time, in one transaction;
of the two large ones rows follow in batches by their ids, so that a transfer that was stopped goes
on behind the last batch. What else is in the target makes it refuse.
"""

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.apps import apps
from django.db import connections, models, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.models.functions import Cast

from metrics.columns import CompactEncoder
from metrics.models import Config, MetricsSnapshot, Rollup

LARGE: tuple[type[models.Model], ...] = (MetricsSnapshot, Rollup)
BATCH = 500
MARK = "transfer"
"""The row of `config` that a target has while a transfer to it is not complete."""

Model = type[models.Model]


class Refused(Exception):
    """The transfer cannot be done; the message says why."""


class Progress(NamedTuple):
    """How far it is: the phase, rows of all that are to be done in it, and the table."""

    phase: str
    rows: int
    total: int
    table: str


class Table(NamedTuple):
    """What was compared of a table: its rows and the checksum of them all."""

    name: str
    rows: int
    checksum: str


def tables() -> list[Model]:
    """Return the models of all tables, each behind those that it refers to."""
    found: list[Model] = []

    def add(model: Model) -> None:
        for field in model._meta.concrete_fields:
            other = field.remote_field.model if field.remote_field else model
            if other is not model and not isinstance(other, str):
                add(other)
        if model not in found:
            found.append(model)

    for model in apps.get_models(include_auto_created=True):
        if model._meta.managed and not model._meta.proxy:
            add(model)
    return found


def check(source: str, target: str) -> None:
    """Raise Refused unless the target is empty or holds part of the same transfer."""
    executor = MigrationExecutor(connections[source])
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise Refused("The database is not up to date: run `manage.py migrate` first.")
    mark = Config.objects.using(target).filter(key=MARK).first()
    if mark is not None and mark.value == {"from": fingerprint(source)}:
        return
    # Tables as migrations leave them may be replaced, and rows that somebody needs may not.
    rows = {
        name: apps.get_model(name)._default_manager.using(target).count()
        for name in ("metrics.MetricsSnapshot", "metrics.Rollup", "accounts.User")
    }
    if mark is not None or any(rows.values()):
        raise Refused("The target holds data already. Give the URL of an empty database.")


def fingerprint(source: str) -> str:
    """Return what tells a database from others, without its password."""
    settings = connections[source].settings_dict
    names = [str(settings.get(name) or "") for name in ("ENGINE", "HOST", "PORT", "NAME")]
    return hashlib.sha256("\0".join(names).encode()).hexdigest()


def copy(source: str, target: str) -> Iterator[Progress]:
    """Copy what the target lacks. `check` is the caller's."""
    total = sum(model._default_manager.using(source).count() for model in LARGE)
    _copy_small(source, target)
    done = 0
    for model in LARGE:
        rows = model._default_manager
        last = rows.using(target).aggregate(last=models.Max("pk"))["last"]
        done += rows.using(target).count()
        while batch := _batch(model, source, last):
            with transaction.atomic(using=target):
                _insert(model, target, batch)
            last = batch[-1][0]
            done += len(batch)
            yield Progress("copying", done, total, model._meta.db_table)


def verify(source: str, target: str, found: list[Table]) -> Iterator[Progress]:
    """Compare all rows; add each table to `found`. Raise Refused at the first difference."""
    total = sum(model._default_manager.using(source).count() for model in tables())
    done = 0
    for model in tables():
        name = model._meta.db_table
        whole, last, rows = hashlib.sha256(), None, 0
        while True:
            one, other = _batch(model, source, last), _batch(model, target, last)
            for mine, theirs in zip(one, other, strict=False):
                if (digest := _digest(mine, model)) != _digest(theirs, model):
                    raise Refused(f"{name}: the row {mine[0]!r} is not the same in the target.")
                whole.update(digest)
            if len(one) != len(other):
                counts = [model._default_manager.using(a).count() for a in (source, target)]
                raise Refused(f"{name}: {counts[0]} rows here, {counts[1]} in the target.")
            if not one:
                break
            rows, done, last = rows + len(one), done + len(one), one[-1][0]
            yield Progress("comparing", done, total, name)
        found.append(Table(name, rows, whole.hexdigest()[:16]))


def finish(target: str) -> None:
    """Have new rows get ids above the old ones, and take the mark away: it is complete."""
    Config.objects.using(target).filter(key=MARK).delete()
    if connections[target].vendor != "postgresql":
        return  # SQLite looks at the highest id there is
    with connections[target].cursor() as cursor:
        for model in tables():
            key = model._meta.pk
            if isinstance(key, models.AutoField | models.BigAutoField):
                # Imported rows have ids below 0, which a sequence refuses.
                cursor.execute(
                    f"SELECT setval(pg_get_serial_sequence(%s, %s), greatest(max({key.column}), 1),"  # noqa: S608
                    f" coalesce(max({key.column}), 0) > 0) FROM {model._meta.db_table}",
                    [model._meta.db_table, key.column],
                )


def _copy_small(source: str, target: str) -> None:
    small = [model for model in tables() if model not in LARGE]
    with transaction.atomic(using=target):
        for model in reversed(small):
            model._default_manager.using(target).all()._raw_delete(using=target)
        for model in small:
            last = None
            while batch := _batch(model, source, last):
                _insert(model, target, batch)
                last = batch[-1][0]
        Config(key=MARK, value={"from": fingerprint(source)}).save(using=target, mirror=False)


def _batch(model: Model, alias: str, last: Any) -> list[tuple[Any, ...]]:
    """Return the next rows behind a key: the key, then all columns; JSON as text."""
    rows = model._default_manager.using(alias).order_by("pk")
    rows = rows if last is None else rows.filter(pk__gt=last)
    if model is Config:
        rows = rows.exclude(pk=MARK)
    columns: list[Any] = []
    for field in model._meta.concrete_fields:
        is_json = isinstance(field, models.JSONField)
        columns.append(Cast(field.attname, models.TextField()) if is_json else field.attname)
    return list(rows.values_list("pk", *columns)[:BATCH])


def _insert(model: Model, alias: str, batch: list[tuple[Any, ...]]) -> None:
    connection = connections[alias]
    fields = model._meta.concrete_fields
    names = ", ".join(f'"{field.column}"' for field in fields)
    into = f'"{model._meta.db_table}" ({names})'

    def stored(field: Any, value: Any) -> Any:
        if isinstance(field, models.JSONField):
            # PostgreSQL writes blanks into its texts.
            return value if connection.vendor == "postgresql" else _compact(value)
        return field.get_db_prep_save(value, connection)

    rows = [[stored(field, v) for field, v in zip(fields, row[1:], strict=True)] for row in batch]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(f"COPY {into} FROM STDIN") as copy_to:
                for row in rows:
                    copy_to.write_row(row)
        else:
            marks = ", ".join(["%s"] * len(fields))
            cursor.executemany(f"INSERT INTO {into} VALUES ({marks})", rows)  # noqa: S608


def _compact(text: str | None) -> str | None:
    return None if text is None else CompactEncoder().encode(json.loads(text))


def _digest(row: tuple[Any, ...], model: Model) -> bytes:
    """Return what is the same for the same row in any database: jsonb reorders keys."""
    pairs = zip(model._meta.concrete_fields, row[1:], strict=True)
    return hashlib.sha256("\0".join(_said(*pair) for pair in pairs).encode()).digest()


def _said(field: Any, value: Any) -> str:
    if isinstance(field, models.JSONField) and value is not None:
        return json.dumps(json.loads(value, parse_float=_number), sort_keys=True)
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else repr(value)


def _number(text: str) -> float | int:
    """Return a number of JSON: jsonb writes 1e22 without an exponent."""
    value = float(text)
    return int(value) if value.is_integer() else value
