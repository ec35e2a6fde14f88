"""What a snapshot says of itself. The sampler writes these fields, no collector does."""

from __future__ import annotations

from metrics.collectors.fields import Field, Kind, Unit

_SOURCE = "PerfWatch"

FIELDS = (
    Field(
        "timestamp",
        Kind.STATE,
        Unit.NONE,
        "When the snapshot was taken, in UTC.",
        _SOURCE,
    ),
    Field(
        "sampler.id",
        Kind.STATE,
        Unit.NONE,
        "The snapshot's own identifier, by which it is stored only once.",
        _SOURCE,
    ),
    Field(
        "sampler.collect_ms.*",
        Kind.GAUGE,
        Unit.MILLISECONDS,
        "Time that the collector took for this sample.",
        _SOURCE,
    ),
    Field(
        "sampler.status.*",
        Kind.STATE,
        Unit.NONE,
        "Whether the collector had data, had none or failed, and why.",
        _SOURCE,
    ),
    Field(
        "sampler.lateness_ms",
        Kind.GAUGE,
        Unit.MILLISECONDS,
        "Time between the moment the sample was due and the moment it was taken.",
        _SOURCE,
    ),
    Field(
        "sampler.missed_ticks",
        Kind.GAUGE,
        Unit.COUNT,
        "Samples that were due since the one before and were left out.",
        _SOURCE,
    ),
    Field(
        "sampler.interval_seconds",
        Kind.GAUGE,
        Unit.SECONDS,
        "Time between two samples as the scheduler planned it.",
        _SOURCE,
    ),
    Field(
        "sampler.spooled",
        Kind.GAUGE,
        Unit.COUNT,
        "Samples that were waiting for the database when this one was taken.",
        _SOURCE,
    ),
    Field(
        "sampler.dropped",
        Kind.COUNTER,
        Unit.COUNT,
        "Samples lost since the sampler started, because the database was away for too long.",
        _SOURCE,
    ),
)
