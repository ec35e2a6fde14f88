"""Puts our admin site in the place of Django's."""

from django.contrib.admin.apps import AdminConfig as DjangoAdminConfig


class AdminConfig(DjangoAdminConfig):
    """Django admin with PerfWatch's own login page."""

    default_site = "perfwatch_site.admin.AdminSite"
