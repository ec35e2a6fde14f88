"""Logs database queries that last longer than PERFWATCH_SLOW_QUERY_MS, and of which screen."""

import logging
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.http import HttpRequest
from django.http.response import HttpResponseBase

log = logging.getLogger("perfwatch.queries")

LONGEST_TEXT = 300
_screen: ContextVar[str] = ContextVar("screen", default="")


class ScreenMiddleware:
    """Remembers the name of the address that is asked for, for the queries that this leads to.

    Until the next request of the thread: an export goes on asking while it is sent.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Forget the request before this one."""
        _screen.set("")
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *_: Any) -> None:
        """Take the name as soon as Django knows it, before anybody asks the database."""
        if request.resolver_match:
            _screen.set(request.resolver_match.view_name)


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
            screen = f" of {_screen.get()}" if _screen.get() else ""
            text = " ".join(sql.split())[:LONGEST_TEXT]
            log.warning("A query%s took %.0f ms: %s", screen, took, text)
