"""Everything from one database to another: the same rows, also after a kill."""

import io
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections

from accounts.models import User
from metrics import rollups, transfer
from metrics.importing.base import Ready, marked
from metrics.importing.writing import store
from metrics.lock import lock_file, lock_path
from metrics.management.commands import transfer as command
from metrics.models import ArchivePolicy, Config, MetricsSnapshot, Rollup
from metrics.tests.builders import NOW, document, stored
from metrics.tests.processes import ROOT, Processes
from perfwatch_site.databases import described, known, prepared

OTHER, THIRD = "other", "third"


@pytest.fixture
def filled(transactional_db, administrator, installed, django_db_blocker):
    """A database with something in each kind of table."""
    for minutes in range(20):
        at = NOW - timedelta(minutes=minutes)
        odd = {'tab\tquote"\\': {"read_iops": 1e22, "write_iops": 0.1}, "ü€": {"read_iops": 1e-7}}
        stored(at, cpu__usage_percent=minutes * 1.1, disk__devices=odd)
    stored(NOW, metric_type="mine")
    old = NOW - timedelta(days=1)
    store([Ready(old, marked(document(old, cpu__usage_percent=1.5), "demo"))])
    while rollups.step(NOW + timedelta(hours=1), rollups.LARGE):
        pass
    Config(key="own", value={"any": ["thing", 1.0, None]}).save()
    policy = ArchivePolicy.current()
    policy.retention_days = 77
    policy.save()
    with django_db_blocker.unblock():  # other databases are forbidden else
        yield


def run(url):
    output = io.StringIO()
    call_command("transfer", "--to", url, stdout=output, stderr=output)
    return output.getvalue()


@pytest.fixture
def other(tmp_path):
    """Another SQLite database, and how Django gets at it once it was filled."""
    path = tmp_path / "other.sqlite3"
    url = f"sqlite:///{path}"
    with known(OTHER, prepared(described("x", url, ROOT))):
        yield url


def contents(alias):
    return {
        model._meta.db_table: [
            transfer._digest(row, model) for row in transfer._batch(model, alias, None)
        ]
        for model in transfer.tables()
    }


def test_everything_arrives_and_is_compared(filled, other):
    told = run(other)
    assert "rows are the same in both" in told
    assert f"metrics_snapshot             {22:>10}" in told
    assert contents(OTHER) == contents("default")
    assert MetricsSnapshot.objects.using(OTHER).filter(id__lt=0).count() == 1
    assert User.objects.using(OTHER).get().check_password("correct horse battery")
    assert not Config.objects.using(OTHER).filter(key=transfer.MARK).exists()
    assert ArchivePolicy.objects.using(OTHER).get().retention_days == 77


def test_back_again_to_this_kind_of_database(filled, other, tmp_path):
    run(other)
    third = create_third(tmp_path)
    try:
        call_command("migrate", database=THIRD, verbosity=0)
        transfer.check(OTHER, THIRD)
        list(transfer.copy(OTHER, THIRD))
        found = []
        list(transfer.verify(OTHER, THIRD, found))
        transfer.finish(THIRD)
        assert contents(THIRD) == contents("default")
        assert sum(table.rows for table in found) == sum(map(len, contents("default").values()))
        added = MetricsSnapshot.objects.using(THIRD).create(
            timestamp=NOW, metric_type="mine", metric_data={}
        )
        assert added.id > MetricsSnapshot.objects.latest("id").id
    finally:
        drop_third(third)


def create_third(tmp_path):
    settings = connection.settings_dict | {"NAME": str(tmp_path / "third.sqlite3")}
    if connection.vendor == "postgresql":
        settings["NAME"] = f"{connection.settings_dict['NAME']}_third"
        with connection.cursor() as cursor:
            cursor.execute(f'CREATE DATABASE "{settings["NAME"]}"')
    connections.databases[THIRD] = settings
    return settings["NAME"]


def drop_third(name):
    connections[THIRD].close()
    del connections[THIRD]
    del connections.databases[THIRD]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f'DROP DATABASE "{name}"')


def test_a_transfer_that_was_stopped_goes_on(filled, other, monkeypatch):
    monkeypatch.setattr(transfer, "BATCH", 5)
    whole = transfer._insert

    def stopped(model, alias, batch):
        if model is MetricsSnapshot and MetricsSnapshot.objects.using(alias).count() >= 10:
            raise KeyboardInterrupt
        whole(model, alias, batch)

    monkeypatch.setattr(transfer, "_insert", stopped)
    with pytest.raises(CommandError, match="Start it again to go on"):
        run(other)
    assert MetricsSnapshot.objects.using(OTHER).count() == 10
    monkeypatch.setattr(transfer, "_insert", whole)
    assert "rows are the same in both" in run(other)
    assert contents(OTHER) == contents("default")


def test_kill_9_in_the_middle_and_again(filled, other, tmp_path):
    MetricsSnapshot.objects.bulk_create(
        MetricsSnapshot(timestamp=NOW, metric_type="aggregated", metric_data=document(NOW))
        for _ in range(3_000)
    )
    process = subprocess.Popen(
        [sys.executable, "manage.py", "transfer", "--to", other],
        env=Processes(tmp_path).environment,
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not copied(other):
            assert process.poll() is None
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert "rows are the same in both" in run(other)
    assert contents(OTHER) == contents("default")


def copied(url):
    """Whether a first batch has arrived."""
    if not Path(url.removeprefix("sqlite:///")).exists():
        return False
    tables = connections[OTHER].introspection.table_names()
    return "metrics_rollup" in tables and MetricsSnapshot.objects.using(OTHER).exists()


def test_what_differs_is_found(filled, other, monkeypatch):
    whole = transfer._insert

    def wrong(model, alias, batch):
        if model is Rollup:
            batch = [*batch[:-1], (*batch[-1][:-1], batch[-1][-1].replace("1", "2"))]
        whole(model, alias, batch)

    monkeypatch.setattr(transfer, "_insert", wrong)
    with pytest.raises(CommandError, match=r"metrics_rollup: the row \d+ is not the same"):
        run(other)


def test_rows_that_lack_are_found(filled, other, monkeypatch):
    whole = transfer._insert

    def fewer(model, alias, batch):
        whole(model, alias, batch[1:] if model is Rollup else batch)

    monkeypatch.setattr(transfer, "_insert", fewer)
    with pytest.raises(CommandError, match="metrics_rollup: the row"):
        run(other)


def test_a_target_with_data_is_refused(filled, other):
    run(other)
    with pytest.raises(CommandError, match="The target holds data already"):
        run(other)


def test_the_database_in_use_is_refused(filled):
    settings = connection.settings_dict
    login = f"{settings['USER']}:{settings['PASSWORD']}"
    place = f"{settings['HOST']}:{settings['PORT']}"
    url = f"sqlite:///{settings['NAME']}"
    if connection.vendor == "postgresql":
        url = f"postgres://{login}@{place}/{settings['NAME']}"
    with pytest.raises(CommandError, match="is the database that is in use"):
        run(url)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("mysql://user:secret@host/name", "--to must be like postgres://"),
        ("nonsense", "--to must be like postgres://"),
        ("sqlite:////no/such/folder/file", "unable to open database file"),
        ("postgres://user:secret@127.0.0.1:1/name", "refused"),
    ],
)
def test_a_wrong_url_is_said_in_one_line_without_its_password(filled, url, sentence):
    with pytest.raises(CommandError) as error:
        run(url)
    assert sentence in str(error.value)
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)


def test_perfwatch_has_to_be_stopped(filled, other):
    with lock_file(lock_path()), pytest.raises(CommandError, match="Stop PerfWatch first"):
        run(other)


def test_progress_has_share_rate_and_time_left():
    step = transfer.Progress("copying", 500, 1_000, "metrics_snapshot")
    text = command.progress(step, 400, 2.0)
    assert text == "copying metrics_snapshot: 50 %, 200 rows per second, 2 s left"
