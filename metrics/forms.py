"""What addresses may ask for: query parameters, validated."""

from datetime import datetime
from typing import Any

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS, BadRequest, ValidationError
from django.http import QueryDict
from django.utils import timezone

from metrics.buckets import series_of
from metrics.charts import CHARTS, DEVICES
from metrics.moments import BadMoment, parse_moment
from perfwatch_site.parameters import refuse_others

BIGGEST_ID = 2**63 - 1
LONGEST_NAME = 4_200
"""A filesystem's name is the path where it is mounted: up to 4,096 bytes (path_resolution(7))."""

MOST_NAMES = 64
MOST_FIELDS = 200

LIVE_RANGES = {"5m": 300, "15m": 900, "1h": 3_600}
"""Seconds of the live page's ranges, by their name in the address."""

REFRESHES = {"off": 0, "5s": 5, "10s": 10, "30s": 30, "1m": 60}
"""Seconds between two polls. Without any, the page asks as often as samples come."""


class NamesField(forms.Field):
    """A parameter that is repeated: one name each time. Cleans to a list, each name once."""

    widget = forms.SelectMultiple

    def __init__(
        self, *, required: bool = False, most: int = MOST_NAMES, allowed: tuple[str, ...] = ()
    ) -> None:
        super().__init__(required=required)
        self.most, self.allowed = most, allowed

    def clean(self, value: list[str] | None) -> list[str]:
        """Return the names."""
        names = [name for name in dict.fromkeys(value or []) if name]
        if self.required and not names:
            raise ValidationError("It names a series, such as cpu.usage_percent.")
        if len(names) > self.most:
            raise ValidationError(f"At most {self.most} are answered at once.")
        for name in names:
            if len(name) > LONGEST_NAME or "\x00" in name:
                raise ValidationError(
                    f"A name has 1 to {LONGEST_NAME} characters, none of them NUL."
                )
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


class MomentField(forms.Field):
    """A time as links write it: `now-6h`, ISO 8601, milliseconds of the epoch; see moments."""

    def __init__(self, now: datetime, default: str) -> None:
        super().__init__(required=False)
        self.now, self.default = now, default

    def clean(self, value: str | None) -> datetime:
        """Return the time in UTC; without a value the default."""
        try:
            return parse_moment(value or self.default, self.now)
        except BadMoment as error:
            raise ValidationError(str(error)) from error


class RangeForm(forms.Form):
    """The parameters `from` and `to` of all that shows a range; without them the last day."""

    LONGEST_DAYS = 36_525

    def __init__(self, query: QueryDict, now: datetime | None = None) -> None:
        super().__init__(query)
        # One clock for both, or a day would last a day and a moment.
        self.now = now or timezone.now()
        self.fields["from"] = MomentField(self.now, "now-24h")
        self.fields["to"] = MomentField(self.now, "now")

    def clean(self) -> dict[str, Any]:
        """Refuse a range that ends before it begins."""
        cleaned = super().clean() or self.cleaned_data
        start, end = cleaned.get("from"), cleaned.get("to")
        if start and end:
            if start >= end:
                self.add_error("from", "It must be before the parameter to.")
            elif (end - start).total_seconds() < 1:
                self.add_error("from", "It must be at least a second before the parameter to.")
            elif (end - start).days > self.LONGEST_DAYS:
                self.add_error("from", "The range must not be longer than 100 years.")
        return cleaned


SHIFTS = {"yesterday": 86_400, "week": 7 * 86_400}
"""Seconds before the stretch with which it is compared; `previous` is right before it."""


class CompareForm(RangeForm):
    """A stretch, and the one it is compared with: cleaned to the seconds it lies earlier, or None.

    `previous`, `yesterday`, `week`, or a stretch of the same length as `FROM..TO`.
    """

    def __init__(self, query: QueryDict, now: datetime | None = None) -> None:
        super().__init__(query, now)
        self.fields["compare"] = forms.CharField(required=False, max_length=100)

    def clean(self) -> dict[str, Any]:
        """Also turn what is compared into an offset."""
        cleaned = super().clean()
        text, start, end = (cleaned.get(name) for name in ("compare", "from", "to"))
        cleaned["offset"] = None
        if text and start and end:
            try:
                cleaned["offset"] = self._offset(text, start, end)
            except BadMoment as error:
                self.add_error("compare", str(error))
        return cleaned

    def _offset(self, text: str, start: datetime, end: datetime) -> float:
        length = (end - start).total_seconds()
        if text == "previous":
            offset = length
        elif text in SHIFTS:
            offset = float(SHIFTS[text])
        else:
            offset = (start - self._start_of_equal(text, length)).total_seconds()
        if start.timestamp() - offset < 0:
            raise BadMoment("It begins before 1970.")
        return offset

    def _start_of_equal(self, text: str, length: float) -> datetime:
        if ".." not in text:
            names = ", ".join(("previous", *SHIFTS))
            raise BadMoment(f"It is one of: {names}, or a stretch written as FROM..TO.")
        start, end = (parse_moment(part, self.now) for part in text.split("..", 1))
        other = (end - start).total_seconds()
        if abs(other - length) >= 1:
            raise BadMoment(
                f"It is {other:g} s long and the range {length:g} s; both must be equally long."
            )
        return start


class HistoryForm(CompareForm):
    """What the history page shows: which stretch, how often renewed, which charts and devices."""

    refresh = one_of(REFRESHES)
    tables = forms.BooleanField(required=False)
    chart = NamesField(allowed=tuple(chart.key for chart in CHARTS))
    core = NamesField()
    disk = NamesField()
    filesystem = NamesField()
    interface = NamesField()
    collector = NamesField()

    def clean(self) -> dict[str, Any]:
        """Also refuse names that no device can have: a CPU's is a number."""
        cleaned = super().clean()
        for kind in DEVICES:
            for name in cleaned.get(kind.key, ()):
                if not all(series_of(path.replace("*", name)) for path in kind.rank):
                    self.add_error(kind.key, f"{name[:40]!r} is not the name of one.")
                    break
        return cleaned


class MomentForm(forms.Form):
    """A moment of the history, and how many seconds a point of it stands for."""

    step = forms.IntegerField(min_value=1, max_value=100 * 366 * 86_400)

    def __init__(self, query: QueryDict) -> None:
        super().__init__(query)
        self.fields["at"] = MomentField(timezone.now(), "now")


class SeriesForm(RangeForm):
    """What the series API may be asked.

    `points` is how many at most; fields times points are bounded, and with them the answer.
    """

    POINTS = 720
    MOST_VALUES = 150_000

    field = NamesField(required=True, most=MOST_FIELDS)
    points = forms.IntegerField(required=False, min_value=1, max_value=2_000)

    def clean(self) -> dict[str, Any]:
        """Also bound the size of the answer."""
        cleaned = super().clean()
        if "points" in cleaned and cleaned["points"] is None:
            cleaned["points"] = self.POINTS
        if len(cleaned.get("field", ())) * cleaned.get("points", 0) > self.MOST_VALUES:
            self.add_error(
                "points", f"Fields times points may be at most {self.MOST_VALUES}: ask for fewer."
            )
        return cleaned


class ComparisonForm(SeriesForm, CompareForm):
    """What the comparison API may be asked."""

    def clean(self) -> dict[str, Any]:
        """Also ask for what is compared."""
        cleaned = super().clean()
        if not cleaned.get("compare") and "compare" not in self.errors:
            self.add_error("compare", "It says what the range is compared with, such as yesterday.")
        return cleaned


def validated(form: type[forms.Form], query: QueryDict, **options: Any) -> dict[str, Any]:
    """Return the cleaned parameters; raise BadRequest with a sentence that names the wrong one.

    Wrong is also one that the form does not have.
    """
    bound = form(query, **options)
    names = [name for name, field in bound.fields.items() if isinstance(field, NamesField)]
    refuse_others(query, bound.fields, names)
    if bound.is_valid():
        return bound.cleaned_data
    name, errors = next(iter(bound.errors.items()))
    if name == NON_FIELD_ERRORS:
        raise BadRequest(errors[0])
    raise BadRequest(f"The parameter {name} is wrong: {errors[0]}")
