"""Creates `metrics_snapshot`, `config` and `archive_policy`."""

from django.contrib.postgres.functions import TransactionNow
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import migrations, models

from metrics.columns import CompactEncoder, KeyField


class Migration(migrations.Migration):
    initial = True

    operations = [
        migrations.CreateModel(
            name="MetricsSnapshot",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        primary_key=True, serialize=False, auto_created=True, verbose_name="ID"
                    ),
                ),
                ("timestamp", models.DateTimeField()),
                ("metric_type", models.CharField(max_length=50)),
                ("metric_data", models.JSONField(encoder=CompactEncoder)),
            ],
            options={"db_table": "metrics_snapshot", "verbose_name": "snapshot"},
        ),
        migrations.CreateModel(
            name="Config",
            fields=[
                ("key", KeyField(max_length=100, primary_key=True, serialize=False)),
                ("value", models.JSONField(encoder=CompactEncoder)),
                ("updated_at", models.DateTimeField(auto_now=True, db_default=TransactionNow())),
            ],
            options={"db_table": "config", "ordering": ["key"], "verbose_name": "setting"},
        ),
        migrations.CreateModel(
            name="ArchivePolicy",
            fields=[
                ("id", models.AutoField(primary_key=True, serialize=False)),
                (
                    "retention_days",
                    models.IntegerField(
                        default=30,
                        db_default=30,
                        validators=[MinValueValidator(1), MaxValueValidator(36_500)],
                        help_text="Snapshots older than this are deleted.",
                    ),
                ),
                (
                    "archive_enabled",
                    models.BooleanField(
                        default=True,
                        db_default=True,
                        help_text="Clean up automatically, every hour.",
                    ),
                ),
                ("last_archive_run", models.DateTimeField(null=True, blank=True, editable=False)),
                ("created_at", models.DateTimeField(db_default=TransactionNow(), editable=False)),
                ("updated_at", models.DateTimeField(auto_now=True, db_default=TransactionNow())),
            ],
            options={
                "db_table": "archive_policy",
                "verbose_name": "archive policy",
                "verbose_name_plural": "archive policy",
            },
        ),
    ]
