"""Settings, policy and what was stored, in the administration."""

import json
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db import models
from django.forms import Textarea
from django.http import HttpRequest
from django.utils.formats import localize
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from metrics.archiving import INTERVALS
from metrics.chunks import COLLECTORS
from metrics.columns import StrictDecoder
from metrics.configuration import DEFAULTS, WRITTEN_BY_PERFWATCH
from metrics.models import ArchivePolicy, Config, MetricsSnapshot, Rollup
from metrics.querysets.snapshots import SnapshotQuerySet, snapshots
from metrics.seeking import ChoiceFilter, SeekingAdmin, SeekingList, StretchFilter
from metrics.tiers import TIERS


@admin.register(Config)
class ConfigAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """The rows of `config`; what PerfWatch writes itself can only be read."""

    list_display = ("key", "value", "updated_at")
    readonly_fields = ("updated_at",)
    actions = None
    formfield_overrides = {
        models.JSONField: {
            "widget": Textarea(attrs={"rows": 6, "cols": 60}),
            "decoder": StrictDecoder,
        }
    }

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Config | None:
        """Find no row whose key has a NUL: PostgreSQL refuses the question."""
        if "\0" in object_id:
            return None
        return super().get_object(request, object_id, from_field)

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
        own = obj is not None and obj.key in (*WRITTEN_BY_PERFWATCH, *DEFAULTS)
        return not own and super().has_delete_permission(request, obj)


@admin.register(ArchivePolicy)
class ArchivePolicyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """The one policy: changed, never added to or deleted."""

    readonly_fields = ("last_archive_run", "created_at", "updated_at")
    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse a second policy: the first one rules."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ArchivePolicy | None = None) -> bool:
        """Keep the policy."""
        return False


FIGURES = {
    "cpu": ("cpu", "usage_percent"),
    "memory": ("memory", "percent"),
    "load": ("cpu", "load_avg_1m"),
    "samples": ("downsampled", "samples"),
}
"""What the list of snapshots shows of each document."""


class SnapshotList(SeekingList):
    """A page of snapshots with a few of their numbers; the documents stay where they are."""

    def get_results(self, request: HttpRequest) -> None:
        """Read the numbers of the rows on the page, in one query."""
        super().get_results(request)
        ids = [row.pk for row in self.result_list]
        found = snapshots().values_of(list(FIGURES.values()), ids) if ids else {}
        for row in self.result_list:
            row.figures = dict(zip(FIGURES, found.get(row.pk, [None] * len(FIGURES)), strict=True))


@admin.register(MetricsSnapshot)
class SnapshotAdmin(SeekingAdmin):
    """PerfWatch's own snapshots, to be read; rows of other types belong to others."""

    time_field = "timestamp"
    list_display = ("timestamp", "cpu", "memory", "load", "samples", "id")
    list_filter = (StretchFilter,)
    fields = readonly_fields = ("timestamp", "id", "metric_type", "document")

    def get_queryset(self, request: HttpRequest) -> SnapshotQuerySet:
        """Leave the documents in the database until one is looked at."""
        return snapshots().defer("metric_data")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[SeekingList]:
        """Return the list with numbers."""
        return SnapshotList

    @admin.display(description="CPU, %")
    def cpu(self, row: Any) -> Any:
        """Return how busy the CPUs were."""
        return row.figures["cpu"]

    @admin.display(description="memory, %")
    def memory(self, row: Any) -> Any:
        """Return how much memory was used."""
        return row.figures["memory"]

    @admin.display(description="load, 1 min")
    def load(self, row: Any) -> Any:
        """Return the load."""
        return row.figures["load"]

    @admin.display(description="samples")
    def samples(self, row: Any) -> Any:
        """Return how many samples the row stands for."""
        return row.figures["samples"] or 1

    @admin.display(description="document")
    def document(self, row: MetricsSnapshot) -> SafeString:
        """Return the document, to be read."""
        return as_html(snapshots().value_of(row.pk))


class ResolutionFilter(ChoiceFilter):
    """The length of a slot."""

    title = "resolution"
    parameter_name = "resolution"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, str]]:
        """Return the tiers in words."""
        return [(seconds, words) for words, seconds in INTERVALS.items()]


class CollectorFilter(ChoiceFilter):
    """The part of the document."""

    title = "collector"
    parameter_name = "collector"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, str]]:
        """Return the collectors that have roll-ups."""
        return [(name, name) for name in COLLECTORS]


@admin.register(Rollup)
class RollupAdmin(SeekingAdmin):
    """Roll-ups, to be read: of one resolution and one collector at a time, as their index goes."""

    time_field = "start"
    list_display = ("start", "end", "resolution", "collector")
    list_filter = (ResolutionFilter, CollectorFilter, StretchFilter)
    fields = readonly_fields = ("start", "end", "resolution", "collector", "document")

    def get_queryset(self, request: HttpRequest) -> Any:
        """Leave the documents in the database until one is looked at."""
        return super().get_queryset(request).defer("data")

    @admin.display(description="until before")
    def end(self, row: Rollup) -> str | None:
        """Return where the next row begins."""
        seconds = {tier.seconds: tier.chunk for tier in TIERS}.get(row.resolution)
        return localize(row.start + timedelta(seconds=seconds)) if seconds else None

    @admin.display(description="document")
    def document(self, row: Rollup) -> SafeString:
        """Return the columns, to be read."""
        return as_html(row.data)


def as_html(value: Any) -> SafeString:
    """Return a JSON document as HTML: a part that folds for each of its keys."""
    if not isinstance(value, dict):
        return format_html("<pre>{}</pre>", as_text(value))
    parts = {name: part for name, part in value.items() if isinstance(part, dict | list)}
    plain = {name: part for name, part in value.items() if name not in parts}
    found = format_html_join(
        "",
        "<details open><summary>{}</summary><pre>{}</pre></details>",
        ((name, as_text(part)) for name, part in parts.items()),
    )
    first = format_html("<pre>{}</pre>", as_text(plain)) if plain else ""
    return format_html('<div class="document">{}{}</div>', first, found)


def as_text(value: Any, indent: str = "") -> str:
    """Return JSON with an item on each line; lists of numbers stay together."""
    deeper = indent + "  "
    if isinstance(value, dict) and value:
        lines = (f"{json.dumps(key)}: {as_text(one, deeper)}" for key, one in value.items())
        opening, closing = "{}"
    elif isinstance(value, list) and any(isinstance(one, dict | list) for one in value):
        lines = (as_text(one, deeper) for one in value)
        opening, closing = "[]"
    else:
        return json.dumps(value, ensure_ascii=False)
    inner = f",\n{deeper}".join(lines)
    return f"{opening}\n{deeper}{inner}\n{indent}{closing}"
