"""Writes the settings and the policy that a new installation starts with."""

from django.db import migrations


def write_defaults(apps, schema_editor):
    """Add what is missing; `config.retention` mirrors the policy that rules."""
    config = apps.get_model("metrics", "Config").objects.using(schema_editor.connection.alias)
    policies = apps.get_model("metrics", "ArchivePolicy").objects.using(
        schema_editor.connection.alias
    )
    policy = policies.order_by("id").first() or policies.create()
    mirror = {"days": policy.retention_days, "archive_enabled": policy.archive_enabled}
    retention, created = config.get_or_create(key="retention", defaults={"value": mirror})
    if not created:
        retention.value |= mirror
        retention.save()
    config.get_or_create(key="sampling", defaults={"value": {"interval_seconds": 5}})
    config.get_or_create(
        key="features", defaults={"value": {"perf_events_enabled": True, "perf_events_cpus": "all"}}
    )


class Migration(migrations.Migration):
    dependencies = [("metrics", "0003_archive_policy_fields")]

    operations = [migrations.RunPython(write_defaults, migrations.RunPython.noop)]
