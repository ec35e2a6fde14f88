"""`manage.py sampler`: the process that samples this host."""

import sys
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseFault
from django.db import connection

from metrics import lock
from metrics.watched import host_key

LOCK_SECONDS = 0.5


class Command(BaseCommand):
    """Runs the Celery worker that samples, and beat in it where there is no Redis."""

    help = (
        "Sample this host at the interval set in config.sampling and store the snapshots, until "
        "stopped. Without REDIS_URL this process needs no other; with it, `celery -A "
        "perfwatch_site beat` gives the ticks."
    )
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until a signal; exit status 0 after an orderly stop."""
        from metrics import worker
        from perfwatch_site.celery import app

        # A sample that waits for a lock delays the next one; kept in memory it does not.
        options = connection.settings_dict["OPTIONS"]
        if connection.vendor == "sqlite":
            options["timeout"] = LOCK_SECONDS
        else:
            given = options.get("options", "")
            options["options"] = f"{given} -c lock_timeout={round(1000 * LOCK_SECONDS)}".strip()
        try:
            file = lock.lock_file(settings.PERFWATCH_DATA_DIR / "sampler.lock")
            # While it is away, the lock is taken with the first connection that succeeds.
            with suppress(DatabaseFault):
                lock.lock_database(host_key())
        except lock.Held as error:
            raise CommandError(str(error)) from error
        with file:
            sys.exit(worker.run(app, own_beat=not settings.REDIS_URL))
