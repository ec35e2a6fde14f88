"""What the archive policy asks for: what is deleted, what is folded, and into what. Pure."""

from dataclasses import dataclass

from metrics.tiers import DAY, TIERS, floor

INTERVALS = dict(
    zip(("1 minute", "10 minutes", "1 hour", "1 day"), (t.seconds for t in TIERS), strict=True)
)
"""Seconds of each `downsample_interval`: those of the tiers of roll-ups."""


@dataclass(frozen=True)
class Policy:
    """How long PerfWatch remembers, and how finely; `interval` in seconds, `max_mb` if bounded."""

    retention_days: int = 30
    downsample_after_days: int = 7
    interval: int = 3_600
    max_mb: int | None = None

    @property
    def folds(self) -> bool:
        """Return whether snapshots are downsampled before they are deleted."""
        return self.downsample_after_days < self.retention_days

    def borders(self, now: float) -> "Borders":
        """Return what is old enough at a moment; buckets are folded and deleted as a whole."""
        delete = int(now - self.retention_days * DAY)
        if not self.folds:
            return Borders(delete, delete)
        delete = floor(delete, self.interval)
        return Borders(delete, floor(now - self.downsample_after_days * DAY, self.interval))


@dataclass(frozen=True)
class Borders:
    """Before `delete` all goes; from there on and before `fold` it is folded."""

    delete: int
    fold: int
