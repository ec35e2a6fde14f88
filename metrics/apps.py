"""Reading the kernel, sampling, storing and showing."""

from django.apps import AppConfig

from metrics.slow_queries import watch_new_connections
from perfwatch_site.databases import (
    close_refused_cursors,
    follow_replaced_files,
    keep_no_read_only_connection,
)


class MetricsConfig(AppConfig):
    """What PerfWatch exists for."""

    name = "metrics"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Watch the database's connections."""
        watch_new_connections()
        keep_no_read_only_connection()
        follow_replaced_files()
        close_refused_cursors()
