"""Rows that somebody wrote by SQL: what cannot be meant counts as absent, and stops nothing."""

import copy
import json
import math
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.urls import reverse

from metrics import retention, rollups
from metrics.archiving import Policy
from metrics.buckets import LONGEST_INTERVAL, Buckets, all_series
from metrics.chunks import COLLECTORS, patched
from metrics.collectors import FIELDS
from metrics.collectors.fields import Kind
from metrics.documents import LARGEST, SMALLEST, documents, opened
from metrics.folding import Fold
from metrics.models import MetricsSnapshot
from metrics.querysets.snapshots import snapshots
from metrics.retention import Run
from metrics.tests.builders import document, stored

WHOLE = ["[]", "[[1]]", '"text"', "7", "true", "null", "{}"]
"""Instead of a document."""

PARTS = [
    *("1e400", "-1e400", "1" + "0" * 400, "9" * 5_000, "1e49", "1e-320", "-1", "0"),
    *('"NaN"', '"12"', "true", "[]", "[[1]]", '[null, "x", {}]', "{}", '{"a": {"b": 1}}'),
]
"""Instead of a part of one, or of a number."""

MARK = "somebody's"
DEVICES = ["perf_events.cycles", "network.interfaces.eth0.bytes_recv_per_sec"]
SERIES = ["cpu.usage_percent", "memory.total_bytes", "cpu.per_core.1", "perf_events.ipc", *DEVICES]


def full():
    """A document with a number for each declared field, and one device of each kind."""
    made = document()
    for field in FIELDS:
        if field.kind is not Kind.STATE and field.path != "cpu.per_core.*":
            *parents, last = field.path.replace("*", "eth0").split(".")
            target = made
            for parent in parents:
                target = target.setdefault(parent, {})
            target[last] = 12.5
    made["cpu"]["per_core"] = [1.0, 2.0]
    rank = {"name": "postgres", "pid": 7, "user": "db", "cpu_percent": 50.0, "rss_bytes": 5}
    made["processes"]["top_cpu"] = {"1": rank}
    made["sampler"]["status"] = {"cpu": "ok"}
    made["sampler"]["collect_ms"] = {"cpu": 1.5}
    return made


def places(value, path=()):
    """Each place of a document, parts included."""
    for name, one in value.items() if isinstance(value, dict) else enumerate(value):
        yield (*path, name)
        if isinstance(one, dict | list):
            yield from places(one, (*path, name))


def changed(made, place, text):
    """The document as JSON, with a text in place of one part."""
    made = copy.deepcopy(made)
    target = made
    for name in place[:-1]:
        target = target[name]
    target[place[-1]] = MARK
    return json.dumps(made).replace(f'"{MARK}"', text)


def put(moment, text):
    """Write a row as somebody at the database's prompt would."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO metrics_snapshot (timestamp, metric_type, metric_data)"
            " VALUES (%s, 'aggregated', %s)",
            [connection.ops.adapt_datetimefield_value(moment), text],
        )


def strange_texts():
    """One document for each bad text, wrong in many places at once, and those that are none."""
    made = full()
    every = [place for place in places(made) if place[0] != "timestamp"]
    for number, text in enumerate(PARTS):
        for offset in range(0, len(every), 29):
            yield changed(made, every[(offset + number) % len(every)], text)
    yield from WHOLE


@pytest.fixture(params=["young", "old"])
def strange(db, request):
    """Good rows, and among them as many strange ones; the newest is strange."""
    until = datetime.now(UTC) - (timedelta(days=9) if request.param == "old" else timedelta())
    texts = list(strange_texts())
    for number, text in enumerate(texts):
        at = until - timedelta(seconds=5 * (len(texts) - number))
        stored(at - timedelta(seconds=2.5), cpu__usage_percent=12.5)
        put(at, text)
    return until


def roll_up():
    while rollups.step(datetime.now(UTC), rollups.LARGE):
        pass


@pytest.mark.parametrize("text", WHOLE)
def test_what_is_no_document_counts_as_an_empty_one(text):
    assert documents([text, '{"cpu": {}}']) == [{}, {"cpu": {}}]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e400", None),
        ("1" + "0" * 400, None),
        ("9" * 5_000, None),
        ("-1e51", None),
        ("1e-320", 0.0),
        ("0.0", 0.0),
        ("-2.5", -2.5),
        ("18446744073709551615", 2**64 - 1),
        ("[" * 3_000 + "]" * 3_000, None),
        ('"\\ud800"', "?"),
        ('"\\ud83d\\ude00"', "\N{GRINNING FACE}"),
    ],
)
def test_only_numbers_that_can_be_reckoned_with_are_read(text, value):
    assert opened(text) == value


def test_squares_of_what_is_read_are_finite():
    assert math.isfinite(LARGEST**2 / SMALLEST**2)


@pytest.mark.parametrize("text", PARTS)
def test_whatever_stands_wherever_it_is_summed_up_and_folded(text):
    good = full()
    folded = Fold(0, 60)
    folded.add(full())
    for made in (good, folded.document()):
        # Each text at a ninth of the places, each place with some of the texts.
        for place in list(places(made))[PARTS.index(text) % 9 :: 9]:
            [wrong] = documents([changed(made, place, text)])
            buckets = Buckets(0, 60, 1)
            buckets.add([(1, good), (2, wrong)], all_series)
            for collector in COLLECTORS:
                json.dumps(patched(None, 60, collector, 0, buckets), allow_nan=False)
            fold = Fold(0, 60)
            fold.add(copy.deepcopy(wrong))
            fold.add(full())
            json.dumps(fold.document(), allow_nan=False)


@pytest.mark.parametrize("seconds", [LONGEST_INTERVAL + 1, 1e49, -5, "5", None])
def test_an_interval_that_nobody_samples_at_is_none(seconds):
    buckets = Buckets(0, 60, 1)
    buckets.add([(1, document(interval=seconds, cpu__usage_percent=1.0))], all_series)
    assert (buckets.header.seconds, buckets.header.interval) == ([0], [0])


def test_a_row_that_is_no_document_does_not_take_the_words_of_the_others():
    fold = Fold(0, 60)
    fold.add(document(host__name="bluebell"))
    fold.add([])
    made = fold.document()
    assert (made["host"]["name"], made["downsampled"]["samples"]) == ("bluebell", 2)


@pytest.mark.parametrize("number", ["99999999999", "9" * 5_000])
def test_a_cpu_that_no_kernel_can_have_makes_no_list_of_that_length(number):
    fold = Fold(0, 60)
    fold.add(document(cpu__per_core={number: 1.0, "1": 2.0}))
    assert fold.document()["cpu"]["per_core"] == [None, 2]


@pytest.mark.usefixtures("strange")
def test_they_are_rolled_up_and_folded():
    count = MetricsSnapshot.objects.count()
    roll_up()
    run = Run(trusts_clock=True)
    while not run.is_done:
        run = retention.step(run, Policy(), datetime.now(UTC))
    left = list(snapshots().documents())
    counted = (made.get("downsampled", {"samples": 1})["samples"] for _, made in left)
    assert (run.folded > 0) == (sum(counted) == count > len(left))
    roll_up()


def test_samples_that_do_not_say_their_interval_may_be_the_last_of_a_chunk(
    administrator_client, db
):
    hour = datetime(2026, 3, 1, 12, tzinfo=UTC)
    stored(hour, cpu__usage_percent=10.0)
    stored(hour + timedelta(minutes=59), interval=None, cpu__usage_percent=20.0)
    roll_up()
    asked = {"from": "2026-03-01T12:00", "to": "2026-03-01T13:00", "field": "cpu.usage_percent"}
    found = administrator_client.get(reverse("api-series"), asked).json()
    assert found["series"]["cpu.usage_percent"]["statistics"]["mean"] == 15


def test_the_administration_shows_what_is_left_of_a_document(administrator_client, db):
    put(datetime.now(UTC), '{"host": {"name": "bluebell"}, "own": %s}' % ("9" * 5_000))
    row = MetricsSnapshot.objects.values_list("id", flat=True).get()
    page = administrator_client.get(reverse("admin:metrics_metricssnapshot_change", args=[row]))
    assert "bluebell" in page.text


@pytest.mark.parametrize("rolled_up", [False, True])
def test_every_page_and_the_api_answer(strange, administrator_client, rolled_up):
    if rolled_up:
        roll_up()
    stretch = {"from": (strange - timedelta(hours=1)).isoformat(), "to": strange.isoformat()}
    compared = stretch | {"compare": "previous"}
    first = MetricsSnapshot.objects.order_by("id").values_list("id", flat=True)[0]
    for path, asked in [
        ("/", {}),
        ("/live/", {"after": first}),
        (reverse("history"), compared | {"tables": "on"}),
        (
            reverse("history-moment"),
            {"at": (strange - timedelta(minutes=9)).isoformat(), "step": 600},
        ),
        (reverse("history-changes"), compared),
        (reverse("history-verdict"), stretch),
        (reverse("api-series"), stretch | {"field": SERIES}),
        (reverse("api-series"), stretch | {"field": SERIES, "points": 20}),
        (reverse("api-compare"), compared | {"field": SERIES}),
        *((reverse("api-export"), stretch | {"format": one}) for one in ("csv", "json", "jsonl")),
        (reverse("api-export"), stretch | {"rows": "samples"}),
        (reverse("settings"), {}),
        (reverse("cleanup"), {}),
        (reverse("admin:metrics_metricssnapshot_changelist"), {}),
        ("/readyz", {}),
    ]:
        response = administrator_client.get(path, asked)
        assert response.status_code in ({200, 503} if path == "/readyz" else {200}), path
        assert b"".join(response) if response.streaming else response.content


def test_what_is_good_among_them_is_drawn(strange, administrator_client):
    stretch = {"from": (strange - timedelta(hours=2)).isoformat(), "to": strange.isoformat()}
    asked = stretch | {"field": "cpu.usage_percent"}
    before = administrator_client.get(reverse("api-series"), asked).json()
    roll_up()
    after = administrator_client.get(reverse("api-series"), asked).json()
    for answer in (before, after):
        assert answer["series"]["cpu.usage_percent"]["statistics"]["mean"] > 0
