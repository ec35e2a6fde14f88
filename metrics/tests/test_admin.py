"""Settings and policy in the administration."""

import json

import pytest
from django.contrib.admin.models import ADDITION, CHANGE, LogEntry

from metrics.models import ArchivePolicy, Config

pytestmark = pytest.mark.usefixtures("installed")

SETTINGS = "/admin/metrics/config/"
POLICIES = "/admin/metrics/archivepolicy/"


def edit(client, key, value):
    """Post this value, JSON or text, as the setting `key`."""
    text = value if isinstance(value, str) else json.dumps(value)
    return client.post(f"{SETTINGS}{key}/change/", {"value": text})


def add(client, key, value):
    return client.post(f"{SETTINGS}add/", {"key": key, "value": json.dumps(value)})


def edit_policy(client, **fields):
    defaults = {"retention_days": 30, "archive_enabled": "on", "downsample_after_days": 7}
    fields = defaults | {"downsample_interval": "1 hour"} | fields
    return client.post(f"{POLICIES}{ArchivePolicy.current().pk}/change/", fields)


def value_of(key):
    return Config.objects.get(pk=key).value


# --- settings -------------------------------------------------------------------------------


def test_a_good_value_is_saved(administrator_client):
    assert edit(administrator_client, "sampling", {"interval_seconds": 60})["Location"] == SETTINGS
    assert value_of("sampling") == {"interval_seconds": 60}


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("sampling", {"interval_seconds": 0}, "sampling.interval_seconds must be"),
        ("sampling", {"interval_seconds": 5, "unit": "s"}, "sampling has no &#x27;unit&#x27;"),
        ("sampling", [5], "sampling must be an object"),
        ("features", {"perf_events_enabled": 1}, "features.perf_events_enabled must be"),
        (
            "features",
            {"perf_events_enabled": True, "perf_events_cpus": "9" * 5000},
            "features.perf_events_cpus must be",
        ),
        ("retention", {"days": 30}, "retention.archive_enabled is missing"),
        ("retention", {"days": 0, "archive_enabled": True}, "retention.days must be"),
        ("sampling", "{interval_seconds: 5}", "Enter a valid JSON."),
        ("sampling", '{"interval_seconds": NaN}', "Enter a valid JSON."),
        ("sampling", '{"interval_seconds": %s}' % ("9" * 5000), "Enter a valid JSON."),
        ("sampling", "", "This field is required."),
        ("sampling", "null", "This field is required."),
    ],
)
def test_a_bad_value_is_an_error_of_the_form_and_changes_nothing(
    administrator_client, key, value, words
):
    before = value_of(key)
    answer = edit(administrator_client, key, value)
    assert answer.status_code == 200 and words in answer.text
    assert value_of(key) == before
    assert not LogEntry.objects.exists()


def test_the_retention_setting_edits_the_policy(administrator_client):
    edit(administrator_client, "retention", {"days": 90, "archive_enabled": False, "max_mb": 500})
    policy = ArchivePolicy.current()
    assert (policy.retention_days, policy.archive_enabled) == (90, False)
    assert value_of("retention")["max_mb"] == 500


def test_a_row_of_ones_own_is_added_and_deleted(administrator_client):
    value = {"any": r"th\\u0000ing \u0000"}
    assert add(administrator_client, "mine", value).status_code == 302
    assert value_of("mine") == value
    administrator_client.post(f"{SETTINGS}mine/delete/", {"post": "yes"})
    assert not Config.objects.filter(pk="mine").exists()


@pytest.mark.parametrize(
    "text",
    [
        '{"x": NaN}',
        "[Infinity]",
        "[1e400]",
        r'["a\\\u0000"]',
        r'{"\ud800": 1}',
        "[" * 100_000 + "]" * 100_000,
    ],
    ids=lambda text: text[:20],
)
def test_what_no_database_takes_is_an_error_of_the_form(administrator_client, text):
    answer = administrator_client.post(f"{SETTINGS}add/", {"key": "mine", "value": text})
    assert answer.status_code == 200 and "Enter a valid JSON." in answer.text


def test_an_address_with_a_nul_leads_to_no_setting(administrator_client):
    for page in ("change", "delete", "history"):
        answer = administrator_client.get(f"{SETTINGS}a%00b/{page}/")
        assert (answer.status_code, answer["Location"]) == (302, "/admin/")


def test_a_setting_that_exists_is_not_added_again(administrator_client):
    answer = add(administrator_client, "sampling", {"interval_seconds": 60})
    assert answer.status_code == 200 and "already exists" in answer.text
    assert value_of("sampling") == {"interval_seconds": 5}


def test_the_key_of_a_setting_cannot_be_changed(administrator_client):
    fields = {"key": "other", "value": '{"interval_seconds": 60}'}
    administrator_client.post(f"{SETTINGS}sampling/change/", fields)
    assert value_of("sampling") == {"interval_seconds": 60}
    assert not Config.objects.filter(pk="other").exists()


@pytest.mark.parametrize("key", ["sampling", "features", "retention"])
def test_a_setting_that_perfwatch_reads_is_not_deleted(administrator_client, key):
    answer = administrator_client.post(f"{SETTINGS}{key}/delete/", {"post": "yes"})
    assert answer.status_code == 403
    assert Config.objects.filter(pk=key).exists()


def test_settings_are_not_deleted_by_the_dozen(administrator_client):
    fields = {"action": "delete_selected", "_selected_action": ["sampling"], "post": "yes"}
    administrator_client.post(SETTINGS, fields)
    assert Config.objects.filter(pk="sampling").exists()


@pytest.mark.parametrize("key", ["system_info", "rollup_state"])
def test_what_perfwatch_writes_can_be_read_only(administrator_client, key):
    Config(key=key, value={"hostname": "here"}).save()
    page = administrator_client.get(f"{SETTINGS}{key}/change/")
    assert "hostname" in page.text and "<textarea" not in page.text
    assert edit(administrator_client, key, {}).status_code == 403
    assert administrator_client.post(f"{SETTINGS}{key}/delete/").status_code == 403
    assert value_of(key) == {"hostname": "here"}


def test_what_perfwatch_writes_is_not_added_by_people(administrator_client):
    answer = add(administrator_client, "system_info", {"hostname": "elsewhere"})
    assert "system_info is written by PerfWatch itself." in answer.text
    assert not Config.objects.filter(pk="system_info").exists()


# --- the policy -----------------------------------------------------------------------------


def test_the_policy_is_changed_with_its_mirror(administrator_client):
    assert edit_policy(administrator_client, retention_days=90)["Location"] == POLICIES
    assert ArchivePolicy.objects.get().retention_days == 90
    assert value_of("retention")["days"] == 90


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"retention_days": 0}, "greater than or equal to 1."),
        ({"retention_days": 36_501}, "less than or equal to 36500."),
        ({"downsample_after_days": 0}, "greater than or equal to 1."),
        ({"downsample_interval": "2 hours"}, "not one of the available choices"),
    ],
)
def test_a_bad_policy_is_an_error_of_the_form_and_changes_nothing(
    administrator_client, fields, words
):
    answer = edit_policy(administrator_client, **fields)
    assert answer.status_code == 200 and words in answer.text
    policy = ArchivePolicy.objects.get()
    assert (policy.retention_days, policy.downsample_interval) == (30, "1 hour")


def test_there_is_no_second_policy(administrator_client):
    assert administrator_client.get(f"{POLICIES}add/").status_code == 403
    assert administrator_client.post(f"{POLICIES}add/", {"retention_days": 1}).status_code == 403
    assert ArchivePolicy.objects.count() == 1


def test_the_policy_is_not_deleted(administrator_client):
    page = f"{POLICIES}{ArchivePolicy.current().pk}/delete/"
    assert administrator_client.post(page, {"post": "yes"}).status_code == 403
    fields = {"action": "delete_selected", "_selected_action": [ArchivePolicy.current().pk]}
    administrator_client.post(POLICIES, fields | {"post": "yes"})
    assert ArchivePolicy.objects.count() == 1


# --- the log and the lists ------------------------------------------------------------------


def test_changes_by_people_are_in_the_log(administrator_client, administrator):
    edit(administrator_client, "sampling", {"interval_seconds": 60})
    edit_policy(administrator_client, retention_days=90)
    add(administrator_client, "mine", {"any": "thing"})
    found = LogEntry.objects.order_by("id").values_list("user", "object_repr", "action_flag")
    assert list(found) == [
        (administrator.pk, "sampling", CHANGE),
        (administrator.pk, "keep 90 days", CHANGE),
        (administrator.pk, "mine", ADDITION),
    ]
    assert '"Value"' in LogEntry.objects.earliest("id").change_message


# session, user, two counts, the rows
def test_the_list_of_settings_takes_as_many_queries_for_many(
    administrator_client, django_assert_num_queries
):
    Config.objects.bulk_create(Config(key=f"mine{number}", value=number) for number in range(50))
    with django_assert_num_queries(5):
        assert administrator_client.get(SETTINGS).status_code == 200


def test_the_list_of_policies_takes_few_queries(administrator_client, django_assert_num_queries):
    with django_assert_num_queries(5):
        assert administrator_client.get(POLICIES).status_code == 200
