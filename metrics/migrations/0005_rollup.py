"""Adds the roll-ups, which are made of snapshots and can be made again at any time."""

from django.db import migrations, models

import metrics.columns


class Migration(migrations.Migration):
    dependencies = [("metrics", "0004_default_settings")]

    operations = [
        migrations.CreateModel(
            name="Rollup",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("resolution", models.IntegerField()),
                ("collector", models.CharField(max_length=50)),
                ("start", models.DateTimeField()),
                ("data", models.JSONField(encoder=metrics.columns.CompactEncoder)),
            ],
            options={
                "verbose_name": "roll-up",
                "db_table": "metrics_rollup",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("resolution", "collector", "start"), name="uq_metrics_rollup"
                    )
                ],
            },
        ),
    ]
