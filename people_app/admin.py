"""The admin pages of people, groups and tokens. Only superusers give rights or delete a person."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, cast

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm
from django.contrib.auth.models import Group
from django.db.models import Count, Model, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from people_app import deletion
from people_app.models import ApiToken, PersonKind, User
from people_app.staff.badges import admin_link, count
from people_app.staff.read_only import CountedDeletion, ReadOnlyAdmin, SturdyAdmin

admin.site.unregister(Group)


@admin.register(Group)
class TeamAdmin(SturdyAdmin, GroupAdmin):
    """Groups. Only superusers may change them: members could otherwise give rights to their own group."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.is_superuser

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return request.user.is_superuser

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return request.user.is_superuser


# These fields decide whether one account can do more than another.
RIGHTS = ("is_staff", "is_superuser", "groups", "user_permissions")


def may_change(request: HttpRequest, person: User) -> bool:
    """Whether this member of the staff may change `person`.

    Only superusers may change people who have rights, because whoever sets a password can log in as that
    person. Nobody may change a guest, who has no password.
    """
    if person.kind == PersonKind.GUEST:
        return False
    if request.user.is_superuser or person == request.user:
        return True
    has_rights = person.is_staff or person.is_superuser
    return not (has_rights or person.groups.exists() or person.user_permissions.exists())


class NewPersonForm(AdminUserCreationForm):
    class Meta(AdminUserCreationForm.Meta):
        model = User


class PersonForm(UserChangeForm):
    language = forms.ChoiceField(
        choices=[("", "The site's"), *settings.LANGUAGES], required=False, help_text="Of the pages."
    )

    class Meta(UserChangeForm.Meta):
        model = User


class WithTokens(Protocol):
    """The number that the list of people adds to each person."""

    n_tokens: int


@admin.register(User)
class OwnerAdmin(CountedDeletion, SturdyAdmin, UserAdmin):
    """People. Only superusers may delete a person, because that deletes the recordings, too. Only superusers
    give rights.
    """

    # These are names only. The stubs expect fields of the model that the generic class has.
    list_display = (*UserAdmin.list_display, "kind", "is_active", "last_login", "api_tokens")  # type: ignore[misc]
    list_filter = (*UserAdmin.list_filter, "kind")
    fieldsets = (
        *(UserAdmin.fieldsets or ()),
        ("Pages", {"fields": ("language", "time_zone", "theme", "live")}),
    )
    actions = ("revoke_api_tokens",)
    form = PersonForm
    add_form = NewPersonForm

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        people: QuerySet[User] = super().get_queryset(request)
        return people.annotate(n_tokens=Count("api_tokens"))

    @admin.display(description="API tokens", ordering="n_tokens")
    def api_tokens(self, user: WithTokens) -> int:
        return user.n_tokens

    @admin.action(description="Revoke the API tokens of the selected users", permissions=["change"])
    def revoke_api_tokens(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        revoke(self, request, ApiToken.objects.filter(user__in=list(queryset)))
        if without := sum(not user.n_tokens for user in cast("Iterable[WithTokens]", queryset)):
            self.message_user(request, f"{without} skipped: there was no token.", messages.WARNING)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        allowed = super().has_change_permission(request, obj)
        return allowed and (obj is None or may_change(request, obj))

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        own = tuple(super().get_readonly_fields(request, obj))
        return own if request.user.is_superuser else (*own, *RIGHTS)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return request.user.is_superuser

    def goes_too(self, objs: Iterable[Model]) -> dict[str, int]:
        return deletion.goes_with(cast("Iterable[User]", objs))

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        deletion.delete(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for user in list(queryset):
            self.delete_model(request, user)


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    """Tokens of people, without the hash by which somebody could find a key."""

    list_display = (
        "name",
        "of",
        "first_characters",
        "rights",
        "created_at",
        "last_used_at",
        "expires_at",
    )
    list_filter = ("rights", "created_at", "last_used_at", "expires_at")
    search_fields = ("name", "first_characters", "user__username")
    search_help_text = "Name, first characters or user"
    ordering = ("-created_at", "-pk")
    fields = list_display
    actions = ("revoke_selected",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiToken]:
        return super().get_queryset(request).select_related("user").defer("digest")

    @admin.display(description="user", ordering="user__username")
    def of(self, token: ApiToken) -> SafeString:
        return admin_link(token.user, token.user.get_username())

    @admin.action(description="Revoke the selected API tokens", permissions=["revoke"])
    def revoke_selected(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        revoke(self, request, queryset)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("people_app.change_user")


def revoke(page: admin.ModelAdmin, request: HttpRequest, tokens: QuerySet[ApiToken]) -> None:
    """Delete `tokens`, except those of people whom this member of the staff may not change. Say how many."""
    chosen = list(tokens.select_related("user"))
    ended = [token for token in chosen if may_change(request, token.user)]
    ApiToken.objects.filter(pk__in=[token.pk for token in ended]).delete()
    for user in {token.user for token in ended}:
        page.log_change(request, user, "API tokens revoked")
    page.message_user(request, f"{count(len(ended), 'API token')} revoked.", messages.SUCCESS)
    if skipped := len(chosen) - len(ended):
        message = f"{skipped} skipped: only superusers change people who have rights."
        page.message_user(request, message, messages.WARNING)
