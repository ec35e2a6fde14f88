"""Adds the indexes that answer questions about time."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("metrics", "0001_initial_schema")]

    operations = [
        migrations.AddIndex(
            model_name="metricssnapshot",
            index=models.Index(fields=["timestamp"], name="ix_metrics_snapshot_timestamp"),
        ),
        migrations.AddIndex(
            model_name="metricssnapshot",
            index=models.Index(
                fields=["metric_type", "timestamp"], name="idx_metrics_type_timestamp"
            ),
        ),
    ]
