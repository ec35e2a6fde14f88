"""The Celery application: the clock of sampling and maintenance.

Only beat, sampler and worker import it; the web process sends no tasks.
"""

import os
import warnings
from typing import Any

import kombu
from celery import Celery
from celery.app.amqp import AMQP
from celery.platforms import SecurityWarning
from kombu.transport import TRANSPORT_ALIASES

import perfwatch_site.in_process  # noqa: F401  names the broker that needs no server

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "perfwatch_site.settings")

# Celery warns root of pickled messages; ours are JSON, and only root may count performance events.
warnings.simplefilter("ignore", SecurityWarning)

for scheme in ("redis", "rediss"):
    TRANSPORT_ALIASES[scheme] = "perfwatch_site.redis_broker:Transport"

IDLE_SECONDS = 30.0


class Connection(kombu.Connection):  # type: ignore[misc]
    """Asks a broker that is away again after half a second, 1, 1.5, and then every 2 s.

    kombu's own waits grow to half a minute: so long would sampling go on standing still.
    """

    def drain_events(self, *, timeout: float | None = None, **kwargs: Any) -> Any:
        """Wait for messages; signals and messages end it at once.

        Without Redis, Celery's loop would come round every 2 s to look for what does not happen
        here.
        """
        return super().drain_events(timeout=timeout and max(timeout, IDLE_SECONDS), **kwargs)

    def _ensure_connection(
        self,
        errback: Any = None,
        max_retries: int | None = None,
        interval_start: float = 0.5,
        interval_step: float = 0.5,
        interval_max: float = 2.0,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        waits = interval_start, interval_step, interval_max
        return super()._ensure_connection(errback, max_retries, *waits, *args, **kwargs)


class QuickAMQP(AMQP):  # type: ignore[misc]
    """Celery's own, with our connections."""

    Connection = Connection


app = Celery("perfwatch", amqp=QuickAMQP)
app.config_from_object("django.conf:settings", namespace="CELERY")
# Celery would close the database's connection around each task; ours look after it themselves.
app.conf.CELERY_DB_REUSE_MAX = 2**62
app.autodiscover_tasks()
