"""Days that a host could have had: a rhythm of days and weeks, and incidents with names. Pure."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from metrics.importing.base import BadInput, Input, Ready
from metrics.importing.demo_host import INCIDENTS, INTERVAL, SOURCE, Host, Incident, is_due


class DemoDays(Input):
    """So many days before a moment, a sample a minute."""

    def __init__(self, days: int, end: datetime) -> None:
        self.end = end.replace(second=0, microsecond=0) - timedelta(minutes=1)
        self.start = self.end - timedelta(days=days)
        super().__init__(SOURCE, days * 86_400 // INTERVAL)

    def items(self) -> Iterator[Ready | BadInput]:
        """Yield the samples, oldest first; the same moment always has the same identity."""
        host = Host(self.start)
        self.read = 0
        for number in range(1, self.size + 1):
            self.read = number
            at = self.start + timedelta(seconds=INTERVAL * number)
            yield Ready(at, host.sample(at))

    def incidents(self) -> Iterator[tuple[datetime, Incident]]:
        """Yield when which incident begins, oldest first; those of every day are left out."""
        day = self.start.replace(hour=0, minute=0)
        while day < self.end:
            for one in sorted(INCIDENTS, key=lambda one: one.hour):
                at = day + timedelta(hours=one.hour)
                if one.every > 1 and is_due(one, day) and self.start < at < self.end:
                    yield at, one
            day += timedelta(days=1)
