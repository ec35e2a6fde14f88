"""Reading the kernel, sampling, storing and showing."""

from django.apps import AppConfig


class MetricsConfig(AppConfig):
    """What PerfWatch exists for."""

    name = "metrics"
    default_auto_field = "django.db.models.BigAutoField"
