"""Settings and policy in the administration."""

from typing import Any

from django.contrib import admin
from django.db import models
from django.forms import Textarea
from django.http import HttpRequest

from metrics.columns import StrictDecoder
from metrics.configuration import WRITTEN_BY_PERFWATCH
from metrics.models import ArchivePolicy, Config


@admin.register(Config)
class ConfigAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """The rows of `config`; what PerfWatch writes itself can only be read."""

    list_display = ("key", "value", "updated_at")
    readonly_fields = ("updated_at",)
    formfield_overrides = {
        models.JSONField: {
            "widget": Textarea(attrs={"rows": 6, "cols": 60}),
            "decoder": StrictDecoder,
        }
    }

    def get_readonly_fields(
        self, request: HttpRequest, obj: Config | None = None
    ) -> tuple[str, ...]:
        """Let a key be chosen once only: it is what a row is known by."""
        return ("updated_at",) if obj is None else ("key", "updated_at")

    def has_change_permission(self, request: HttpRequest, obj: Config | None = None) -> bool:
        """Keep people off what PerfWatch writes."""
        own = obj is not None and obj.key in WRITTEN_BY_PERFWATCH
        return not own and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Config | None = None) -> bool:
        """Keep the rows that PerfWatch reads."""
        own = obj is not None and obj.key in (*WRITTEN_BY_PERFWATCH, *_READ)
        return not own and super().has_delete_permission(request, obj)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Offer no deletion of many rows at once: it asks nobody about the single one."""
        return {
            name: action
            for name, action in super().get_actions(request).items()
            if name != "delete_selected"
        }


_READ = ("sampling", "features", "retention")


@admin.register(ArchivePolicy)
class ArchivePolicyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """The one policy: changed, never added to or deleted."""

    readonly_fields = ("last_archive_run", "created_at", "updated_at")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse a second policy: the first one rules."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ArchivePolicy | None = None) -> bool:
        """Keep the policy."""
        return False
