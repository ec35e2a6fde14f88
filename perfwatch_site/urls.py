"""Which address leads where."""

from django.contrib import admin
from django.urls import include, path

from perfwatch_site import errors

urlpatterns = [
    path("", include("metrics.urls")),
    path("", include("accounts.urls")),
    path("admin/", admin.site.urls),
]

handler400 = errors.bad_request
handler403 = errors.forbidden
handler404 = errors.not_found
handler500 = errors.server_error
