"""What is deleted and folded, when, and what is left alone."""

from datetime import timedelta

import pytest

from metrics import retention, rollup_state, rollups
from metrics.archiving import Policy
from metrics.chunks import header_of
from metrics.models import ArchivePolicy, Config, MetricsSnapshot, Rollup
from metrics.retention import Phase, Run
from metrics.tests.builders import NOW, document, stored

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("installed", "cpu_alone")]
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
WEEK_OLD = NOW - 8 * DAY


def sampled(start, count, seconds=300, **values):
    MetricsSnapshot.objects.bulk_create(
        MetricsSnapshot(
            timestamp=moment,
            metric_type="aggregated",
            metric_data=document(moment, seconds, **values),
        )
        for moment in (start + timedelta(seconds=seconds * n, milliseconds=3) for n in range(count))
    )


def roll_up(now=NOW):
    while rollups.step(now, rollups.LARGE):
        pass


def clean(policy=None, now=NOW, **values):
    """Do a whole run."""
    roll_up(now)
    run = Run(trusts_clock=True, **values)
    for _ in range(3_000):
        if run.is_done:
            return run
        run = retention.step(run, policy or Policy(), now)
    raise AssertionError("there is no end to it")


def rows():
    """Time and number of samples of each row, oldest first."""
    found = MetricsSnapshot.objects.order_by("timestamp", "id")
    return [
        (row.timestamp, row.metric_data.get("downsampled", {"samples": 1})["samples"])
        for row in found
    ]


def samples():
    return sum(count for _, count in rows())


def chunks(resolution):
    return Rollup.objects.filter(resolution=resolution, collector="cpu").order_by("start")


def counted(found):
    """The samples that each chunk counts."""
    return [sum(header_of(row.data).n) for row in found]


def test_what_is_old_becomes_one_row_an_hour():
    sampled(WEEK_OLD, 24)
    young = NOW - DAY
    sampled(young, 3)
    run = clean()
    assert rows()[:2] == [(WEEK_OLD, 12), (WEEK_OLD + HOUR, 12)]
    assert [count for _, count in rows()[2:]] == [1, 1, 1]
    assert (run.folded, run.deleted) == (24, 0)


def test_what_is_older_than_the_retention_goes():
    sampled(NOW - 31 * DAY, 24)
    sampled(NOW - DAY, 2)
    assert clean().deleted == 24
    assert len(rows()) == 2


def test_a_second_run_finds_nothing_to_do():
    sampled(NOW - 32 * DAY, 12)
    sampled(WEEK_OLD, 24)
    clean()
    before = list(MetricsSnapshot.objects.values_list("id", "timestamp", "metric_data"))
    run = clean()
    assert (run.folded, run.deleted, run.chunks) == (0, 0, 0)
    assert list(MetricsSnapshot.objects.values_list("id", "timestamp", "metric_data")) == before


def test_rows_of_other_types_stay_as_they_are():
    mine = [stored(NOW - days * DAY, metric_type="mine", a=days) for days in (8, 40, 400)]
    sampled(WEEK_OLD, 24)
    sampled(NOW - 40 * DAY, 24)
    clean()
    left = MetricsSnapshot.objects.filter(metric_type="mine").order_by("id")
    assert list(left.values_list("id", "timestamp", "metric_data")) == [
        (one.id, one.timestamp, one.metric_data) for one in mine
    ]


def test_the_highest_id_stays_so_that_nothing_looks_new():
    sampled(WEEK_OLD, 12)
    highest = MetricsSnapshot.objects.order_by("-id").first().id
    clean()
    assert [row.id for row in MetricsSnapshot.objects.all()] == [highest]
    roll_up()
    assert sum(counted(chunks(3_600))) == 12


def test_samples_are_rolled_up_before_they_are_folded():
    sampled(WEEK_OLD, 24, cpu__usage_percent=4.0)
    assert rollup_state.load() is None
    run = Run(trusts_clock=True)
    while not run.is_done:
        run = retention.step(run, Policy(), NOW)
    assert sum(counted(chunks(3_600))) == 24
    assert samples() == 24


def test_folding_waits_for_roll_ups_that_cannot_be_made(monkeypatch):
    sampled(WEEK_OLD, 24)
    monkeypatch.setattr(rollups, "step", lambda *_: False)
    assert clean().folded == 0
    assert len(rows()) == 24


def test_roll_ups_finer_than_the_interval_go_and_coarser_ones_stay():
    start = WEEK_OLD.replace(hour=0)
    sampled(start, 9, seconds=3 * 3_600, cpu__usage_percent=4.0)
    sampled(NOW - HOUR, 2)
    roll_up()
    before = {r: list(chunks(r).values_list("start", "data")) for r in (3_600, 86_400)}
    clean()
    assert {r: list(chunks(r).values_list("start", "data")) for r in (3_600, 86_400)} == before
    for resolution in (60, 600):
        assert not chunks(resolution).filter(start__lt=start + DAY).exists()
        assert chunks(resolution).exists()
    assert rollup_state.load().tiers[60].since == start.timestamp() + 25 * 3_600


def test_roll_ups_go_with_the_snapshots_by_whole_days():
    sampled(NOW - 15 * DAY, 15, seconds=86_400, cpu__usage_percent=5.0)
    clean(Policy(retention_days=10, downsample_after_days=10))
    oldest = (NOW - 10 * DAY).timestamp()
    for resolution in (3_600, 86_400):
        for row in chunks(resolution):
            for slot, n in enumerate(header_of(row.data).n):
                at = row.start.timestamp() + slot * resolution
                assert not n or at >= oldest - 86_400
        assert 10 <= sum(counted(chunks(resolution))) <= 11


def test_a_chunk_that_says_once_what_it_holds_many_times_is_emptied_too():
    start = NOW.replace(hour=0) - 12 * DAY
    sampled(start, 96, seconds=3_600, cpu__usage_percent=5.0)
    roll_up()
    assert any(isinstance(row.data["n"], dict) for row in chunks(3_600))
    clean(Policy(retention_days=10, downsample_after_days=10))
    assert sum(counted(chunks(3_600))) == 48


def test_minutes_are_kept_for_35_days_where_snapshots_are_kept_longer():
    sampled(NOW - 50 * DAY, 12)
    sampled(NOW - 20 * DAY, 12)
    roll_up()
    clean(Policy(retention_days=90, downsample_after_days=90))
    assert [row.start for row in chunks(60)] == [NOW - 20 * DAY]
    assert len(rows()) == 24


@pytest.mark.parametrize(("after", "days"), [(30, 30), (31, 30), (36_500, 1)])
def test_from_the_retention_on_downsampling_means_never(after, days):
    sampled(NOW - timedelta(hours=23), 12)
    assert clean(Policy(retention_days=days, downsample_after_days=after)).folded == 0


@pytest.mark.parametrize("seconds", [60, 600, 3_600, 86_400])
def test_each_interval_is_folded_into_whole_buckets(seconds):
    start = NOW.replace(hour=0) - 10 * DAY
    sampled(start, 7, seconds=seconds // 3)
    clean(Policy(interval=seconds))
    assert rows() == [
        (start + timedelta(seconds=seconds * n), count) for n, count in enumerate([3, 3, 1])
    ]


def test_a_bucket_is_folded_when_the_whole_of_it_is_old_enough():
    start = NOW - 7 * DAY - HOUR
    sampled(start, 12)
    clean(now=NOW - timedelta(seconds=1))
    assert len(rows()) == 12
    clean(now=NOW)
    assert rows() == [(start, 12)]


def test_a_folded_row_goes_when_the_whole_of_it_is_too_old():
    start = NOW.replace(hour=0) - 31 * DAY
    sampled(start, 3, seconds=8 * 3_600)
    policy = Policy(interval=86_400)
    clean(policy, now=start + 20 * DAY)
    assert clean(policy, now=start + 31 * DAY - timedelta(seconds=1)).deleted == 0
    assert clean(policy, now=start + 31 * DAY).deleted == 1


def test_a_coarser_policy_folds_further_and_a_finer_one_leaves_what_is():
    start = NOW.replace(hour=0) - 10 * DAY
    sampled(start, 120, seconds=30, cpu__usage_percent=3.0)
    clean(Policy(interval=60))
    assert len(rows()) == 60
    clean(Policy(interval=3_600))
    assert rows() == [(start, 120)]
    clean(Policy(interval=60))
    assert rows() == [(start, 120)]
    clean(Policy(interval=86_400))
    assert rows() == [(start, 120)]


def test_a_late_sample_joins_the_bucket_that_was_folded_long_ago():
    start = NOW.replace(hour=0) - 10 * DAY
    sampled(start, 6, seconds=4 * 3_600, cpu__usage_percent=3.0)
    sampled(NOW - HOUR, 1)
    for interval in (3_600, 86_400):
        policy = Policy(interval=interval)
        clean(policy)
        late = start + timedelta(hours=7, minutes=13, seconds=1)
        stored(late, interval=300, cpu__usage_percent=9.0)
        clean(policy)
        found = [row for row in rows() if row[0] < NOW - DAY]
        assert (len(found), sum(count for _, count in found)) == (
            (7, 7) if interval == 3_600 else (1, 8)
        )
        for resolution in (3_600, 86_400):
            of_samples = counted(chunks(resolution).order_by("start"))[0]
            if resolution >= interval:
                assert of_samples == samples() - 1, (interval, resolution)


def test_a_late_sample_is_not_folded_before_it_is_rolled_up():
    sampled(WEEK_OLD, 12, cpu__usage_percent=1.0)
    roll_up()
    stored(WEEK_OLD + timedelta(seconds=30), interval=300, cpu__usage_percent=40.0)
    clean()
    assert chunks(3_600).get().data["s"]["cpu.usage_percent"]["max"].count(40) == 1
    assert sum(counted(chunks(3_600))) == samples() == 13


def test_rows_that_change_while_they_are_read_are_read_again(monkeypatch):
    sampled(WEEK_OLD, 12)
    roll_up()
    read = retention._read

    def disturbed(*arguments):
        found = read(*arguments)
        monkeypatch.setattr(retention, "_read", read)
        MetricsSnapshot.objects.order_by("id").first().delete()
        return found

    monkeypatch.setattr(retention, "_read", disturbed)
    clean()
    assert rows() == [(WEEK_OLD, 11)]


def test_a_bucket_may_take_several_steps(monkeypatch):
    monkeypatch.setattr(retention, "READ_SECONDS", 0)
    sampled(WEEK_OLD, 120, seconds=30, cpu__usage_percent=2.5)
    roll_up()
    run, seen = Run(trusts_clock=True, phase=Phase.FOLD), []
    while run.phase is Phase.FOLD:
        run = retention.step(run, Policy(), NOW)
        seen.append(len(rows()))
        assert samples() == 120
    assert seen == [96, 72, 48, 24, 1, 1]
    row = MetricsSnapshot.objects.get()
    assert row.metric_data["cpu"]["usage_percent"] == 2.5
    assert run.folded == 120


def test_a_run_travels_as_json():
    run = Run(phase=Phase.FOLD, position=5.5, deleted=3)
    assert Run.of(run.as_json()) == run
    with pytest.raises(ValueError, match="sideways"):
        Run.of(run.as_json() | {"phase": "sideways"})
    with pytest.raises(TypeError):
        Run.of(run.as_json() | {"more": 1})


def test_the_end_of_a_run_is_written_without_touching_the_policy():
    before = ArchivePolicy.current()
    clean()
    after = ArchivePolicy.current()
    assert after.last_archive_run == NOW
    assert after.updated_at == before.updated_at


def test_the_policy_of_the_lowest_id_rules():
    ArchivePolicy.objects.all().update(retention_days=45, downsample_interval="10 minutes")
    ArchivePolicy.objects.create(retention_days=1)
    assert retention.current_policy() == Policy(45, 7, 600, None)
    ArchivePolicy.objects.all().update(downsample_interval="a while")
    assert retention.current_policy().interval == 3_600


def test_the_oldest_goes_where_the_size_is_bounded(monkeypatch):
    sampled(NOW - 3 * DAY, 48, seconds=3_600, cpu__usage_percent=1.0)
    sampled(NOW - HOUR, 4, seconds=60)
    roll_up()
    monkeypatch.setattr(retention.sizes, "excess", lambda max_mb: 30 if max_mb == 500 else 1_000)
    Config.objects.filter(key="retention").update(
        value={"days": 30, "archive_enabled": True, "max_mb": 500}
    )
    policy = retention.current_policy()
    assert clean(policy).deleted == 30
    assert rows()[0][0] == NOW - 3 * DAY + 30 * HOUR + timedelta(milliseconds=3)
    assert chunks(60).first().start >= NOW - 3 * DAY + 29 * HOUR
    # Whatever the bound, the last hour stays.
    assert clean(Policy(max_mb=10)).deleted == 18
    assert len(rows()) == 4


# --- clocks ---------------------------------------------------------------------------------


def test_a_clock_that_jumped_forward_makes_nothing_old():
    sampled(NOW - DAY, 3, seconds=3_600)
    future = NOW + 400 * DAY
    sampled(future, 5, seconds=5)
    assert retention.believed(future) <= NOW + timedelta(hours=6)
    run = Run()
    while not run.is_done:
        run = retention.step(run, Policy(), future)
    assert len(rows()) == 8


def test_three_hours_of_samples_are_believed():
    sampled(NOW - 60 * DAY, 10)
    later = NOW - 3 * HOUR
    Config(key="sampling", value={"interval_seconds": 300}).save()
    sampled(later, 37)
    assert retention.believed(NOW) == NOW


def test_a_clock_that_was_set_back_deletes_less():
    sampled(NOW - 31 * DAY, 12)
    assert clean(now=NOW - 300 * DAY).deleted == 0


def test_an_empty_table_is_cleaned_at_once():
    assert retention.believed(NOW) == NOW
    assert clean().is_done


def test_moments_are_read_with_and_without_a_fraction():
    for second in (1, 1.5):
        stored(WEEK_OLD + timedelta(seconds=second))
        clean()
    assert rows() == [(WEEK_OLD, 2)]
