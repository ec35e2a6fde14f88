"""The people who may log in."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Users, login and passwords."""

    name = "accounts"
    default_auto_field = "django.db.models.AutoField"
