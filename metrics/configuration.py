"""What the rows of `config` may hold: the keys, their inner keys, types and bounds."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

DEFAULTS: dict[str, dict[str, Any]] = {
    "sampling": {"interval_seconds": 5},
    "features": {"perf_events_enabled": True, "perf_events_cpus": "all"},
    "retention": {"days": 30, "archive_enabled": True},
}
WRITTEN_BY_PERFWATCH = ("system_info", "rollup_state", "maintenance", "imported")
MAX_INTERVAL = 3_600
MAX_DAYS = 36_500
MAX_CPU = 4_095


class Invalid(ValueError):
    """A value that its key does not allow; the message names the inner key."""


class Rule(NamedTuple):
    """What one inner key may hold, in words and as a test."""

    words: str
    allows: Callable[[Any], bool]
    required: bool = True


def is_cpu_selection(value: Any) -> bool:
    """Say whether `value` is "all" or a list of CPU numbers and ranges like "0-3,5"."""
    if value == "all":
        return True
    if not isinstance(value, str) or not value:
        return False
    for part in value.split(","):
        first, dash, last = part.strip().partition("-")
        numbers = [first, last] if dash else [first]
        # At most four digits: Python refuses to read numbers of thousands of them.
        if not all(re.fullmatch("[0-9]{1,4}", number) for number in numbers):
            return False
        if int(numbers[0]) > int(numbers[-1]) or int(numbers[-1]) > MAX_CPU:
            return False
    return True


def _whole(low: int, high: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and low <= value <= high


def _truth(value: Any) -> bool:
    return isinstance(value, bool)


RULES: dict[str, dict[str, Rule]] = {
    "sampling": {
        "interval_seconds": Rule(
            f"a whole number of seconds from 1 to {MAX_INTERVAL}", _whole(1, MAX_INTERVAL)
        ),
    },
    "features": {
        "perf_events_enabled": Rule("true or false", _truth),
        "perf_events_cpus": Rule(
            '"all" or CPU numbers like "0-3,5"', is_cpu_selection, required=False
        ),
    },
    "retention": {
        "days": Rule(f"a whole number of days from 1 to {MAX_DAYS}", _whole(1, MAX_DAYS)),
        "archive_enabled": Rule("true or false", _truth),
        "max_mb": Rule("a whole number of megabytes from 10", _whole(10, 2**31), required=False),
    },
}


def check(key: str, value: Any) -> None:
    """Raise Invalid where `value` is not what the row `key` may hold.

    Rows of other keys may hold any JSON.
    """
    rules = RULES.get(key)
    if rules is None:
        return
    if not isinstance(value, dict):
        raise Invalid(f"{key} must be an object with {', '.join(rules)}.")
    for name in value:
        if name not in rules:
            raise Invalid(f"{key} has no {name!r}; it has {', '.join(rules)}.")
    for name, rule in rules.items():
        if name not in value:
            if rule.required:
                raise Invalid(f"{key}.{name} is missing; it is {rule.words}.")
        elif not rule.allows(value[name]):
            raise Invalid(f"{key}.{name} must be {rule.words}, not {value[name]!r}.")


def retention_row(value: Any, days: int, archive_enabled: bool) -> dict[str, Any]:
    """Return the row `retention` that mirrors a policy, with what else `value` rightly held."""
    kept = {}
    if isinstance(value, dict) and RULES["retention"]["max_mb"].allows(value.get("max_mb")):
        kept = {"max_mb": value["max_mb"]}
    return {"days": days, "archive_enabled": archive_enabled} | kept


def chosen_features(value: Any) -> dict[str, Any] | None:
    """Return the features, or None where the row `features` holds nonsense."""
    try:
        check("features", value)
    except Invalid:
        return None
    features: dict[str, Any] = value
    return features


def sampling_interval(value: Any) -> int | None:
    """Return the seconds between samples, or None where the row `sampling` holds nonsense.

    A row may have been written by SQL, past every form.
    """
    try:
        check("sampling", value)
    except Invalid:
        return None
    seconds: int = value["interval_seconds"]
    return seconds
