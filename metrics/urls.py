"""Addresses of the pages that show metrics, of the API, and of the health checks."""

from django.urls import path

from metrics import (
    api,
    cleanup_views,
    downloads,
    health,
    import_views,
    settings_views,
    views,
)

urlpatterns = [
    path("", views.live_page, name="live"),
    path("live/", views.live_update, name="live-update"),
    path("history/", views.history_page, name="history"),
    path("history/moment/", views.history_moment, name="history-moment"),
    path("history/changes/", views.history_changes, name="history-changes"),
    path("history/verdict/", views.history_verdict, name="history-verdict"),
    path("history/export/", downloads.export, name="history-export"),
    path("help/counters/", views.counters, name="counters"),
    path("settings/", settings_views.settings_page, name="settings"),
    path("settings/cleanup/", cleanup_views.cleanup_page, name="cleanup"),
    path("settings/import/", import_views.import_page, name="import"),
    path("settings/import/step/", import_views.import_step, name="import-step"),
    path("settings/import/sources/", import_views.import_sources, name="import-sources"),
    path("settings/import/remove/", import_views.import_removal, name="import-removal"),
    path("api/export/", downloads.api_export, name="api-export"),
    path("api/series/", api.series, name="api-series"),
    path("api/compare/", api.compare, name="api-compare"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
]
