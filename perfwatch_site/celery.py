"""The Celery application: the clock of sampling and maintenance.

Only beat, sampler and worker import it; the web process sends no tasks.
"""

import os

from celery import Celery

import perfwatch_site.in_process  # noqa: F401  names the broker that needs no server

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "perfwatch_site.settings")

app = Celery("perfwatch")
app.config_from_object("django.conf:settings", namespace="CELERY")
# Celery would close the database's connection around each task; ours look after it themselves.
app.conf.CELERY_DB_REUSE_MAX = 2**62
app.autodiscover_tasks()
