"""Lists in the administration that are read along an index: no count, no sorting, no offset.

A page shows the newest rows of a stretch of time; what is older comes behind the last of them.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db import models
from django.http import HttpRequest

BEFORE = "before"
_PLACE = re.compile(r"(.{10,40})_([0-9]{1,18})", re.ASCII)


class StretchForm(forms.Form):
    """From when to when, in UTC, and behind which row."""

    since = forms.DateTimeField(required=False, label="From (UTC)")
    until = forms.DateTimeField(required=False, label="Until before (UTC)")
    before = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("since", "until"):
            widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
            self.fields[name].widget = widget

    def clean_before(self) -> tuple[datetime, int] | None:
        """Return time and id of the row."""
        text = self.cleaned_data["before"]
        if not text:
            return None
        found = _PLACE.fullmatch(text)
        try:
            at = datetime.fromisoformat(found[1]) if found else None
        except ValueError:
            at = None
        if found is None or at is None or at.tzinfo is None:
            raise forms.ValidationError("before must be a time and an id, as the links have it.")
        return at, int(found[2])

    def clean(self) -> dict[str, Any]:
        """Refuse a stretch that ends before it begins."""
        values = super().clean() or {}
        since, until = values.get("since"), values.get("until")
        if since and until and until <= since:
            self.add_error("until", "This must be later than From.")
        return values


class StretchFilter(admin.ListFilter):
    """A stretch of the column `time_field` of the list, and the place in it."""

    title = "time"
    template = "admin/stretch_filter.html"

    def __init__(
        self,
        request: HttpRequest,
        params: dict[str, Any],
        model: type[models.Model],
        model_admin: "SeekingAdmin",
    ) -> None:
        super().__init__(request, params, model, model_admin)
        given = {
            name: params.pop(name)[-1] for name in self.expected_parameters() if name in params
        }
        self._column = model_admin.time_field
        self.form = StretchForm(given)
        self.others = [
            (name, value) for name, value in request.GET.items() if name not in self._names()
        ]

    def has_output(self) -> bool:
        """Be shown always."""
        return True

    def expected_parameters(self) -> list[str]:  # type: ignore[override]
        """Return the names of our query parameters."""
        return [*StretchForm.base_fields]

    _names = expected_parameters

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """Return none: there is a form instead."""
        return iter(())

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Keep what is in the stretch, and nothing where the form is wrong."""
        if not self.form.is_valid():
            return queryset.none()
        since, until, place = (self.form.cleaned_data[name] for name in self._names())
        if since:
            queryset = queryset.filter(**{f"{self._column}__gte": since})
        if until:
            queryset = queryset.filter(**{f"{self._column}__lt": until})
        if place:
            at, id = place
            queryset = queryset.filter(**{f"{self._column}__lte": at})
            queryset = queryset.exclude(**{self._column: at, "id__gte": id})
        return queryset


class ChoiceFilter(admin.SimpleListFilter):
    """One of several, never all: the index begins with this column."""

    def value(self) -> str:
        """Return what is chosen, the first one where nothing or something unknown is."""
        known = [str(value) for value, _ in self.lookup_choices]
        chosen = super().value()
        return chosen if chosen in known else known[0]

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """Return the links; the place in the list is of one choice only."""
        for value, text in self.lookup_choices:
            yield {
                "selected": str(value) == self.value(),
                "query_string": changelist.get_query_string(
                    {str(self.parameter_name): value}, [BEFORE]
                ),
                "display": text,
            }

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Keep what is chosen."""
        return queryset.filter(**{str(self.parameter_name): self.value()})


class SeekingList(ChangeList):
    """One page of rows and the links to the next older ones and to the newest."""

    older_link = newest_link = ""

    def get_ordering(self, request: HttpRequest, queryset: Any) -> list[Any]:
        """Return the order of the index, whatever is asked for."""
        return [f"-{self.model_admin.time_field}", "-id"]  # type: ignore[attr-defined]

    def get_results(self, request: HttpRequest) -> None:
        """Read a page and one row more, which tells whether there is an older page."""
        rows = list(self.queryset[: self.list_per_page + 1])
        self.result_list = rows[: self.list_per_page]
        self.result_count = len(self.result_list)
        self.full_result_count = None
        self.show_full_result_count = self.show_admin_actions = False
        self.can_show_all = self.multi_page = False
        if len(rows) > self.list_per_page:
            last = self.result_list[-1]
            at = getattr(last, self.model_admin.time_field)  # type: ignore[attr-defined]
            self.older_link = self.get_query_string({BEFORE: f"{at.isoformat()}_{last.pk}"})
        if BEFORE in self.params:
            self.newest_link = self.get_query_string(remove=[BEFORE])


class SeekingAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows that nobody adds, changes or deletes here, listed by their time, newest first."""

    time_field: str
    change_list_template = "admin/seeking_list.html"
    change_form_template = "admin/seeking_row.html"
    list_per_page = 50
    show_facets = admin.ShowFacets.NEVER
    sortable_by = ()
    actions = None

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Return the list that does not count."""
        return SeekingList

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Refuse what no filter asks for: it would read the whole table."""
        return lookup in (*StretchForm.base_fields, *self._filtered())

    def _filtered(self) -> list[str]:
        filters = (one for one in self.list_filter if isinstance(one, type))
        return [
            str(one.parameter_name) for one in filters if issubclass(one, admin.SimpleListFilter)
        ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse."""
        return False
