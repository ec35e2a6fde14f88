"""Any stretch of time as columns: from roll-ups, and from snapshots where there are none yet."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from metrics import rollup_state, spans
from metrics.buckets import Buckets, Series, Sums, chosen, series_of, slots_of
from metrics.chunks import columns_of, opened_header
from metrics.collectors import devices, field_of
from metrics.collectors.fields import Field, Kind, Unit
from metrics.folding import bucket_seconds
from metrics.querysets.rollups import Columns, rollups
from metrics.querysets.snapshots import snapshots
from metrics.rollup_state import State
from metrics.series import Statistics, bridged, natural, short_holes, statistics
from metrics.spans import Span
from metrics.tiers import FINEST, TIERS, Tier, ceil, floor, moment

MOST_ROWS = 5_000
"""Snapshots that one answer reads at most."""

LEAST_POINTS = 100
"""Whoever asks for fewer points gets them from finer buckets, so that the edges are true."""


class UnknownField(LookupError):
    """A name that is no series; the message names it."""


class Line(NamedTuple):
    """One series: a value for each point, None where there is a gap.

    Of counters and capacities `mean` is the last value and there are no `low` and `high`.
    """

    name: str
    field: Field
    mean: list[float | None]
    low: list[float | None] | None
    high: list[float | None] | None
    statistics: Statistics

    @property
    def unit(self) -> Unit:
        """Return the unit of the points: what was counted per sample is shown per second."""
        return Unit.PER_SECOND if self.field.kind is Kind.DELTA else self.field.unit


class History(NamedTuple):
    """`points` points of `step` seconds from `start` on (seconds of the epoch).

    `resolution` is the length of the roll-up's buckets, None where snapshots were read;
    `interval` the longest time between two samples, 0 without any; `coverage` the share of the
    time that samples cover; `samples` their number. Where it is not `complete`, roll-ups are
    being made and part of the range is missing for now.
    """

    start: int
    step: int
    points: int
    resolution: int | None
    interval: float
    coverage: float
    samples: int
    complete: bool
    lines: list[Line]


class _Source(NamedTuple):
    """What was read for one range; what is outside of it is left out later."""

    chunks: list[tuple[Tier, Span, Columns]]
    rows: list[tuple[float, dict[str, Any]]]
    complete: bool = True


def history(
    names: Sequence[str], start: datetime, end: datetime, points: int, now: datetime
) -> History:
    """Return at most `points` points of each series from `start` to `end`.

    Raises UnknownField for a name that no collector declares or that is no series.
    """
    asked = [series(name) for name in dict.fromkeys(names)]
    since, until = start.timestamp(), end.timestamp()
    state = rollup_state.load()
    tier = choose(since, until, points, now.timestamp(), state)
    if tier is None and (found := _raw(asked, since, until, points, now)):
        return found
    tier = tier or finest_kept(since, now.timestamp(), state)
    tier = made(tier, since, until, now.timestamp(), state)
    step = tier.seconds * ceil((until - since) / points / tier.seconds, 1)
    while True:
        grid = grid_of(since, until, step, tier.seconds, points)
        source = _read(asked, tier, grid, state)
        buckets = _filled(asked, grid, step, source)
        longest = max(buckets.header.interval, default=0)
        if longest <= step:
            return _history(asked, buckets, tier.seconds, now, complete=source.complete)
        step = ceil(longest, tier.seconds)


def series(name: str) -> Series:
    """Return what a name is a series of; raise UnknownField where it is none."""
    if found := series_of(name):
        return found
    field = field_of(name)
    if field is None:
        raise UnknownField(f"{name} is not a field that PerfWatch collects.")
    if field.kind is Kind.STATE:
        raise UnknownField(f"{name} is text or a flag, which cannot be drawn.")
    raise UnknownField(f"{name} needs the name of a device in place of *.")


def choose(
    start: float, end: float, points: int, now: float, state: State | None = None
) -> Tier | None:
    """Return the coarsest tier, of those kept at `start`, with half as many buckets as points."""
    least = max(points, LEAST_POINTS) / 2
    for tier in reversed(TIERS):
        if (end - start) / tier.seconds >= least and _is_kept(tier, start, now, state):
            return tier
    return None


def finest_kept(start: float, now: float, state: State | None = None) -> Tier:
    """Return the finest tier that is still kept at `start`."""
    kept = (tier for tier in TIERS if _is_kept(tier, start, now, state))
    return next(kept, TIERS[-1])


def _is_kept(tier: Tier, start: float, now: float, state: State | None) -> bool:
    return start >= max(tier.kept_since(now), state.since(tier) if state else 0)


def made(tier: Tier, start: float, end: float, now: float, state: State | None) -> Tier:
    """Return the tier, or while it is being made for this range a finer one that is there."""
    upto = TIERS[: TIERS.index(tier) + 1]
    finer = [one for one in upto if _is_kept(one, start, now, state)]
    for one in reversed(finer):
        if state and not spans.within(state.tiers[one.seconds].pending, int(start), ceil(end, 1)):
            return one
    return tier


def grid_of(start: float, end: float, step: int, unit: int, points: int) -> Span:
    """Return where the first point begins and the last one ends.

    Points begin at multiples of the step, so that they stay where they are as time goes on; where
    they are few, at multiples of the unit, so that the range is met closely.
    """
    unit = step if points >= LEAST_POINTS else unit
    last = ceil(end, unit)
    count = min(points, -((floor(start, unit) - last) // step))
    return last - count * step, last


def _raw(
    asked: list[Series], start: float, end: float, points: int, now: datetime
) -> History | None:
    """Return the history made of snapshots; None without any, or of too many or too coarse ones."""
    step = max(1, ceil((end - start) / points, 1))
    margin = step + FINEST.seconds
    first, last = moment(start - margin), moment(end + margin)
    if not 0 < snapshots().between(first, last).number_of(MOST_ROWS + 1) <= MOST_ROWS:
        return None
    newest = snapshots().readings([("downsampled", "bucket_seconds")], first, last, 1)
    if any(bucket_seconds(document) > FINEST.seconds for _, document in newest):
        return None  # without reading them all: folded documents are large
    source = _Source([], snapshots().readings(_paths(asked), first, last, MOST_ROWS))
    unit = 1
    while True:
        grid = grid_of(start, end, step, unit, points)
        longest = max(_filled([], grid, step, source).header.interval, default=0)
        if not longest or longest > FINEST.seconds:
            return None
        if unit == ceil(longest, 1):
            buckets = _filled(asked, grid, step, source)
            return _history(asked, buckets, None, now, complete=True)
        unit = ceil(longest, 1)
        step = ceil((end - start) / points, unit)


def _read(asked: list[Series], tier: Tier, grid: Span, state: State | None) -> _Source:
    """Return what there is of a range: of its tier, of finer ones behind that, of snapshots."""
    start, end = grid
    chunks = []
    pending: list[Span] = []
    for one in reversed(TIERS[: TIERS.index(tier) + 1]):
        until = min(end, state.until(one)) if state else start
        if until > start:
            found = rollups().columns(
                one.seconds,
                sorted({series.collector for series in asked}),
                [series.name for series in asked],
                moment(floor(start, one.chunk)),
                moment(until),
            )
            chunks += [(one, (start, until), columns) for columns in found]
            start = until
        if state:
            pending += state.tiers[one.seconds].pending
    complete = not spans.within(pending, *grid)
    rows = []
    if start < end:
        rows = snapshots().readings(_paths(asked), moment(start), moment(end), MOST_ROWS + 1)
        complete = complete and len(rows) <= MOST_ROWS
    return _Source(chunks, rows[-MOST_ROWS:], complete)


def _paths(asked: list[Series]) -> list[tuple[str, ...]]:
    paths = [path for one in asked for path in (one.path, *(of.path for of in one.inputs))]
    return list(dict.fromkeys([("sampler", "interval_seconds"), ("downsampled",), *paths]))


def _filled(asked: list[Series], grid: Span, step: int, source: _Source) -> Buckets:
    buckets = Buckets(grid[0], step, (grid[1] - grid[0]) // step)
    for one in asked:
        buckets.sums(one)
    counted: set[tuple[int, int]] = set()
    for tier, span, columns in source.chunks:
        header = opened_header(*columns.header)
        slots = slots_of(columns.start, tier.seconds, header, buckets, span)
        # All collectors' chunks say the same of their samples.
        if (tier.seconds, columns.start) not in counted:
            counted.add((tier.seconds, columns.start))
            buckets.add_header(slots)
        for one in asked:
            if found := columns.series[one.name]:
                buckets.add_slots(slots, one.name, one.field.kind, columns_of(found))
    read = chosen([one.name for one in asked])
    buckets.add(source.rows, read)
    return buckets


def _history(
    asked: list[Series],
    buckets: Buckets,
    resolution: int | None,
    now: datetime,
    *,
    complete: bool,
) -> History:
    header = buckets.header
    end = buckets.start + buckets.count * buckets.step
    past = min(end, now.timestamp()) - buckets.start
    holes = short_holes(header.n, header.interval, buckets.step)
    return History(
        start=buckets.start,
        step=buckets.step,
        points=buckets.count,
        resolution=resolution,
        interval=max(header.interval, default=0),
        coverage=min(1.0, sum(header.seconds) / past) if past > 0 else 0.0,
        samples=sum(header.n),
        complete=complete,
        lines=[_line(one, buckets.series[one.name], holes) for one in asked],
    )


def _line(one: Series, sums: Sums, holes: Sequence[int]) -> Line:
    means = sums.means(one.scale)
    weight = sum(sums.weight)
    mean = one.scale * sum(sums.total) / weight if weight else None
    found = statistics(means, sums.low, sums.high, mean)
    if sums.is_last:
        return Line(one.name, one.field, bridged(means, holes), None, None, found)
    low, high = bridged(sums.low, holes), bridged(sums.high, holes)
    return Line(one.name, one.field, bridged(means, holes), low, high, found)


def series_names(path: str, start: datetime, end: datetime, now: datetime) -> list[str]:
    """Return the series that there are of a field with `*` in a range, in order of their names.

    Raises UnknownField for any other. To the edges it is as exact as the chunks are long.
    """
    field = field_of(path)
    if field is None or "*" not in path or field.path != path or field.kind is Kind.STATE:
        raise UnknownField(f"{path} is not a field of devices that PerfWatch collects.")
    state = rollup_state.load()
    since, until = start.timestamp(), end.timestamp()
    tier = choose(since, until, LEAST_POINTS, now.timestamp(), state) or finest_kept(
        since, now.timestamp(), state
    )
    stretches = []
    edge = since
    for one in reversed(TIERS[: TIERS.index(tier) + 1]):
        to = min(until, state.until(one)) if state else edge
        if to > edge:
            stretches.append((one.seconds, moment(floor(edge, one.chunk)), moment(to)))
            edge = to
    names = rollups().names(path.partition(".")[0], stretches) if stretches else set()
    found = {name for name in names if field_of(name) == field}
    for document in snapshots().between(moment(edge), end).latest_documents(1):
        found |= {path.replace("*", device) for device in devices(document, field)}
    return sorted(found, key=natural)
