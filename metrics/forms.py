"""What addresses may ask for: query parameters, validated."""

from typing import Any

from django import forms
from django.core.exceptions import BadRequest, ValidationError
from django.http import QueryDict

from metrics.charts import CHARTS, DEVICES

BIGGEST_ID = 2**63 - 1
LONGEST_NAME = 255
MOST_NAMES = 64

LIVE_RANGES = {"5m": 300, "15m": 900, "1h": 3_600}
"""Seconds of the live page's ranges, by their name in the address."""

REFRESHES = {"off": 0, "5s": 5, "10s": 10, "30s": 30, "1m": 60}
"""Seconds between two polls. Without any, the page asks as often as samples come."""


class NamesField(forms.Field):
    """Names of devices or the like, each in a parameter of its own. Cleans to a list."""

    widget = forms.SelectMultiple

    def __init__(self, *, allowed: tuple[str, ...] = ()) -> None:
        super().__init__(required=False)
        self.allowed = allowed

    def clean(self, value: list[str] | None) -> list[str]:
        """Return the names, each once."""
        names = list(dict.fromkeys(value or []))
        if len(names) > MOST_NAMES:
            raise ValidationError(f"At most {MOST_NAMES} can be shown at once.")
        for name in names:
            if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
                raise ValidationError(f"A name has 1 to {LONGEST_NAME} printable characters.")
            if self.allowed and name not in self.allowed:
                raise ValidationError(f"It is one of: {', '.join(self.allowed)}.")
        return names


def one_of(names: dict[str, int]) -> forms.ChoiceField:
    """Return a field that may be left out and else is one of these names."""
    wrong = {"invalid_choice": f"It is one of: {', '.join(names)}."}
    return forms.ChoiceField(
        required=False, choices=[(name, name) for name in names], error_messages=wrong
    )


class LiveForm(forms.Form):
    """What the live page shows: how long back, how often renewed, which devices."""

    range = one_of(LIVE_RANGES)
    refresh = one_of(REFRESHES)
    disk = NamesField()
    filesystem = NamesField()
    interface = NamesField()
    collector = NamesField()


class PollForm(LiveForm):
    """A live poll: the same, the id of the newest row that the page has, and what it lacks."""

    after = forms.IntegerField(min_value=0, max_value=BIGGEST_ID)
    auto = NamesField(allowed=tuple(kind.key for kind in DEVICES))
    absent = NamesField(allowed=tuple(chart.key for chart in CHARTS))


def validated(form: type[forms.Form], query: QueryDict) -> dict[str, Any]:
    """Return the cleaned parameters; raise BadRequest with a sentence that names the wrong one."""
    bound = form(query)
    if bound.is_valid():
        return bound.cleaned_data
    name, errors = next(iter(bound.errors.items()))
    raise BadRequest(f"The parameter {name} is wrong: {errors[0]}")
