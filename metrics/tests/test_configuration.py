"""What the rows of `config` may hold, and how `retention` and the policy follow each other."""

from datetime import UTC, datetime

import pytest
from django.core.exceptions import ValidationError
from django.db import DatabaseError
from django.utils import timezone

from metrics import configuration
from metrics.configuration import Invalid, check, is_cpu_selection, sampling_interval
from metrics.models import ArchivePolicy, Config


def sampling(**inner):
    return {"interval_seconds": 5} | inner


def features(**inner):
    return {"perf_events_enabled": True, "perf_events_cpus": "all"} | inner


def retention(**inner):
    return {"days": 30, "archive_enabled": True} | inner


@pytest.fixture
def policy(db):
    """The one policy, and its mirror."""
    ArchivePolicy.objects.all().delete()
    made = ArchivePolicy()
    made.save()
    return made


def stored():
    """What the database holds: days and switch of the policy, and its mirror."""
    policy = ArchivePolicy.objects.get()
    return (policy.retention_days, policy.archive_enabled), Config.objects.get(pk="retention").value


# --- the rules ------------------------------------------------------------------------------


@pytest.mark.parametrize("key", configuration.DEFAULTS)
def test_the_defaults_are_allowed(key):
    check(key, configuration.DEFAULTS[key])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sampling", sampling(interval_seconds=1)),
        ("sampling", sampling(interval_seconds=3600)),
        ("features", features(perf_events_enabled=False)),
        ("features", {"perf_events_enabled": True}),
        ("retention", retention(days=1)),
        ("retention", retention(days=36_500)),
        ("retention", retention(archive_enabled=False)),
        ("retention", retention(max_mb=10)),
        ("retention", retention(max_mb=2**31)),
    ],
)
def test_values_up_to_the_borders_are_allowed(key, value):
    check(key, value)


@pytest.mark.parametrize(
    ("key", "inner", "value"),
    [
        *(("sampling", "interval_seconds", value) for value in (0, 3601, -5, 5.0, "5", True, None)),
        *(("features", "perf_events_enabled", value) for value in (1, 0, "true", None)),
        *(("features", "perf_events_cpus", value) for value in ("x", 0, [0, 1], None)),
        *(("retention", "days", value) for value in (0, 36_501, -1, 30.5, "30", True, None)),
        *(("retention", "archive_enabled", value) for value in (1, "yes", None)),
        *(("retention", "max_mb", value) for value in (9, 2**31 + 1, 10.0, "10", True, None)),
    ],
)
def test_a_value_that_is_not_allowed_is_refused_by_the_name_of_its_inner_key(key, inner, value):
    allowed = {"sampling": sampling, "features": features, "retention": retention}[key]
    with pytest.raises(Invalid, match=rf"^{key}\.{inner} must be .*, not ") as refused:
        check(key, allowed(**{inner: value}))
    assert repr(value) in str(refused.value)


@pytest.mark.parametrize(
    ("key", "inner"),
    [
        ("sampling", "interval_seconds"),
        ("features", "perf_events_enabled"),
        ("retention", "days"),
        ("retention", "archive_enabled"),
    ],
)
def test_a_missing_inner_key_is_named(key, inner):
    value = {name: what for name, what in configuration.DEFAULTS[key].items() if name != inner}
    with pytest.raises(Invalid, match=rf"^{key}\.{inner} is missing"):
        check(key, value)


@pytest.mark.parametrize("key", configuration.DEFAULTS)
def test_an_unknown_inner_key_is_named(key):
    with pytest.raises(Invalid, match=f"^{key} has no 'intervall'; it has "):
        check(key, configuration.DEFAULTS[key] | {"intervall": 5})


@pytest.mark.parametrize("value", [None, 5, "5", [], [["interval_seconds", 5]]])
def test_a_value_that_is_no_object_is_refused(value):
    with pytest.raises(Invalid, match=r"^sampling must be an object with interval_seconds"):
        check("sampling", value)


@pytest.mark.parametrize("value", [None, 5, [1], {"days": "many"}])
def test_rows_of_other_keys_may_hold_anything(value):
    check("mine", value)


@pytest.mark.parametrize("text", ["all", "0", "0-3,5", "0-0", "2,1", "0, 2 ,4-5", "4095"])
def test_lists_of_cpus_and_all_select_cpus(text):
    assert is_cpu_selection(text)


@pytest.mark.parametrize(
    "value",
    [
        *("", "x", "ALL", "all,1", "3-1", "0-", "-1", "-", ",", "0,", "1-2-3", "0 - 3"),
        *("٣", "²", "+1", "1.0", "4096", "0-4096", "9" * 5000, None, 0, True, ["0"]),
    ],
    ids=lambda value: repr(value)[:12],
)
def test_anything_else_selects_no_cpus(value):
    assert not is_cpu_selection(value)


# --- the sampling interval ------------------------------------------------------------------


def test_the_sampling_interval_is_read():
    assert sampling_interval({"interval_seconds": 60}) == 60


@pytest.mark.parametrize(
    "value",
    [
        *(None, {}, [], "5", 5, sampling(unit="s")),
        *(sampling(interval_seconds=wrong) for wrong in (0, 3601, True, "5", None)),
    ],
    ids=repr,
)
def test_nonsense_has_no_sampling_interval(value):
    assert sampling_interval(value) is None


# --- storing --------------------------------------------------------------------------------


def test_what_is_not_allowed_is_not_stored(db):
    Config(key="sampling", value=sampling()).save()
    with pytest.raises(Invalid):
        Config(key="sampling", value=sampling(interval_seconds=0)).save()
    assert Config.objects.get(pk="sampling").value == sampling()


def test_a_form_shows_what_is_not_allowed_at_the_value(db):
    with pytest.raises(ValidationError) as refused:
        Config(key="sampling", value=sampling(unit="s")).clean()
    assert refused.value.message_dict["value"] == [
        "sampling has no 'unit'; it has interval_seconds."
    ]


@pytest.mark.parametrize("key", configuration.WRITTEN_BY_PERFWATCH)
def test_perfwatch_writes_its_own_rows_and_people_do_not(db, key):
    with pytest.raises(ValidationError) as refused:
        Config(key=key, value={"hostname": "elsewhere"}).clean()
    assert refused.value.message_dict["key"] == [f"{key} is written by PerfWatch itself."]
    Config(key=key, value={"hostname": "here"}).save()


def test_storing_renews_the_time_of_the_row(db):
    Config(key="sampling", value=sampling()).save()
    Config.objects.update(updated_at=datetime(2020, 1, 1, tzinfo=UTC))
    row = Config.objects.get(pk="sampling")
    row.save()
    assert Config.objects.get(pk="sampling").updated_at.year >= timezone.now().year


# --- retention and policy -------------------------------------------------------------------


def test_the_setting_edits_the_policy(policy):
    Config(key="retention", value=retention(days=90, archive_enabled=False)).save()
    assert stored() == ((90, False), retention(days=90, archive_enabled=False))


def test_the_setting_leaves_the_rest_of_the_policy_alone(policy):
    policy.downsample_after_days, policy.downsample_interval = 3, "1 day"
    policy.save()
    Config(key="retention", value=retention(days=90)).save()
    policy.refresh_from_db()
    assert (policy.downsample_after_days, policy.downsample_interval) == (3, "1 day")


def test_the_setting_makes_the_policy_where_there_is_none(db):
    ArchivePolicy.objects.all().delete()
    Config(key="retention", value=retention(days=90)).save()
    assert stored() == ((90, True), retention(days=90))


def test_the_policy_edits_the_setting_and_keeps_its_megabytes(policy):
    Config(key="retention", value=retention(max_mb=500)).save()
    policy.retention_days, policy.archive_enabled = 7, False
    policy.save()
    assert stored() == ((7, False), retention(days=7, archive_enabled=False, max_mb=500))


def test_the_policy_makes_the_setting_where_there_is_none(policy):
    Config.objects.all().delete()
    policy.save()
    assert stored() == ((30, True), retention())


@pytest.mark.parametrize("junk", [[], "x", retention(unknown=1), retention(max_mb="much")])
def test_the_policy_repairs_a_setting_that_sql_has_spoilt(policy, junk):
    Config.objects.filter(pk="retention").update(value=junk)
    policy.save()
    assert stored() == ((30, True), retention())


def test_a_policy_that_is_saved_in_part_does_not_mirror_the_rest(policy):
    old = ArchivePolicy.objects.get()
    policy.retention_days = 90
    policy.save()
    old.last_archive_run = timezone.now()
    old.save(update_fields=["last_archive_run"])
    assert stored() == ((90, True), retention(days=90))


def test_a_policy_that_does_not_rule_is_not_mirrored(policy):
    ArchivePolicy(retention_days=90).save()
    assert Config.objects.get(pk="retention").value == retention()
    assert ArchivePolicy.current() == policy


def test_a_policy_that_its_mirror_refuses_changes_neither(policy):
    policy.retention_days = 0
    with pytest.raises(Invalid, match=r"retention\.days"):
        policy.save()
    assert stored() == ((30, True), retention())


def test_a_setting_that_is_not_allowed_changes_neither(policy):
    with pytest.raises(Invalid):
        Config(key="retention", value=retention(days=0)).save()
    assert stored() == ((30, True), retention())


def test_a_setting_whose_policy_cannot_be_written_changes_neither(policy, monkeypatch):
    def fail(*_, **__):
        raise DatabaseError("the database is away")

    monkeypatch.setattr(ArchivePolicy, "save", fail)
    with pytest.raises(DatabaseError):
        Config(key="retention", value=retention(days=90)).save()
    assert stored() == ((30, True), retention())


def test_a_mirror_costs_few_queries(policy, django_assert_num_queries):
    # savepoint, policy, the ruling policy, the setting, savepoint, setting, two releases
    with django_assert_num_queries(8):
        policy.save()
