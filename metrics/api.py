"""The API: any range of time as JSON, and two of them compared."""

import json
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any

from django.core.exceptions import BadRequest, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.cache import get_conditional_response, set_response_etag
from django.views.decorators.cache import cache_control
from django.views.decorators.csrf import csrf_exempt

from metrics.comparison import Change, changes
from metrics.forms import ComparisonForm, SeriesForm, validated
from metrics.history import History, Line, UnknownField, history
from metrics.series import json_column, significant

View = Callable[..., HttpResponseBase]


def answers_json(view: View) -> View:
    """Answer what goes wrong in JSON too: `{"error": "A sentence."}`."""

    @csrf_exempt  # nothing can be changed here, and its refusal would be a page
    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method not in ("GET", "HEAD"):
            refusal = {"error": "The API only answers: it takes GET and HEAD."}
            return JsonResponse(refusal, status=405, headers={"Allow": "GET, HEAD"})
        try:
            return view(request, *args, **kwargs)
        except BadRequest as error:
            return JsonResponse({"error": str(error)}, status=400)
        except SuspiciousOperation:
            return JsonResponse({"error": "The request is malformed."}, status=400)
        except (InterfaceError, OperationalError):
            return JsonResponse({"error": "The database does not answer."}, status=503)

    return wrapped


def tagged(view: Callable[..., HttpResponse]) -> View:
    """Add an ETag, and answer 304 to whoever has that; Django's own does it for GET alone."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        answer = view(request, *args, **kwargs)
        set_response_etag(answer)
        return get_conditional_response(request, answer["ETag"], response=answer) or answer

    return wrapped


@answers_json
@cache_control(private=True, no_cache=True)
@tagged
def series(request: HttpRequest) -> HttpResponse:
    """Answer the series that `field` names, from `from` to `to`, in at most `points` points."""
    now = timezone.now()
    asked = validated(SeriesForm, request.GET, now=now)
    try:
        found = history(asked["field"], asked["from"], asked["to"], asked["points"], now)
    except UnknownField as error:
        raise BadRequest(f"The parameter field is wrong: {error}") from error
    return HttpResponse(answer(found), content_type="application/json")


@answers_json
@cache_control(private=True, no_cache=True)
@tagged
def compare(request: HttpRequest) -> HttpResponse:
    """Answer the same series of two stretches of equal length, and which changed most."""
    now = timezone.now()
    asked = validated(ComparisonForm, request.GET, now=now)
    offset = timedelta(seconds=asked["offset"])
    stretches = ((asked["from"] - shift, asked["to"] - shift) for shift in (timedelta(), offset))
    try:
        this, other = (history(asked["field"], *ends, asked["points"], now) for ends in stretches)
    except UnknownField as error:
        raise BadRequest(f"The parameter field is wrong: {error}") from error
    found = [_change(change) for change in changes(this, other)]
    head = f'"offset":{json.dumps(asked["offset"])},"changes":{json.dumps(found)}'
    text = f'{{{head},"this":{answer(this)},"other":{answer(other)}}}'
    return HttpResponse(text, content_type="application/json")


def _change(change: Change) -> dict[str, Any]:
    return {
        "series": change.line.name,
        "unit": change.line.unit,
        "mean": [significant(number) for number in change.mean],
        "p95": [significant(number) for number in change.p95],
        "max": [significant(number) for number in change.maximum],
        "difference": significant(change.difference),
        "percent": significant(change.percent),
        "score": significant(change.score),
    }


def answer(found: History) -> str:
    """Return what the API says: times in milliseconds of the epoch, the step in seconds."""
    head = {
        "start": found.start * 1000,
        "step": found.step,
        "points": found.points,
        "resolution": found.resolution,
        "interval": significant(found.interval),
        "coverage": significant(found.coverage),
        "samples": found.samples,
        "complete": found.complete,
    }
    series = ",".join(f"{json.dumps(line.name)}:{_series(line)}" for line in found.lines)
    return f'{json.dumps(head)[:-1]},"series":{{{series}}}}}'


def _series(line: Line) -> str:
    numbers = line.statistics
    head = {
        "unit": line.unit,
        "kind": line.field.kind,
        "statistics": {
            "min": significant(numbers.minimum),
            "mean": significant(numbers.mean),
            "p95": significant(numbers.p95),
            "max": significant(numbers.maximum),
            "last": significant(numbers.last),
        },
    }
    columns = {"mean": line.mean, "min": line.low, "max": line.high}
    texts = (
        f'"{name}":{"null" if column is None else json_column(column)}'
        for name, column in columns.items()
    )
    return f"{json.dumps(head)[:-1]},{','.join(texts)}}}"
