"""Reading the kernel, sampling, storing and showing."""

from django.apps import AppConfig

from metrics.slow_queries import watch_new_connections
from perfwatch_site.databases import look_after_files


class MetricsConfig(AppConfig):
    """What PerfWatch exists for."""

    name = "metrics"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Watch the database's connections."""
        watch_new_connections()
        look_after_files()
