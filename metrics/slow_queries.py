"""Logs database queries that last longer than PERFWATCH_SLOW_QUERY_MS."""

import logging
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

log = logging.getLogger("perfwatch.queries")

LONGEST_TEXT = 300


def watch_new_connections() -> None:
    """Time the queries of every connection that is opened from now on."""
    connection_created.connect(_watch, dispatch_uid="perfwatch.slow_queries")


def _watch(connection: BaseDatabaseWrapper, **_: Any) -> None:
    if timed not in connection.execute_wrappers:
        connection.execute_wrappers.append(timed)


def timed(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
    """Run one query; its text is logged without its parameters, which may be secret."""
    started = time.monotonic()
    try:
        return execute(sql, params, many, context)
    finally:
        took = (time.monotonic() - started) * 1000
        if took > settings.PERFWATCH_SLOW_QUERY_MS:
            log.warning("A query took %.0f ms: %s", took, " ".join(sql.split())[:LONGEST_TEXT])
