"""The series API: any range of time as JSON."""

import json
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.exceptions import BadRequest, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import cache_control
from django.views.decorators.http import conditional_page, require_safe

from metrics.forms import SeriesForm, validated
from metrics.history import History, Line, UnknownField, history
from metrics.series import json_column, significant

View = Callable[..., HttpResponse]


def answers_json(view: View) -> View:
    """Answer what goes wrong in JSON too: `{"error": "A sentence."}`."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except BadRequest as error:
            return JsonResponse({"error": str(error)}, status=400)
        except SuspiciousOperation:
            return JsonResponse({"error": "The request is malformed."}, status=400)
        except (InterfaceError, OperationalError):
            return JsonResponse({"error": "The database does not answer."}, status=503)

    return wrapped


@require_safe
@cache_control(private=True, no_cache=True)
@conditional_page
@answers_json
def series(request: HttpRequest) -> HttpResponse:
    """Answer the series that `field` names, from `from` to `to`, in at most `points` points."""
    now = timezone.now()
    asked = validated(SeriesForm, request.GET, now=now)
    try:
        found = history(asked["field"], asked["from"], asked["to"], asked["points"], now)
    except UnknownField as error:
        raise BadRequest(f"The parameter field is wrong: {error}") from error
    return HttpResponse(answer(found), content_type="application/json")


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
