"""The rehearsal in words: what settings that are not in force yet would do, and cost."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from metrics.archiving import INTERVALS, Policy
from metrics.configuration import MAX_DAYS
from metrics.formats import duration, megabytes
from metrics.rehearsal import Rehearsal, Resolution, bytes_ahead, rehearsal, resolutions

WORDS = {60: "minute", 600: "10 minutes", 3_600: "hour", 86_400: "day"}


class Forecast(NamedTuple):
    """Sentences; `size_before` is what 30 days lead to without the change, where there is one.

    `actions` is what the next run does, `ages` how fine snapshots are from when on.
    """

    rows: str
    size: str
    since: datetime | None
    actions: list[str]
    freed: str
    ahead: str
    ahead_before: str
    ages: list[tuple[str, str]]
    witnessed: datetime | None
    told: Rehearsal


def policy_of(values: Mapping[str, Any]) -> Policy:
    """Return the policy that the fields of the settings page make."""
    return Policy(
        values["retention_days"],
        values["downsample_after_days"],
        INTERVALS[values["downsample_interval"]],
        values["max_mb"],
    )


def forecast(values: Mapping[str, Any], before: Mapping[str, Any], now: datetime) -> Forecast:
    """Return what settings would do in the place of those that are in force."""
    interval = values["interval_seconds"]
    policy = policy_of(values)
    told = rehearsal(policy, now, interval)
    ahead = _ahead(values, now) if not values["archive_enabled"] else told.bytes_in_30_days
    was = None if values == before else _ahead(before, now)
    return Forecast(
        rows=counted(told, "rows"),
        size=megabytes(told.bytes),
        since=told.oldest,
        actions=actions(told, policy),
        freed=megabytes(told.freed_bytes),
        ahead=megabytes(ahead),
        ahead_before="" if was is None or megabytes(was) == megabytes(ahead) else megabytes(was),
        ages=_ages(values, policy),
        witnessed=told.witnessed(now),
        told=told,
    )


def actions(told: Rehearsal, policy: Policy) -> list[str]:
    """Return what a run would do, a sentence each; none where nothing is old enough."""
    found = []
    if told.delete_rows:
        rows = counted(told, "delete_rows")
        found.append(f"{rows} older than {_days(policy.retention_days)} will be deleted.")
    if told.fold_rows:
        found.append(
            f"{counted(told, 'fold_rows')} older than {_days(policy.downsample_after_days)} will "
            f"become about {told.fold_into_rows:,}, one every {WORDS[policy.interval]}."
        )
    if told.shrink_rows:
        found.append(
            f"{counted(told, 'shrink_rows')} more, the oldest, will be deleted, whatever their "
            f"age: all else would take more than {policy.max_mb:,} MB."
        )
    return found


def counted(told: Rehearsal, name: str) -> str:
    """Return a number of rows in words."""
    rows: int = getattr(told, name)
    about = "about " if name in told.estimates and rows else ""
    return f"{about}{rows:,} row{'' if rows == 1 else 's'}"


def _ahead(values: Mapping[str, Any], now: datetime) -> int:
    policy = policy_of(values) if values["archive_enabled"] else Policy(MAX_DAYS, MAX_DAYS)
    return bytes_ahead(policy, now, values["interval_seconds"])


def _ages(values: Mapping[str, Any], policy: Policy) -> list[tuple[str, str]]:
    interval = values["interval_seconds"]
    if not values["archive_enabled"]:
        return [("at any age", _fineness(Resolution(0, 0, interval), interval))]
    found = resolutions(policy, interval)
    return [(_span(one), _fineness(one, interval)) for one in found] + [
        (f"older than {_days(policy.retention_days)}", "nothing")
    ]


def _span(one: Resolution) -> str:
    if one.from_days:
        return f"{one.from_days:,} to {_days(one.to_days)}"
    return f"up to {_days(one.to_days)}"


def _fineness(one: Resolution, interval: int) -> str:
    if one.seconds == interval:
        return f"a sample every {duration(interval)}"
    return f"one every {WORDS[one.seconds]}"


def _days(number: float) -> str:
    return f"{number:,} day{'' if number == 1 else 's'}"
