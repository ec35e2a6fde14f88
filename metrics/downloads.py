"""The addresses of the export: what may be asked for, and the answer as it is being made."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import chain, islice
from threading import BoundedSemaphore
from typing import Any

from django import forms
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.template import loader
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from metrics.api import answers_json
from metrics.export import (
    FORMATS,
    MOST_VALUES,
    ROWS,
    Piece,
    Wanted,
    exported,
    points_for,
    shown,
)
from metrics.forms import MOST_FIELDS, HistoryForm, NamesField, validated
from metrics.history import UnknownField

MOST_AT_ONCE = 2
"""Of each process; each takes one of its four threads for as long as somebody downloads."""

BUSY = "Two exports are running already. Ask again when one has ended."
TYPES = {"csv": "text/csv", "json": "application/json", "jsonl": "application/jsonl"}

_room = BoundedSemaphore(MOST_AT_ONCE)


class ExportForm(HistoryForm):
    """The parameters of the history page, whose charts are exported, and of the file."""

    format = forms.ChoiceField(
        required=False,
        choices=[(name, name) for name in FORMATS],
        error_messages={"invalid_choice": f"It is one of: {', '.join(FORMATS)}."},
    )
    rows = forms.ChoiceField(
        required=False,
        choices=[(name, name) for name in ROWS],
        error_messages={"invalid_choice": f"It is one of: {', '.join(ROWS)}."},
    )
    field = NamesField(most=MOST_FIELDS)
    points = forms.IntegerField(required=False, min_value=1, max_value=2_000)

    def clean(self) -> dict[str, Any]:
        """Refuse series where whole snapshots are asked for."""
        cleaned = super().clean()
        if cleaned.get("format") == "jsonl":
            for name in ("field", "rows", "points"):
                if cleaned.get(name):
                    self.add_error(name, "JSON Lines hold whole snapshots; ask for csv or json.")
        return cleaned


class Download:
    """The bytes of a file, and the room that it has among those that are on their way."""

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self.pieces = pieces
        self.has_room = True

    def __iter__(self) -> Iterator[bytes]:
        """Yield each piece when the one before is sent."""
        return (piece.text.encode() for piece in self.pieces)

    def close(self) -> None:
        """Give the room away, once; called also when nobody reads on."""
        if self.has_room:
            self.has_room = False
            _room.release()

    __del__ = close


@never_cache
@require_safe
def export(request: HttpRequest) -> HttpResponseBase:
    """Send what the history page shows, or the snapshots of its range, as a file."""
    answer = _answer(request)
    if answer:
        return answer
    page = loader.render_to_string("error.html", {"title": "Not now", "text": BUSY})
    return HttpResponse(page, status=503)


@never_cache
@answers_json
def api_export(request: HttpRequest) -> HttpResponseBase:
    """Send the same to programs."""
    return _answer(request) or JsonResponse({"error": BUSY}, status=503)


def _answer(request: HttpRequest) -> StreamingHttpResponse | None:
    """Return the file; None when too many are on their way."""
    now = timezone.now()
    asked = validated(ExportForm, request.GET, now=now)
    if not _room.acquire(blocking=False):
        return None
    try:
        wanted = _wanted(asked, now)
        pieces = exported(wanted, now)
        # Until here it can be said in a sentence what is wrong.
        first = list(islice(pieces, 1))
    except BaseException as error:
        _room.release()
        if isinstance(error, UnknownField):
            raise BadRequest(f"The parameter field is wrong: {error}") from error
        raise
    name = "-".join(["perfwatch", *_only(asked["chart"]), *map(_stamp, wanted[1:3])])
    return StreamingHttpResponse(
        Download(chain(first, pieces)),
        content_type=TYPES[wanted.format],
        headers={"Content-Disposition": f'attachment; filename="{name}.{wanted.format}"'},
    )


def _wanted(asked: dict[str, Any], now: datetime) -> Wanted:
    format, rows = asked["format"] or FORMATS[0], asked["rows"] or ROWS[0]
    names = [] if format == "jsonl" else asked["field"] or shown(asked, now)
    points = asked["points"] or points_for(names)
    if rows == "points" and len(names) * points > MOST_VALUES:
        text = f"Series times points may be at most {MOST_VALUES}: ask for fewer."
        raise BadRequest(f"The parameter points is wrong: {text}")
    return Wanted(format, asked["from"], asked["to"], names, rows, points)


def _only(charts: list[str]) -> list[str]:
    return charts if len(charts) == 1 else []


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y%m%dT%H%M%SZ}"
