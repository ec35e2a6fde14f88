"""`manage.py sampler`: the process that samples this host."""

import sys
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from metrics import lock
from metrics.management.base import PerfWatchCommand
from metrics.spool import InUse

PREPARE_SECONDS = 5.0


class Command(PerfWatchCommand):
    """Runs the Celery worker that samples, and beat in it where there is no Redis."""

    help = (
        "Sample this host at the interval set in config.sampling and store the snapshots, until "
        "stopped. Without REDIS_URL this process needs no other; with it, `celery -A "
        "perfwatch_site beat` gives the ticks."
    )
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until a signal; exit status 0 after an orderly stop."""
        from metrics import tasks, worker
        from perfwatch_site.celery import app

        try:
            file = lock.lock_file(lock.lock_path())
            # While the database is away, the lock is taken with the first connection.
            tasks.store().start(patience=PREPARE_SECONDS)
        except (lock.Held, InUse) as error:
            raise CommandError(str(error)) from error
        with file:
            sys.exit(worker.run(app, own_beat=not settings.REDIS_URL))
