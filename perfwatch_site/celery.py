"""The Celery application: the clock of sampling and maintenance.

Only beat, sampler and worker import it; the web process sends no tasks.
"""

import os
import warnings

from celery import Celery
from celery.platforms import SecurityWarning

import perfwatch_site.in_process  # noqa: F401  names the broker that needs no server

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "perfwatch_site.settings")

# Celery warns root of pickled messages; ours are JSON, and only root may count performance events.
warnings.simplefilter("ignore", SecurityWarning)

app = Celery("perfwatch")
app.config_from_object("django.conf:settings", namespace="CELERY")
# Celery would close the database's connection around each task; ours look after it themselves.
app.conf.CELERY_DB_REUSE_MAX = 2**62
app.autodiscover_tasks()
