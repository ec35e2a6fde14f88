"""Users in the administration."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import UserCreationForm
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.forms import ModelForm
from django.http import HttpRequest

from accounts.forms import NewPasswordForm
from accounts.models import User

admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(DjangoUserAdmin):  # type: ignore[type-arg]
    """Create people, deactivate them, set a new password.

    Nobody takes the administration from himself, so somebody always has it.
    """

    list_display = ("username", "is_superuser", "is_active", "last_login", "created_at")
    list_filter = ("is_superuser", "is_active")
    show_facets = admin.ShowFacets.NEVER
    search_fields = ()
    ordering = ("username",)
    actions = None
    filter_horizontal = ()
    add_form = UserCreationForm
    add_form_template = None
    change_password_form = NewPasswordForm
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("May", {"fields": ("is_active", "is_superuser")}),
        ("Dates", {"fields": ("last_login", "created_at")}),
    )
    add_fieldsets = (
        (None, {"fields": ("username", "password1", "password2")}),
        ("May", {"fields": ("is_superuser",)}),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        """Keep people from locking themselves out."""
        rights = ("is_active", "is_superuser") if obj is not None and obj == request.user else ()
        return (*rights, "last_login", "created_at")

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Refuse one's own account, and those whose changes would vanish from the log with them."""
        if obj is None or not super().has_delete_permission(request, obj):
            return super().has_delete_permission(request, obj)
        return obj != request.user and not LogEntry.objects.filter(user=obj).exists()

    def save_model(self, request: HttpRequest, obj: User, form: ModelForm, change: bool) -> None:  # type: ignore[type-arg]
        """Write only what was changed, so a password hash that came by SQL stays as it is."""
        _still_administrator(request)
        changed = [*form.changed_data]
        if not change or "is_superuser" in changed:
            obj.is_staff = obj.is_superuser
            changed.append("is_staff")
        if not change:
            obj.save()
        elif form.changed_data:
            obj.save(update_fields=changed)

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        """Delete somebody."""
        _still_administrator(request)
        super().delete_model(request, obj)


def _still_administrator(request: HttpRequest) -> None:
    """Refuse where somebody else has just taken the right: two could take it from each other."""
    administrators = User.objects.filter(is_superuser=True, is_active=True)
    # All of them are locked, in the same order by everybody.
    ids: list[Any] = [one.pk for one in administrators.order_by("id").select_for_update()]
    if request.user.pk not in ids:
        raise PermissionDenied("You are no administrator any more.")
