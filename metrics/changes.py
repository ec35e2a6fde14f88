"""Settings as people change them: compared with what they saw, saved at once, and logged."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import Model, Q
from django.http import HttpRequest

from metrics.archiving import INTERVALS
from metrics.configuration import DEFAULTS, Invalid, check
from metrics.models import ArchivePolicy, Config
from metrics.settings_form import NAMES, SettingsForm, text_of, words_of

POLICY = "archive_policy"
PLACES = {
    "sampling": ("interval_seconds",),
    "features": ("perf_events_enabled", "perf_events_cpus"),
    POLICY: (
        *("archive_enabled", "retention_days"),
        *("downsample_after_days", "downsample_interval"),
    ),
    "retention": ("max_mb",),
}
"""Where each field is kept: the policy's row, or the row of `config` of that key."""

SEEN, SEEN_LOG = "seen_", "seen_log"


class Change(NamedTuple):
    """One field's value before and after, in words; by whom and when, where that is known."""

    label: str
    before: str
    after: str
    who: str = ""
    at: datetime | None = None


class Stored(NamedTuple):
    """What is set. `broken` says what somebody wrote past every form; defaults stand for that.

    `last_entry` is the highest id in the log before that was read.
    """

    last_entry: int
    policy: ArchivePolicy
    values: dict[str, Any]
    broken: dict[str, str]

    @property
    def texts(self) -> dict[str, str]:
        """Return the values as a browser sends them back."""
        return {name: text_of(self.values[name]) for name in NAMES}


class Draft(NamedTuple):
    """What somebody typed, over what is stored now.

    Fields that were left as they were seen have what is stored. `overtaken` is what others changed
    since the page was seen, `changes` what saving would change.
    """

    now: Stored
    form: SettingsForm
    overtaken: list[Change]
    changes: list[Change]


def may_change(request: HttpRequest) -> bool:
    """Return whether the person who asks is an administrator."""
    return bool(request.user.is_active and getattr(request.user, "is_superuser", False))


def stored(*, lock: bool = False) -> Stored:
    """Return what is set; with `lock`, inside a transaction, nobody changes it until its end."""
    last_entry = LogEntry.objects.order_by("-id").values_list("id", flat=True).first()
    policies = ArchivePolicy.objects.order_by("id")
    rows = Config.objects.filter(key__in=DEFAULTS)
    if lock:
        policies, rows = policies.select_for_update(), rows.select_for_update()
    policy = policies.first() or ArchivePolicy()
    found = DEFAULTS | dict(rows.values_list("key", "value"))
    broken = {}
    for key, value in found.items():
        try:
            check(key, value)
        except Invalid as error:
            broken[key] = str(error)
            found[key] = DEFAULTS[key]
    values = {name: getattr(policy, name) for name in PLACES[POLICY]}
    if policy.downsample_interval not in INTERVALS:
        broken[POLICY] = f"archive_policy has no interval {policy.downsample_interval!r}."
        values["downsample_interval"] = "1 hour"
    for key in DEFAULTS:
        values |= {name: found[key].get(name, DEFAULTS[key].get(name)) for name in PLACES[key]}
    return Stored(last_entry or 0, policy, values, broken)


def draft(typed: Mapping[str, str], now: Stored) -> Draft:
    """Return what was typed, laid over what is stored; nothing typed is what is stored."""
    texts = now.texts
    seen = {name: typed.get(SEEN + name, texts[name]) for name in NAMES}
    data = {
        name: texts[name] if typed.get(name, "") == seen[name] else typed.get(name, "")
        for name in NAMES
    }
    form = SettingsForm(data if typed else texts)
    overtaken = [name for name in NAMES if seen[name] != texts[name]]
    logged = _logged(now.policy, typed.get(SEEN_LOG, "")) if overtaken else []
    return Draft(
        now,
        form,
        [_overtaken(name, seen[name], texts[name], logged) for name in overtaken],
        _changes(now, form.cleaned_data) if form.is_valid() else [],
    )


def save(typed: Mapping[str, str], person: int) -> Draft:
    """Save what was typed if it is right and nobody was quicker; log it for the person.

    Returns the draft as it was at that moment: it was saved if nothing is wrong or overtaken.
    """
    with transaction.atomic():
        now = stored(lock=True)
        made = draft(typed, now)
        if made.form.is_valid() and not made.overtaken:
            _write(made.form.cleaned_data, now, person)
    return made


def log(row: Model, message: str, person: int) -> None:
    """Write into the log of the administration what a person did to a row."""
    LogEntry.objects.log_actions(person, [row], CHANGE, message, single_object=True)


def _write(values: Mapping[str, Any], now: Stored, person: int) -> None:
    for place, names in PLACES.items():
        before = {name: now.values[name] for name in names}
        after = {name: values[name] for name in names}
        if before == after and place not in now.broken:
            continue
        row = _row(place, after, now)
        words = [
            f"{name}: {words_of(name, text_of(before[name]))} → "
            f"{words_of(name, text_of(after[name]))}"
            for name in names
            if before[name] != after[name]
        ]
        message = ", ".join(words) or f"Replaced what was wrong: {now.broken[place]}"
        log(row, message, person)


def _row(place: str, values: dict[str, Any], now: Stored) -> Model:
    """Save and return the row of a place. `retention` comes after the policy that it mirrors."""
    if place == POLICY:
        for name, value in values.items():
            setattr(now.policy, name, value)
        now.policy.save()
        return now.policy
    if place == "retention":
        mirror = {"days": now.policy.retention_days, "archive_enabled": now.policy.archive_enabled}
        values = mirror | {name: value for name, value in values.items() if value is not None}
    row = Config(key=place, value=values)
    row.save(mirror=False)
    return row


def _changes(now: Stored, values: Mapping[str, Any]) -> list[Change]:
    before = now.texts
    return [
        Change(_label(name), words_of(name, before[name]), words_of(name, text_of(values[name])))
        for name in NAMES
        if values[name] != now.values[name]
    ]


def _overtaken(name: str, seen: str, text: str, logged: Iterable[LogEntry]) -> Change:
    place = next(place for place, names in PLACES.items() if name in names)
    # The administration's form of `retention` changes the policy, too.
    models = {"archivepolicy"} if place == POLICY else set()
    keys = {place, "retention"} if place == POLICY else {place}
    for entry in logged:
        model = entry.content_type.model if entry.content_type else ""
        if model in models or (model == "config" and entry.object_id in keys):
            who = entry.user.get_username()
            return Change(
                _label(name), words_of(name, seen), words_of(name, text), who, entry.action_time
            )
    return Change(_label(name), words_of(name, seen), words_of(name, text))


def _logged(policy: ArchivePolicy, seen: str) -> list[LogEntry]:
    """Return what people changed of settings since an entry of the log, the latest first."""
    if not re.fullmatch("[0-9]{1,9}", seen):
        return []
    types = ContentType.objects.get_for_models(ArchivePolicy, Config)
    rows = Q(content_type=types[ArchivePolicy], object_id=str(policy.pk))
    rows |= Q(content_type=types[Config], object_id__in=list(DEFAULTS))
    found = LogEntry.objects.filter(rows, id__gt=int(seen))
    return list(found.select_related("user", "content_type").order_by("-id")[:50])


def _label(name: str) -> str:
    return str(SettingsForm.base_fields[name].label)
