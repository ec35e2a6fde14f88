"""What is set, and whether samples come."""

from collections.abc import Iterator

from django.conf import settings
from django.utils import timezone

from metrics.collectors import lookup
from metrics.configuration import Invalid, check
from metrics.doctor.base import Finding, Level
from metrics.formats import duration
from metrics.freshness import State, freshness
from metrics.models import ArchivePolicy, Config
from metrics.querysets.snapshots import snapshots


def look() -> Iterator[Finding]:
    """See whether the settings are valid."""
    rows = {row.key: row.value for row in Config.objects.filter(key__in=("sampling", "features"))}
    for key in ("sampling", "features"):
        value = rows.get(key)
        try:
            check(key, value)
        except Invalid as fault:
            yield Finding(
                "configuration", key, Level.FAILED, str(fault), "Mend it on the settings page."
            )
        else:
            text = ", ".join(f"{name} {one}" for name, one in (value or {}).items())
            yield Finding("configuration", key, Level.OK, text)
    policy = ArchivePolicy.current()
    text = f"{policy.retention_days} days"
    if policy.downsample_after_days < policy.retention_days:
        text += f", one row per {policy.downsample_interval} after {policy.downsample_after_days}"
    yield Finding("configuration", "retention", Level.OK, text)
    if settings.DEBUG:
        yield Finding(
            "configuration",
            "DEBUG",
            Level.WARNING,
            "is on: pages of errors show settings and code.",
            "Take DEBUG out of the environment.",
        )


def look_at_newest_sample() -> Iterator[Finding]:
    """See how old it is, and what the sampler counts: it may have other rights than who asks."""
    rows, interval = snapshots().sampled_live().newest()
    fresh = freshness(rows[0].timestamp if rows else None, interval, timezone.now())
    if fresh.state is State.EMPTY:
        yield Finding(
            "samples", "newest", Level.WARNING, "there is none yet.", "`make run` starts sampling."
        )
        return
    stale = fresh.state is State.STALE
    yield Finding(
        "samples",
        "newest",
        Level.FAILED if stale else Level.OK,
        f"{duration(fresh.age)} old" + ("" if interval is None else f", one every {interval} s"),
        "The sampler does not run, or the clock was set: `make run`, or look at its log."
        if stale
        else "",
    )
    cpus = lookup(rows[0].data, "perf_events.cpus")
    why = lookup(rows[0].data, "perf_events.reason") or "it does not say why"
    yield Finding(
        "samples",
        "counters",
        Level.OK if cpus else Level.NOTE,
        f"the newest counts events on CPUs {cpus}"
        if cpus
        else f"the newest counts no events: {why}",
    )
