"""The settings page: what it shows, rehearses and saves; who may; and two people at once."""

import html
import re
import threading
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from conftest import PASSWORD
from metrics import maintenance
from metrics.models import ArchivePolicy, Config, MetricsSnapshot
from metrics.tests.builders import NOW, document, stored, stored_every
from metrics.tests.test_kept import forget, ten_days  # noqa: F401

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("installed")]

SETTINGS = "/settings/"
HTMX = {"HX-Request": "true"}


def now():
    return datetime.now(UTC)


def seen(client):
    """The fields as the page has them, hidden ones included: what a browser would send back."""
    text = client.get(SETTINGS).text
    fields = {}
    for tag in re.findall(r"<input [^>]*>", text):
        one = dict(re.findall(r'(\w+)="([^"]*)"', tag))
        if one.get("type") == "checkbox":
            if " checked" in tag:
                fields[one["name"]] = "on"
        elif "name" in one and one["name"] != "csrfmiddlewaretoken":
            fields[one["name"]] = html.unescape(one.get("value", ""))
    fields["downsample_interval"] = re.search(r'<option value="([^"]*)" selected', text)[1]
    return fields


def typed(client, **values):
    """The page's fields with others typed; None leaves one out, as an empty check box does."""
    fields = seen(client) | values
    return {name: value for name, value in fields.items() if value is not None}


def save(client, *, headers=None, **values):
    return client.post(SETTINGS, typed(client, **values), headers=headers)


def rehearse(client, **values):
    answer = client.post(SETTINGS, typed(client, do="rehearse", **values), headers=HTMX)
    return words(answer)


def words(answer):
    """The text of an answer, without tags."""
    text = re.sub(r"<(script|style).*?</\1>", "", answer.text, flags=re.S)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", text)))


def value_of(key):
    return Config.objects.get(pk=key).value


def logged():
    entries = LogEntry.objects.order_by("id")
    return [(one.user.username, one.object_repr, one.change_message) for one in entries]


# --- Saving ---------------------------------------------------------------------------------


def test_what_is_typed_is_saved_in_its_place_and_logged(administrator_client):
    answer = save(
        administrator_client,
        interval_seconds="10",
        perf_events_cpus="0-3,5",
        perf_events_enabled=None,
        retention_days="90",
        max_mb="500",
    )
    assert answer["Location"] == SETTINGS
    assert value_of("sampling") == {"interval_seconds": 10}
    assert value_of("features") == {"perf_events_enabled": False, "perf_events_cpus": "0-3,5"}
    assert value_of("retention") == {"days": 90, "archive_enabled": True, "max_mb": 500}
    assert ArchivePolicy.objects.get().retention_days == 90
    assert logged() == [
        ("boss", "sampling", "interval_seconds: 5 s → 10 s"),
        ("boss", "features", "perf_events_enabled: on → off, perf_events_cpus: all → 0-3,5"),
        ("boss", "keep 90 days", "retention_days: 30 days → 90 days"),
        ("boss", "retention", "max_mb: none → 500 MB"),
    ]
    page = words(administrator_client.get(SETTINGS))
    assert "Saved: take a sample every 5 s → 10 s, count performance events on → off" in page


def test_a_bound_is_taken_back(administrator_client):
    save(administrator_client, max_mb="500")
    save(administrator_client, max_mb="")
    assert value_of("retention") == {"days": 30, "archive_enabled": True}
    assert logged()[-1][2] == "max_mb: 500 MB → none"


def test_what_is_as_it_was_is_neither_written_nor_logged(administrator_client):
    before = Config.objects.get(pk="sampling").updated_at
    assert "nothing had to be saved" in words(save(administrator_client, headers=HTMX))
    assert Config.objects.get(pk="sampling").updated_at == before
    assert not LogEntry.objects.exists()


def test_the_last_run_survives_a_change_of_the_policy(administrator_client):
    ArchivePolicy.objects.update(last_archive_run=now())
    save(administrator_client, retention_days="20")
    assert ArchivePolicy.objects.get().last_archive_run


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("interval_seconds", ["1", "3600"], ["0", "3601", "-1", "1.5", "soon", "", "9" * 5_000]),
        ("retention_days", ["1", "36500"], ["0", "36501", "-1", "x", ""]),
        ("downsample_after_days", ["1", "30", "36500"], ["0", "36501", ""]),
        ("downsample_interval", ["1 minute", "10 minutes", "1 day"], ["2 hours", ""]),
        ("max_mb", ["", "10", str(2**31)], ["9", "-10", "x", str(2**31 + 1)]),
        ("perf_events_cpus", ["all", "0", "0-3,5", "4095"], ["", "3-1", "4096", "a", "0,", "\x00"]),
    ],
)
def test_the_borders_of_each_field(administrator_client, name, good, bad):
    for value in good:
        assert save(administrator_client, **{name: value}).status_code == 302, value
        assert seen(administrator_client)[name] == value
    for value in bad:
        answer = save(administrator_client, **{name: value})
        assert answer.status_code == 200
        assert "Nothing is saved yet" in words(answer)
        assert f'id="id_{name}_error"' in answer.text
        if name != "downsample_interval" and value not in {"", "\x00"}:
            assert f'name="{name}" value="{value}"' in answer.text
        assert seen(administrator_client)[name] == good[-1]


def test_a_mistake_in_one_field_keeps_the_others_and_saves_nothing(administrator_client):
    for headers in (None, HTMX):
        answer = save(administrator_client, headers=headers, interval_seconds="0", max_mb="123")
        assert 'name="max_mb" value="123"' in answer.text
        assert "It is a whole number from 1 to 3,600." in words(answer)
    assert value_of("sampling") == {"interval_seconds": 5}
    assert "max_mb" not in value_of("retention")
    assert not LogEntry.objects.exists()


def test_what_somebody_wrote_past_every_form_is_said_and_put_right(administrator_client):
    with connection.cursor() as cursor:
        cursor.execute(
            """UPDATE config SET value = '{"interval_seconds": "soon"}' WHERE key = 'sampling'"""
        )
        cursor.execute("UPDATE archive_policy SET downsample_interval = '2 weeks'")
    page = words(administrator_client.get(SETTINGS))
    assert "sampling.interval_seconds must be a whole number" in page
    assert "archive_policy has no interval '2 weeks'." in page
    save(administrator_client)
    assert value_of("sampling") == {"interval_seconds": 5}
    assert ArchivePolicy.objects.get().downsample_interval == "1 hour"
    assert "Replaced what was wrong: sampling.interval_seconds" in logged()[0][2]


def test_a_row_that_is_missing_is_written(administrator_client):
    Config.objects.all().delete()
    ArchivePolicy.objects.all().delete()
    assert save(administrator_client, interval_seconds="7", retention_days="8").status_code == 302
    assert value_of("sampling") == {"interval_seconds": 7}
    assert value_of("retention")["days"] == ArchivePolicy.objects.get().retention_days == 8


# --- Who may --------------------------------------------------------------------------------


def test_a_viewer_sees_everything_and_changes_nothing(viewer_client):
    stored(now())
    answer = viewer_client.get(SETTINGS)
    page = words(answer)
    assert "only administrators can change it" in page
    assert '<fieldset class="plain" disabled>' in answer.text
    assert "What this does" in page and "Storage" in page and "Collectors" in page
    assert "Clean up now" not in page
    assert "hx-post" not in answer.text and 'id="save"' not in answer.text
    for fields in ({"interval_seconds": "9"}, {"do": "rehearse"}):
        assert viewer_client.post(SETTINGS, fields).status_code == 403
    assert viewer_client.get("/settings/cleanup/").status_code == 403
    assert viewer_client.post("/settings/cleanup/").status_code == 403
    assert value_of("sampling") == {"interval_seconds": 5}


def test_the_page_is_linked(viewer_client):
    assert '<a href="/settings/">Settings</a>' in viewer_client.get("/history/").text
    assert '<a href="/settings/" aria-current="page">' in viewer_client.get(SETTINGS).text


def test_a_wrong_address_is_a_400(administrator_client):
    answer = administrator_client.get(SETTINGS, {"colour": "red"})
    assert answer.status_code == 400
    assert "There is no parameter 'colour'." in html.unescape(answer.text)


# --- Two people -----------------------------------------------------------------------------


@pytest.fixture
def second(django_user_model):
    """The browser of another administrator."""
    client = Client()
    person = django_user_model.objects.create_superuser("anna", PASSWORD)
    client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.mark.parametrize("headers", [None, HTMX])
def test_the_second_is_told_what_the_first_changed_and_by_whom(
    administrator_client, second, headers
):
    fields = typed(second, retention_days="14", interval_seconds="9")
    save(administrator_client, retention_days="90", max_mb="700")
    answer = second.post(SETTINGS, fields, headers=headers)
    page = words(answer)
    assert "Nothing is saved yet: somebody was quicker." in page
    assert re.search(r"Keep samples for: 30 days → 90 days, by boss at \d\d:\d\d:\d\d UTC", page)
    assert re.search(r"At most: none → 700 MB, by boss at", page)
    assert "Keep samples for: 90 days → 14 days" in page  # what saving again would do
    # What was typed is still there, and what was not touched is what the first one saved.
    assert 'name="retention_days" value="14"' in answer.text
    assert 'name="interval_seconds" value="9"' in answer.text
    assert 'name="max_mb" value="700"' in answer.text
    assert ArchivePolicy.objects.get().retention_days == 90
    assert value_of("sampling") == {"interval_seconds": 5}


def test_the_second_can_save_again_and_undoes_only_what_was_typed(administrator_client, second):
    fields = typed(second, retention_days="14")
    save(administrator_client, retention_days="90", max_mb="700")
    answer = second.post(SETTINGS, fields, headers=HTMX)
    again = {
        name: re.search(rf'name="{name}" value="([^"]*)"', answer.text)[1]
        for name in fields
        if name.startswith("seen_") or name in {"retention_days", "max_mb"}
    }
    assert second.post(SETTINGS, fields | again).status_code == 302
    assert value_of("retention") == {"days": 14, "archive_enabled": True, "max_mb": 700}


def test_whoever_only_looked_at_another_field_is_told_too(administrator_client, second):
    fields = typed(second, interval_seconds="9")
    save(administrator_client, archive_enabled=None)
    page = words(second.post(SETTINGS, fields))
    assert "Clean up every hour: on → off, by boss" in page
    assert value_of("sampling") == {"interval_seconds": 5}


def test_a_change_by_sql_is_told_without_a_name(administrator_client):
    save(administrator_client, retention_days="40")
    fields = typed(administrator_client, retention_days="14")
    ArchivePolicy.objects.update(retention_days=50)
    page = words(administrator_client.post(SETTINGS, fields))
    assert "Keep samples for: 40 days → 50 days, not through these pages" in page


def test_a_change_in_the_administration_is_told_with_its_name(administrator_client, second):
    fields = typed(second, interval_seconds="9")
    administrator_client.post(
        "/admin/metrics/config/retention/change/",
        {"value": '{"days": 77, "archive_enabled": true}'},
    )
    assert "30 days → 77 days, by boss" in words(second.post(SETTINGS, fields))


def test_the_rehearsal_tells_of_another_change_too(administrator_client, second):
    fields = typed(second, interval_seconds="9", do="rehearse")
    save(administrator_client, retention_days="90")
    page = words(second.post(SETTINGS, fields, headers=HTMX))
    assert "Keep samples for: 30 days → 90 days, by boss" in page


@pytest.mark.django_db(transaction=True)
def test_of_many_at_the_same_moment_one_is_saved_and_all_others_are_told(administrator, settings):
    def browser():
        client = Client()
        client.force_login(administrator, backend="django.contrib.auth.backends.ModelBackend")
        return client

    browsers = [browser() for _ in range(4)]
    fields = [typed(one, retention_days=str(40 + n)) for n, one in enumerate(browsers)]
    start, answers = threading.Barrier(4), [None] * 4

    def send(n):
        start.wait()
        answers[n] = browsers[n].post(SETTINGS, fields[n], headers=HTMX)
        connection.close()

    threads = [threading.Thread(target=send, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pages = [words(answer) for answer in answers]
    [winner] = [n for n, page in enumerate(pages) if "Saved:" in page]
    assert ArchivePolicy.objects.get().retention_days == 40 + winner
    assert value_of("retention")["days"] == 40 + winner
    losers = [page for page in pages if "somebody was quicker" in page]
    assert len(losers) == 3
    assert all(f"30 days → {40 + winner} days, by boss" in page for page in losers)
    assert LogEntry.objects.count() == 1


# --- The session is gone --------------------------------------------------------------------


def log_in_again(client, where):
    following = parse_qs(urlsplit(where).query)["next"][0]
    form = {"username": "boss", "password": PASSWORD, "next": following}
    return client.post("/login/", form, follow=True)


@pytest.mark.parametrize("headers", [None, HTMX])
@pytest.mark.parametrize("do", [None, "rehearse"])
def test_what_was_typed_survives_a_session_that_ended(administrator_client, headers, do):
    mine = {"retention_days": "14", "perf_events_cpus": "0, 2-3", "max_mb": "soon"}
    fields = typed(administrator_client, **mine, do=do)
    del fields["perf_events_enabled"]
    Session.objects.all().delete()
    answer = administrator_client.post(SETTINGS, fields, headers=headers)
    where = answer["HX-Redirect"] if headers else answer["Location"]
    assert "csrf" not in where
    page = log_in_again(administrator_client, where)
    assert "Not saved yet: below is what you typed." in page.text
    for name, value in (
        ("retention_days", "14"),
        ("perf_events_cpus", "0, 2-3"),
        ("max_mb", "soon"),
    ):
        assert f'name="{name}" value="{value}"' in page.text
    assert "checked" not in re.search(r'<input[^>]*name="perf_events_enabled"[^>]*>', page.text)[0]
    assert ArchivePolicy.objects.get().retention_days == 30


def test_changes_of_others_meanwhile_are_told_after_the_login(administrator_client, second):
    fields = typed(administrator_client, retention_days="14")
    Session.objects.exclude(session_key=second.session.session_key).delete()
    save(second, retention_days="90", interval_seconds="9")
    where = administrator_client.post(SETTINGS, fields)["Location"]
    answer = log_in_again(administrator_client, where)
    assert "Keep samples for: 30 days → 90 days, by anna" in words(answer)
    assert 'name="retention_days" value="14"' in answer.text
    assert 'name="interval_seconds" value="9"' in answer.text


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_what_was_typed_survives_a_form_that_is_too_old(administrator, headers):
    client = Client(enforce_csrf_checks=True)
    client.force_login(administrator, backend="django.contrib.auth.backends.ModelBackend")
    fields = typed(client, retention_days="14") | {"csrfmiddlewaretoken": "x" * 64}
    answer = client.post(SETTINGS, fields, headers=headers)
    where = answer["HX-Redirect"] if headers else answer["Location"]
    assert where.startswith("/settings/?") and "csrf" not in where
    assert 'name="retention_days" value="14"' in client.get(where).text
    assert ArchivePolicy.objects.get().retention_days == 30


def test_other_forms_without_our_token_are_refused_as_before(administrator):
    client = Client(enforce_csrf_checks=True)
    client.force_login(administrator, backend="django.contrib.auth.backends.ModelBackend")
    assert client.post("/account/", {"old_password": "secret"}).status_code == 403


# --- The rehearsal --------------------------------------------------------------------------


@pytest.fixture
def forty_days(db):
    """A sample every two hours for forty days."""
    Config(key="sampling", value={"interval_seconds": 3_600}).save()
    MetricsSnapshot.objects.bulk_create(
        MetricsSnapshot(timestamp=at, metric_type="aggregated", metric_data=document(at, 3_600))
        for at in (now() - timedelta(hours=2 * n, milliseconds=3) for n in range(480, -1, -1))
    )


def test_the_rehearsal_tells_what_a_policy_would_do(administrator_client, forty_days):
    text = rehearse(administrator_client, retention_days="20", downsample_after_days="10")
    assert "Keep samples for: 30 days → 20 days" in text
    assert "481 rows since" in text
    assert re.search(r"2[34]\d rows older than 20 days will be deleted\.", text)
    assert re.search(r"1[12]\d rows older than 10 days will become about 1[12]\d, one", text)
    assert re.search(r"about [\d.]+ MB , instead of [\d.]+ MB", text)
    assert "up to 10 days a sample every 1 h" in text
    assert "older than 20 days nothing" in text
    assert MetricsSnapshot.objects.count() == 481


@pytest.mark.parametrize(
    ("fields", "sentences"),
    [
        ({"retention_days": "1", "downsample_after_days": "1"}, ["up to 1 day a sample"]),
        ({"downsample_after_days": "29"}, ["29 to 30 days one every day"]),
        ({"downsample_after_days": "30"}, ["up to 30 days a sample"]),
        ({"downsample_after_days": "36500"}, ["up to 30 days a sample"]),
        ({"retention_days": "36500"}, ["7 to 36,500 days one every day"]),
        ({"archive_enabled": None}, ["None by itself. By hand: ", "at any age a sample every"]),
    ],
)
def test_policies_at_their_borders(administrator_client, forty_days, fields, sentences):
    text = rehearse(administrator_client, downsample_interval="1 day", **fields)
    for sentence in sentences:
        assert sentence in text
    if "downsample_after_days" in fields and fields["downsample_after_days"] != "29":
        assert "become" not in text


def test_the_bound_by_size_says_that_the_oldest_go_first(administrator_client, monkeypatch):
    stored_every(3_600, 30)
    monkeypatch.setattr("metrics.sizes.used_bytes", lambda rows, row: 20_000_000)
    text = rehearse(administrator_client, max_mb="10")
    assert "more, the oldest, will be deleted, whatever their age" in text
    assert "take more than 10 MB" in text


def test_a_mistake_is_said_by_its_field(administrator_client):
    text = rehearse(administrator_client, retention_days="0", max_mb="x")
    assert "Nothing can be told" in text
    assert "Keep samples for: It is a whole number from 1 to 36,500." in text
    assert "At most: It is a whole number from 10" in text


def test_without_scripts_the_whole_page_rehearses(administrator_client, forty_days):
    fields = typed(administrator_client, retention_days="20", do="rehearse")
    answer = administrator_client.post(SETTINGS, fields)
    assert "What this would do" in answer.text
    assert 'name="retention_days" value="20"' in answer.text
    assert "Storage" in answer.text
    assert ArchivePolicy.objects.get().retention_days == 30


def test_a_clock_far_ahead_is_said(administrator_client):
    stored_every(5, 3, until=now() - timedelta(days=10))
    assert "the clock is far ahead of the samples" in rehearse(administrator_client)


# --- What there is --------------------------------------------------------------------------


def test_an_empty_installation_says_what_to_do(administrator_client):
    page = words(administrator_client.get(SETTINGS))
    assert "No sample is stored yet. make run starts the sampler." in page
    assert "no collector has reported" in page
    assert "Nothing is old enough." in page
    assert "Cleaned up never · hourly" in page


def test_storage_is_told_by_resolution(administrator_client, ten_days):  # noqa: F811
    forget()
    page = words(administrator_client.get(SETTINGS))
    for line in (
        r"Samples, every 1 h 61 \d",
        r"Downsampled 59 \d",
        r"Roll-ups of 1 min \d+",
        r"Roll-ups of 10 min \d+",
        r"Roll-ups of 1 h \d+",
        r"Roll-ups of 1 d \d+",
        r"All \d+ [\d.]+ MB \+",
    ):
        assert re.search(line, page), line


def test_samples_of_whole_minutes_are_not_called_downsampled(administrator_client):
    for minutes in range(5):
        stored(now().replace(second=0, microsecond=0) - timedelta(days=1, minutes=minutes))
    stored(now())
    page = words(administrator_client.get(SETTINGS))
    assert re.search(r"Samples at whole minutes 5 \d", page)
    assert "Downsampled" not in page


def test_collectors_are_told_with_reason_and_cost_the_failed_first(administrator_client):
    stored(
        now(),
        sampler__status={
            "cpu": "ok",
            "pressure": "no data: /proc/pressure does not exist.",
            "disk": "failed: OSError: <b>gone</b>",
        },
        sampler__collect_ms={"cpu": 0.5, "pressure": 0.0, "disk": 1.5},
        sampler__dropped=3,
        sampler__missed_ticks=2,
        sampler__lateness_ms=1.5,
    )
    answer = administrator_client.get(SETTINGS)
    page = words(answer)
    assert "✖ failed : OSError: <b>gone</b> 1.50 ms" in page
    assert "<b>gone" not in answer.text
    assert "○ no data : /proc/pressure does not exist. 0 ms" in page
    assert "✔ ok 0.50 ms" in page
    assert page.index("disk") < page.index("pressure ○") < page.index("cpu ✔")
    assert "Taking a sample 2 ms, 0.04 % of one CPU's time" in page
    assert "Left out 2 of 3 samples" in page
    assert "Lost 3 samples" in page
    assert "Late by 1.50 ms" in page


def test_the_host_and_the_last_maintenance_are_told(administrator_client):
    Config(
        key="system_info",
        value={"hostname": "web-01", "memory_bytes": 2**34, "cores": None, "boot_time": "nonsense"},
    ).save()
    ArchivePolicy.objects.update(last_archive_run=now() - timedelta(minutes=12))
    Config(key=maintenance.KEY, value={"vacuum": (now() - timedelta(hours=3)).isoformat()}).save()
    page = words(administrator_client.get(SETTINGS))
    assert "Host web-01" in page and "Memory 16 GiB" in page and "Cores —" in page
    assert "Cleaned up 12 min ago · hourly" in page
    assert "(vacuum) 3 h ago · daily" in page
    assert "(reindex) never · weekly" in page


def numbers_of_queries(client):
    found = []
    fields = typed(client, retention_days="20", do="rehearse")
    with CaptureQueriesContext(connection) as queries:
        client.get(SETTINGS)
        found.append(len(queries))
    with CaptureQueriesContext(connection) as queries:
        client.post(SETTINGS, fields, headers=HTMX)
        found.append(len(queries))
    return found


@pytest.mark.usefixtures("cpu_alone", "ten_days")
def test_queries_do_not_grow_with_the_rows(administrator_client):
    forget()
    few = numbers_of_queries(administrator_client)
    stored_every(5, 200, until=NOW)
    forget()
    assert numbers_of_queries(administrator_client) == few
    assert few[0] <= 80
    assert few[1] <= 70
