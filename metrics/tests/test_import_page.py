"""Importing and removing from a page: uploaded, checked, written a step a poll, and told."""

import bz2
import gzip
import html
import os
import re
import time
from datetime import timedelta

import pytest
from django.contrib.admin.models import ADDITION, DELETION, LogEntry
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import OperationalError, connection
from django.test import Client
from django.urls import reverse

from accounts.models import User
from metrics import rollups
from metrics.importing import job as jobs
from metrics.importing import reading, running, stepwise, uploads, writing
from metrics.lock import only_one
from metrics.models import ArchivePolicy, MetricsSnapshot, Rollup
from metrics.querysets.snapshots import imported
from metrics.tests.archives import record, sadc_is_missing
from metrics.tests.builders import NOW, stored
from metrics.tests.test_import_command import archive, lines
from metrics.tests.test_settings_page import HTMX, words
from perfwatch_site.tests.servers import missing

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("installed", "cpu_alone")]

PAGE, STEP = "/settings/import/", "/settings/import/step/"
SOURCES, REMOVE = "/settings/import/sources/", "/settings/import/remove/"


@pytest.fixture(autouse=True)
def place(settings, tmp_path):
    """A data folder of the test's own; nothing stays open."""
    settings.PERFWATCH_DATA_DIR = tmp_path / "data"
    settings.PERFWATCH_DATA_DIR.mkdir()
    settings.FILE_UPLOAD_TEMP_DIR = str(settings.PERFWATCH_DATA_DIR)
    yield settings.PERFWATCH_DATA_DIR
    reading.close_all()


def left_behind(place):
    return [path.name for path in place.rglob("*") if path.is_file() and path.name != "job.json"]


def text_of(count, **values):
    return ("\n".join(lines(count, **values)) + "\n").encode()


def upload(client, *contents, name="week.jsonl", headers=None, **fields):
    files = [SimpleUploadedFile(name, content) for content in contents]
    return client.post(PAGE, {"file": files} | fields, headers=headers)


def poll(client, id=None):
    return client.post(STEP, {"job": id or jobs.current().id}, headers=HTMX)


def to_its_end(client):
    """Poll as the page does; return the result's words and the shares that were shown."""
    shares, answer = [], client.get(PAGE)
    while 'id="import"' in answer.text:
        answer = poll(client)
        shares += map(int, re.findall(r'<progress max="100" value="(\d+)"', answer.text))
        assert len(shares) < 500
    assert answer.headers.get("HX-Redirect") in (PAGE, None)
    return words(client.get(PAGE)), shares


def imported_file(client, *contents, **options):
    upload(client, *contents, **options)
    return to_its_end(client)[0]


def test_a_file_is_checked_written_and_told_step_by_step(administrator_client, place, monkeypatch):
    monkeypatch.setattr(running, "MOST_ROWS", 20)
    monkeypatch.setattr(stepwise, "STEP_SECONDS", 0)
    answer = upload(administrator_client, text_of(100))
    assert (answer.status_code, answer["Location"]) == (302, PAGE)
    page = words(administrator_client.get(PAGE))
    assert "Importing week.jsonl" in page and "Checking: nothing is written yet" in page
    assert "Begun by boss" in page
    poll(administrator_client)
    assert not MetricsSnapshot.objects.exists()
    result, shares = to_its_end(administrator_client)
    assert "Imported 100 rows of week.jsonl" in result
    assert "of 2026-03-01 11:51 to 2026-03-01 12:00 UTC, from snapshots:web1." in result
    assert len(shares) >= 9 and max(shares) <= 99
    assert MetricsSnapshot.objects.count() == 100
    chunks = Rollup.objects.filter(resolution=60, collector="cpu")
    assert sum(sum(chunk.data["n"]) for chunk in chunks) == 100
    assert left_behind(place) == []


@pytest.mark.parametrize("packed", [bytes, gzip.compress, bz2.compress])
def test_what_kind_a_file_is_is_found_out_from_its_content(administrator_client, tmp_path, packed):
    result = imported_file(administrator_client, packed(text_of(10)), name="photo.png")
    assert "Imported 10 rows of photo.png" in result
    printed = archive(tmp_path / "a.json", 0, 12).read_bytes()
    result = imported_file(administrator_client, packed(printed), name="backup")
    assert "Imported 12 rows of backup" in result and "from sysstat:" in result


def test_an_archive_of_sysstat_is_read_through_sadf(administrator_client, tmp_path):
    if sadc_is_missing():
        missing("no sysstat (Debian: sysstat)")
    record(tmp_path / "sa01", 4)
    result = imported_file(administrator_client, (tmp_path / "sa01").read_bytes(), name="sa01")
    assert re.search(r"Imported [34] rows of sa01", result)


def test_several_files_are_one_import(administrator_client, tmp_path, place):
    contents = [archive(tmp_path / "a.json", first, 60).read_bytes() for first in (0, 50)]
    result = imported_file(administrator_client, *contents, name="sa01.json")
    assert "Imported 110 rows of sa01.json and 1 more" in result
    assert "10 rows were stored already." in result
    assert left_behind(place) == []


def test_the_same_file_twice_adds_nothing(administrator_client):
    content = text_of(30)
    imported_file(administrator_client, content)
    result = imported_file(administrator_client, content)
    assert "Imported 0 rows" in result and "30 rows were stored already." in result
    assert MetricsSnapshot.objects.count() == 30


def test_the_time_that_perfwatch_has_sampled_is_left_out(administrator_client, tmp_path):
    stored(NOW.replace(hour=0, minute=19))
    content = archive(tmp_path / "a.json", 0, 10).read_bytes()
    result = imported_file(administrator_client, content)
    assert "Imported 9 rows" in result
    assert "1 rows were left out because PerfWatch has samples of its own" in result


def test_a_bad_line_is_named_and_nothing_is_written(administrator_client, place):
    result = imported_file(administrator_client, text_of(3) + b'{"metric_type": "x"}\n')
    assert "Nothing was imported of week.jsonl" in result
    assert "week.jsonl, line 4, metric_type: 'x' is not 'aggregated'" in result
    assert str(place) not in result
    assert not MetricsSnapshot.objects.exists()
    assert not LogEntry.objects.exists()
    assert left_behind(place) == []


def test_what_is_bad_is_left_out_where_that_is_ticked(administrator_client):
    content = text_of(3) + b"{\n" * 30 + text_of(3, until=NOW - timedelta(hours=1))
    result = imported_file(administrator_client, content, skip_bad="on")
    assert "Imported 6 rows" in result
    assert "30 bad ones left out, the first of them:" in result
    assert "week.jsonl, line 4: no JSON" in result
    assert "line 24" not in result


@pytest.mark.parametrize("packed", [bytes, gzip.compress])
def test_a_file_that_is_cut_off_is_named(administrator_client, packed):
    whole = packed(text_of(60))
    content = whole[: len(whole) - 30]
    said = "the file ends in the middle of it" if packed is bytes else "file is cut off"
    assert said in imported_file(administrator_client, content)
    assert not MetricsSnapshot.objects.exists()
    assert said in imported_file(administrator_client, content, skip_bad="on")
    assert MetricsSnapshot.objects.count() in (58, 59)


def test_where_all_is_bad_nothing_was_imported(administrator_client):
    content = b'{"metric_type": "x"}\n' * 3
    result = imported_file(administrator_client, content, skip_bad="on")
    assert "Nothing was imported of week.jsonl." in result
    assert "3 bad ones left out:" in result


@pytest.mark.parametrize("headers", [None, HTMX])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is empty."),
        (b"PNG nonsense", "it is neither an archive of sysstat, nor JSON of"),
        (b'{"series": []}', "it is neither"),
        (gzip.compress(b"nonsense", mtime=0), "it is neither"),
        (b"\x1f\x8b\x08nonsense", "the compressed file is"),
    ],
)
def test_what_is_no_file_of_samples_is_refused_at_once(
    administrator_client, place, content, said, headers
):
    answer = upload(administrator_client, content, name="x.bin", headers=headers)
    assert f"x.bin, line 1: {said}" in words(answer) or f"x.bin: {said}" in words(answer)
    assert "Nothing was imported." in words(answer)
    assert jobs.current() is None
    assert left_behind(place) == []


def test_one_that_is_wrong_refuses_all_that_were_chosen(administrator_client, place):
    answer = upload(administrator_client, text_of(3), b"nonsense")
    assert "it is neither" in words(answer)
    assert jobs.current() is None
    assert left_behind(place) == []


def test_without_a_file_it_asks_for_one(administrator_client):
    assert "Choose a file." in words(administrator_client.post(PAGE, {}))


def test_an_upload_has_bounds(administrator_client, place, monkeypatch):
    monkeypatch.setattr(uploads, "MOST_BYTES", 100_000)
    assert "at once" in words(upload(administrator_client, b"x" * 200_000))
    monkeypatch.setattr(uploads, "MOST_FILES", 2)
    assert "more than 2 files" in words(upload(administrator_client, *[text_of(1)] * 3))
    monkeypatch.setattr(uploads, "SPARE_BYTES", 1 << 60)
    assert "There is no room for it" in words(upload(administrator_client, text_of(1)))
    assert jobs.current() is None
    assert left_behind(place) == []


def test_an_upload_goes_to_the_data_folder_and_not_to_memory(
    administrator_client, place, monkeypatch
):
    seen = []
    before = uploads.Bounded.receive_data_chunk

    def watched(handler, raw_data, start):
        before(handler, raw_data, start)
        seen.append((len(raw_data), left_behind(place)))

    monkeypatch.setattr(uploads.Bounded, "receive_data_chunk", watched)
    upload(administrator_client, text_of(2_000))
    assert len(seen) > 10
    assert max(size for size, _ in seen) <= 1 << 16
    assert all(len(names) == 1 for _, names in seen)
    mode = (place / "import" / "0").stat().st_mode
    assert (mode & 0o077, (place / "import").stat().st_mode & 0o077) == (0, 0)


def test_a_gzip_bomb_ends_with_a_sentence(administrator_client, monkeypatch):
    monkeypatch.setattr("metrics.importing.files.LEAST_BYTES", 1 << 20)
    bomb = gzip.compress(text_of(3) + b" " * (20 << 20))
    assert "it unpacks to more than" in imported_file(administrator_client, bomb)
    assert not MetricsSnapshot.objects.exists()


def test_viewers_can_nothing_and_see_no_form(viewer_client, place):
    assert upload(viewer_client, text_of(1)).status_code == 403
    for path in (PAGE, SOURCES):
        answer = viewer_client.get(path)
        assert answer.status_code == 403 and "<input" not in answer.text.partition("<main")[2]
    for path in (STEP, REMOVE):
        assert viewer_client.post(path, {"job": "1", "source": "demo"}).status_code == 403
    assert "Import files" not in viewer_client.get("/settings/").text
    assert left_behind(place) == []


def test_the_token_against_forgery_is_asked_for(administrator, place):
    client = Client(enforce_csrf_checks=True)
    client.force_login(administrator, backend="django.contrib.auth.backends.ModelBackend")
    assert upload(client, text_of(1)).status_code == 403
    assert client.post(STEP, {"job": "1"}).status_code == 403
    assert client.post(REMOVE, {"source": "demo"}).status_code == 403
    assert jobs.current() is None
    assert left_behind(place) == []
    token = re.search(r'csrfmiddlewaretoken" value="(\w+)"', client.get(PAGE).text)[1]
    assert upload(client, text_of(1), csrfmiddlewaretoken=token).status_code == 302


def test_the_settings_lead_there(administrator_client):
    assert f'href="{PAGE}"' in administrator_client.get("/settings/").text
    assert reverse("import") == PAGE


def test_the_second_of_two_people_is_told_and_sees_the_firsts(administrator_client, place):
    other = User.objects.create(username="other", password="!", is_staff=True, is_superuser=True)
    second = Client()
    second.force_login(other, backend="django.contrib.auth.backends.ModelBackend")
    upload(administrator_client, text_of(3))
    for headers in (None, HTMX):
        answer = words(upload(second, text_of(9), headers=headers))
        assert "Nothing was begun: boss was quicker" in answer
    assert "boss was quicker" in words(second.post(REMOVE, {"source": "demo"}))
    assert "Importing week.jsonl" in words(second.get(PAGE))
    assert left_behind(place) == ["0"]
    to_its_end(second)
    assert MetricsSnapshot.objects.count() == 3
    assert LogEntry.objects.first().user.username == "boss"


def test_a_page_that_was_closed_is_taken_up_again(administrator_client, monkeypatch):
    monkeypatch.setattr(running, "MOST_ROWS", 20)
    upload(administrator_client, text_of(100))
    while imported().count() < 40:
        poll(administrator_client)
    reading.close_all()
    job = jobs.current()
    hours = {"stepped": job.stepped - 7_200, "phase_began": job.phase_began - 7_200}
    jobs.save(stepwise.replace(job, **hours))
    assert "rows per second" not in words(poll(administrator_client))
    result, _ = to_its_end(administrator_client)
    assert "Imported 100 rows" in result


def test_another_process_goes_on_where_the_first_one_was(administrator_client, monkeypatch):
    monkeypatch.setattr(running, "MOST_ROWS", 10)
    monkeypatch.setattr(stepwise, "STEP_SECONDS", 0)
    upload(administrator_client, text_of(100))
    mine, others = [], []
    for _ in range(200):
        poll(administrator_client)
        mine, others, reading._open = reading._open, mine, others
        if jobs.current().is_over:
            break
    reading._open.extend(mine)
    assert "Imported 100 rows" in words(administrator_client.get(PAGE))
    assert imported().count() == 100


def test_what_was_written_before_its_place_was_noted_is_not_written_again(
    administrator_client, monkeypatch
):
    monkeypatch.setattr(running, "MOST_ROWS", 20)
    upload(administrator_client, text_of(60), skip_bad="on")
    with monkeypatch.context() as patch:

        def killed(_):
            raise KeyboardInterrupt

        patch.setattr(stepwise, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            poll(administrator_client)
    assert imported().count() == 20
    assert "20 rows were stored already." in to_its_end(administrator_client)[0]
    assert imported().count() == 60


def test_a_file_left_open_is_closed_after_a_while(administrator_client, monkeypatch):
    monkeypatch.setattr(running, "MOST_ROWS", 10)
    monkeypatch.setattr(stepwise, "STEP_SECONDS", 0)
    upload(administrator_client, text_of(100))
    with monkeypatch.context() as patch:
        patch.setattr(reading, "IDLE_SECONDS", 0.01)
        poll(administrator_client)
    until = time.monotonic() + 5
    while reading._open and time.monotonic() < until:
        time.sleep(0.01)
    assert reading._open == []
    assert "Imported 100 rows" in to_its_end(administrator_client)[0]


def test_what_is_forgotten_is_deleted(administrator_client, place):
    upload(administrator_client, text_of(30))
    leftover = place / "tmpx.upload.gz"
    leftover.write_text("of a process that was killed")
    os.utime(leftover, (0, 0))
    late = jobs.current()
    waits = words(administrator_client.get("/settings/"))
    assert "The import of week.jsonl, begun by boss, is not done. Go on …" in waits
    jobs.save(stepwise.replace(late, stepped=late.stepped - uploads.FORGOTTEN_SECONDS - 1))
    page = words(administrator_client.get("/settings/"))
    assert "Import files …" in page and "is not done" not in page
    assert left_behind(place) == [] and not (place / "import" / "job.json").exists()
    assert poll(administrator_client, late.id)["HX-Redirect"] == PAGE


@pytest.mark.parametrize("nonsense", ["", "{", "[]", "null", '{"summary": {}}', '{"summary": 1}'])
def test_a_state_that_cannot_be_read_hinders_nothing(administrator_client, place, nonsense):
    uploads.folder()
    (place / "import" / "job.json").write_text(nonsense)
    assert "Import files" in words(administrator_client.get(PAGE))
    assert "Imported 3 rows" in imported_file(administrator_client, text_of(3))


def test_it_can_be_stopped_and_keeps_what_is_written(administrator_client, place, monkeypatch):
    monkeypatch.setattr(running, "MOST_ROWS", 20)
    upload(administrator_client, text_of(100))
    while not imported().count():
        poll(administrator_client)
    page = words(administrator_client.post(STEP, {"job": jobs.current().id, "stop": "1"}))
    assert "week.jsonl was not imported whole." in page and "Stopped by boss." in page
    assert 0 < imported().count() < 100
    assert left_behind(place) == []
    assert "Stopped by boss." in LogEntry.objects.first().change_message


def test_without_scripts_a_button_goes_on(administrator_client, monkeypatch):
    monkeypatch.setattr("metrics.import_views.SECONDS_WITHOUT_SCRIPTS", 0.01)
    upload(administrator_client, text_of(40))
    answer = administrator_client.get(PAGE)
    assert re.search(r"<noscript>.*Go on</button>", answer.text)
    while "Go on</button>" in answer.text:
        [id, *_] = re.findall(r'name="job" value="(\w+)"', answer.text)
        answer = administrator_client.post(STEP, {"job": id})
        assert "Back to the settings" in answer.text
    assert "Imported 40 rows" in words(answer)
    listed = words(administrator_client.get(PAGE, {"list": "all"}))
    assert "snapshots:web1 40 2026-03-01 11:56 2026-03-01 12:00" in listed
    assert "Counting" not in listed


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL's lock is a connection's")
def test_while_a_command_imports_it_waits_and_says_so(administrator_client, monkeypatch):
    upload(administrator_client, text_of(3))
    monkeypatch.setattr(stepwise, "PATIENCE_SECONDS", 0)
    with only_one(running.JOB):
        answer = poll(administrator_client)
        assert "This one waits for it." in words(answer) and "delay:1s" in answer.text
        stop = administrator_client.post(STEP, {"job": jobs.current().id, "stop": "1"})
        assert "This one waits for it." in words(stop)
    assert "Imported 3 rows" in to_its_end(administrator_client)[0]


def test_a_database_that_is_busy_is_said_and_asked_again(administrator_client, monkeypatch):
    upload(administrator_client, text_of(30), skip_bad="on")
    with monkeypatch.context() as patch:

        def busy(*_, **__):
            raise OperationalError("database is locked")

        patch.setattr(stepwise, "store", busy)
        assert "Somebody else writes to the database" in words(poll(administrator_client))
    assert len(reading._open) == 1  # it need not be read anew
    assert "Imported 30 rows" in to_its_end(administrator_client)[0]


def test_the_archive_policy_is_warned_of(administrator_client):
    result = imported_file(administrator_client, text_of(3))
    assert "What is older than 30 days will be deleted" in result
    ArchivePolicy.objects.update(retention_days=36_500, downsample_after_days=36_500)
    result = imported_file(administrator_client, text_of(4))
    assert "will be deleted" not in result


def test_imports_and_removals_are_in_the_log(administrator_client):
    imported_file(administrator_client, text_of(3))
    administrator_client.post(REMOVE, {"source": "snapshots:web1", "rows": "3"})
    to_its_end(administrator_client)
    entries = [
        (one.user.username, one.action_flag, one.object_repr, one.change_message)
        for one in LogEntry.objects.order_by("id")
    ]
    assert entries == [
        ("boss", ADDITION, "week.jsonl", "Began to import."),
        ("boss", ADDITION, "week.jsonl", "Imported 3 rows: snapshots:web1."),
        ("boss", DELETION, "snapshots:web1", "Began to remove."),
        ("boss", DELETION, "snapshots:web1", "Removed 3 rows."),
    ]
    assert "week.jsonl" in administrator_client.get("/admin/").text


def test_a_source_is_removed_after_it_was_asked(administrator_client, monkeypatch):
    monkeypatch.setattr(writing, "REMOVED_AT_ONCE", 20)
    own = stored(NOW - timedelta(days=1))
    imported_file(administrator_client, text_of(60))
    asked = administrator_client.get(SOURCES, headers=HTMX)
    assert "All 60 rows of snapshots:web1, of 2026-03-01 11:55 to 2026-03-01 12:00" in words(asked)
    fields = re.findall(r'name="(source|rows)" value="([^"]*)"', html.unescape(asked.text))
    assert administrator_client.post(REMOVE, dict(fields))["Location"] == PAGE
    poll(administrator_client)
    assert 0 < imported().count() < 60
    result, shares = to_its_end(administrator_client)
    assert "Removed 60 rows of snapshots:web1 in" in result
    assert len(shares) >= 2 and shares[0] == 66
    assert list(MetricsSnapshot.objects.values_list("id", flat=True)) == [own.id]
    assert "Nothing was imported yet." in words(administrator_client.get(SOURCES))


@pytest.mark.parametrize("source", ["", "x" * 201, "demo\0"])
def test_what_cannot_be_the_name_of_a_source_begins_nothing(administrator_client, source):
    answer = administrator_client.post(REMOVE, {"source": source})
    assert answer.status_code == 400
    assert "source: it has 1 to 200 characters, none of them NUL." in answer.text
    assert jobs.current() is None


def test_a_source_that_is_not_there_removes_nothing(administrator_client):
    imported_file(administrator_client, text_of(3))
    administrator_client.post(REMOVE, {"source": "snapshots:web"})
    assert "Removed 0 rows of snapshots:web in" in to_its_end(administrator_client)[0]
    assert imported().count() == 3


def test_names_come_out_as_text(administrator_client):
    content = text_of(1).replace(b'"web1"', b'"<b>web1"')
    result = imported_file(administrator_client, content, name="<i>.jsonl")
    page = administrator_client.get(PAGE, {"list": "1"}).text
    assert "<i>" not in page and "<b>web1" not in page
    assert "snapshots:<b>web1" in html.unescape(result)


@pytest.mark.parametrize("path", [PAGE, SOURCES])
def test_queries_do_not_grow_with_what_is_imported(
    administrator_client, path, django_assert_max_num_queries
):
    for content in (text_of(3), text_of(200, until=NOW - timedelta(days=2))):
        imported_file(administrator_client, content)
        with django_assert_max_num_queries(6):
            administrator_client.get(path)


def test_a_step_that_writes_has_few_queries(administrator_client, django_assert_max_num_queries):
    rollups.step(NOW)
    upload(administrator_client, text_of(400), skip_bad="on")
    with django_assert_max_num_queries(22):
        poll(administrator_client)
    assert imported().count() == 400
