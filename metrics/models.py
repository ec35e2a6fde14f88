"""The tables `metrics_snapshot`, `metrics_rollup`, `config` and `archive_policy`."""

from typing import Any

from django.contrib.postgres.functions import TransactionNow
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, transaction

from metrics import configuration
from metrics.columns import CompactEncoder, KeyField

AGGREGATED = "aggregated"
"""The `metric_type` of PerfWatch's own snapshots; rows of other types belong to others."""


class MetricsSnapshot(models.Model):
    """One reading of the whole host."""

    timestamp = models.DateTimeField()
    metric_type = models.CharField(max_length=50)
    metric_data = models.JSONField(encoder=CompactEncoder)

    class Meta:
        db_table = "metrics_snapshot"
        verbose_name = "snapshot"
        indexes = [
            models.Index(fields=["timestamp"], name="ix_metrics_snapshot_timestamp"),
            models.Index(fields=["metric_type", "timestamp"], name="idx_metrics_type_timestamp"),
        ]

    def __str__(self) -> str:
        return f"{self.metric_type} {self.timestamp:%Y-%m-%d %H:%M:%S} UTC"


class Rollup(models.Model):
    """What one collector's series were in one stretch of time: a chunk of slots.

    Made of snapshots, and made again by `manage.py backfill rollups`.
    """

    id = models.BigAutoField(primary_key=True)
    resolution = models.IntegerField()
    collector = models.CharField(max_length=50)
    start = models.DateTimeField()
    data = models.JSONField(encoder=CompactEncoder)

    class Meta:
        db_table = "metrics_rollup"
        verbose_name = "roll-up"
        constraints = [
            models.UniqueConstraint(
                fields=["resolution", "collector", "start"], name="uq_metrics_rollup"
            )
        ]

    def __str__(self) -> str:
        return f"{self.collector} {self.resolution} s {self.start:%Y-%m-%d %H:%M:%S} UTC"


class Config(models.Model):
    """One setting: a key and its JSON value."""

    key = KeyField(max_length=100, primary_key=True)
    value = models.JSONField(encoder=CompactEncoder)
    updated_at = models.DateTimeField(auto_now=True, db_default=TransactionNow())

    class Meta:
        db_table = "config"
        ordering = ["key"]
        verbose_name = "setting"

    def __str__(self) -> str:
        return str(self.key)

    def save(self, *args: Any, mirror: bool = True, **kwargs: Any) -> None:
        """Write the setting; `retention` also writes the policy that it mirrors.

        Raises configuration.Invalid for a value that the key does not allow.
        """
        configuration.check(self.key, self.value)
        with transaction.atomic():
            super().save(*args, **kwargs)
            if mirror and self.key == "retention":
                policy = ArchivePolicy.current()
                policy.retention_days = self.value["days"]
                policy.archive_enabled = self.value["archive_enabled"]
                policy.save(mirror=False)

    def clean(self) -> None:
        """Refuse what the key does not allow, naming the inner key; only forms ask for this."""
        if self._state.adding and self.key in configuration.WRITTEN_BY_PERFWATCH:
            raise ValidationError({"key": f"{self.key} is written by PerfWatch itself."})
        try:
            configuration.check(self.key, self.value)
        except configuration.Invalid as error:
            raise ValidationError({"value": str(error)}) from error


class ArchivePolicy(models.Model):
    """How long PerfWatch remembers, and how finely. The row with the lowest id rules."""

    INTERVALS = ("1 minute", "10 minutes", "1 hour", "1 day")
    MAX_DAYS = 36_500

    id = models.AutoField(primary_key=True)
    retention_days = models.IntegerField(
        default=30,
        db_default=30,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_DAYS)],
        help_text="Snapshots older than this are deleted.",
    )
    archive_enabled = models.BooleanField(
        default=True, db_default=True, help_text="Clean up automatically, every hour."
    )
    downsample_after_days = models.IntegerField(
        default=7,
        db_default=7,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_DAYS)],
        help_text="Snapshots older than this are thinned out; at or above the retention: never.",
    )
    downsample_interval = models.CharField(
        max_length=20,
        default="1 hour",
        db_default="1 hour",
        choices=[(interval, interval) for interval in INTERVALS],
        help_text="One snapshot per interval is kept of those.",
    )
    last_archive_run = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(db_default=TransactionNow(), editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=TransactionNow())

    class Meta:
        db_table = "archive_policy"
        verbose_name = "archive policy"
        verbose_name_plural = "archive policy"

    def __str__(self) -> str:
        return f"keep {self.retention_days} days"

    def save(self, *args: Any, mirror: bool = True, **kwargs: Any) -> None:
        """Write the policy and, in the same transaction, its mirror in `config`."""
        with transaction.atomic():
            super().save(*args, **kwargs)
            if mirror:
                # Not of `self`: it may not be the row that rules, or was saved in part only.
                rules = ArchivePolicy.current()
                row = Config.objects.filter(key="retention").first() or Config(key="retention")
                row.value = configuration.retention_row(
                    row.value, rules.retention_days, rules.archive_enabled
                )
                row.save(mirror=False)

    @classmethod
    def current(cls) -> "ArchivePolicy":
        """Return the row that rules, or the defaults where there is none."""
        return cls.objects.order_by("id").first() or cls()
