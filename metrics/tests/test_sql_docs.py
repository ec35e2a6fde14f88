"""The recipes of docs/sql.md, each run on its database."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.db import connection

from metrics.tests.builders import stored
from metrics.tests.test_docs import statements

pytestmark = pytest.mark.django_db
DOCUMENT = Path("docs/sql.md")

# What Grafana makes of its macros.
MACROS = {
    "$__timeGroupAlias(timestamp, $__interval)": (
        'floor(extract(epoch FROM timestamp) / 60) * 60 AS "time"'
    ),
    "$__timeFilter(timestamp)": "timestamp BETWEEN now() - interval '1 hour' AND now()",
}
# Of the last query below a heading, its second column and those behind.
EXPECTED = {
    "The last hour": [(10, 10), (20, 20), (30, 30), (40, 40)],
    "The busiest days": None,
    "Percentiles of each hour": None,
    "Gaps": [(86_400 - 50 * 60,), (600,), (600,), (600,)],
    "Which disk was slow": [(50, 7.5), (5, None)],
    "Which filesystem fills up": [(3,), (0,)],
    "Who was busy": [(2, 75), (1, 20)],
    "Events per second": [(100,)],
    "Joined with a table of your own": [(20, 35)],
    "Grafana": None,
}


def recipes():
    """[heading, the blocks below it that are for this database]."""
    for part in DOCUMENT.read_text().split("\n## ")[1:]:
        heading, _, text = part.partition("\n")
        yield heading, re.findall(r"```sql\n-- (PostgreSQL|SQLite)\n(.*?)```", text, re.S)


@pytest.fixture
def day():
    """Samples of yesterday and of the last hour."""
    now = datetime.now(UTC)
    stored(now - timedelta(days=1, seconds=-20), cpu__usage_percent=90)
    disks = {"sda": {"util_percent": 50, "read_await_ms": 7.5}, "sdb": {"util_percent": 5}}
    for minutes, usage in ((50, 10), (40, 20), (30, 30), (20, 40)):
        busy = {"1": {"name": "postgres", "cpu_percent": usage + 35}} if minutes <= 30 else {}
        busy |= {"2": {"name": "gzip", "cpu_percent": 20}} if minutes == 30 else {}
        full = {"/": {"percent": 50 + usage / 10}, "/boot": {"percent": 20}}
        stored(
            now - timedelta(minutes=minutes, seconds=-20),
            cpu__usage_percent=usage,
            disk__devices=disks,
            disk__partitions=full,
            processes__top_cpu=busy,
            perf_events__context_switches=500 if minutes == 30 else None,
        )


def run(block):
    for macro, text in MACROS.items():
        block = block.replace(macro, text)
    rows = []
    with connection.cursor() as cursor:
        for statement in block.strip().removesuffix(";").split(";\n"):
            cursor.execute(statement)
            rows = cursor.fetchall() if cursor.description else []
    return rows


def may_make_roles():
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        return cursor.fetchone()[0]


@pytest.mark.parametrize(("heading", "blocks"), list(recipes()), ids=lambda value: str(value)[:30])
def test_a_recipe_answers_on_its_database(day, heading, blocks):
    vendor = {"postgresql": "PostgreSQL", "sqlite": "SQLite"}[connection.vendor]
    own = [sql for name, sql in blocks if name == vendor]
    rows = []
    for sql in own:
        if "CREATE ROLE" in sql and not may_make_roles():
            continue
        rows = run(sql)
        assert rows or not sql.startswith(("SELECT", "WITH"))
    if own and EXPECTED[heading]:
        assert [tuple(row[1:]) for row in rows] == EXPECTED[heading]


def test_every_recipe_is_there_in_both_dialects():
    found = dict(recipes())
    assert found.keys() == EXPECTED.keys()
    for heading, blocks in found.items():
        names = [name for name, _ in blocks]
        assert heading == "Grafana" or names.count("SQLite") == names.count("PostgreSQL") > 0
    assert len(list(statements(DOCUMENT))) == sum(map(len, found.values()))


def test_the_percentiles_are_those_of_their_hour(day):
    at = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)
    for n in range(100):
        stored(at + timedelta(seconds=n), cpu__usage_percent=n + 1)
    vendor = {"postgresql": "PostgreSQL", "sqlite": "SQLite"}[connection.vendor]
    blocks = dict(recipes())["Percentiles of each hour"]
    rows = run(dict(blocks)[vendor])
    assert (50, 95) in [row[1:] for row in rows]


def test_the_busiest_day_comes_first(day):
    vendor = {"postgresql": "PostgreSQL", "sqlite": "SQLite"}[connection.vendor]
    stored(datetime.now(UTC) - timedelta(days=4), cpu__usage_percent=99)
    rows = run(dict(dict(recipes())["The busiest days"])[vendor])
    assert rows[0][1:] == (99, 99, 1)
