"""Adds to the archive policy when and how snapshots are thinned out."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import migrations, models

INTERVALS = ("1 minute", "10 minutes", "1 hour", "1 day")


class Migration(migrations.Migration):
    dependencies = [("metrics", "0002_add_indexes")]

    operations = [
        migrations.AddField(
            model_name="archivepolicy",
            name="downsample_after_days",
            field=models.IntegerField(
                default=7,
                db_default=7,
                validators=[MinValueValidator(1), MaxValueValidator(36_500)],
                help_text=(
                    "Snapshots older than this are thinned out; at or above the retention: never."
                ),
            ),
        ),
        migrations.AddField(
            model_name="archivepolicy",
            name="downsample_interval",
            field=models.CharField(
                max_length=20,
                default="1 hour",
                db_default="1 hour",
                choices=[(interval, interval) for interval in INTERVALS],
                help_text="One snapshot per interval is kept of those.",
            ),
        ),
    ]
