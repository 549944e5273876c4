"""Base classes of admin pages for rows that only the machine writes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, cast

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import flatten_fieldsets, get_fields_from_path
from django.contrib.admin.views.main import SEARCH_VAR
from django.core.exceptions import BadRequest, ValidationError
from django.core.paginator import Paginator
from django.core.validators import ProhibitNullCharactersValidator
from django.db import DataError
from django.db.models import Model, QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.functional import cached_property
from django.utils.safestring import SafeString

from people_app.models import User
from people_app.staff.badges import list_link

# A list of more rows than this gets a page of its own.
ROWS_ON_DETAIL_PAGE = 50
MOST_SEARCH_CHARACTERS = 200
MOST_SEARCH_WORDS = 8


# Lists cannot be filtered by these columns, because with `startswith` their values could be found letter by
# letter.
SECRETS = {"password", "digest"}


MOST_COUNTED = 1_000
"""A longer list is not counted to its end, because that would take longer each year, at every look."""


class MoreThan(int):
    """The number of rows of a list that were not all counted. Pages show it in words."""

    def __str__(self) -> str:
        return f"more than {self - 1:,}"


class BoundedPaginator(Paginator):
    @cached_property
    def count(self) -> int:
        # The rows keep their order, so that an index with this order is read only up to the limit. The
        # columns that the list computes are left out.
        rows = cast("QuerySet[Model]", self.object_list)
        n = rows.values("pk")[: MOST_COUNTED + 1].count()
        return MoreThan(n) if n > MOST_COUNTED else n


class SturdyAdmin(admin.ModelAdmin):
    """An admin page that also answers requests that no page of the admin sends.

    Examples are a search that is too long, and ids that are not valid. Its lists can be filtered only by what
    its pages show, and by nothing behind a relation. Django allows every column of related tables. With that,
    a person who may see accounts could find out their API tokens.
    """

    paginator = BoundedPaginator
    # Otherwise Django would count the whole table a second time for every page.
    show_full_result_count = False

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        filters = self.get_list_filter(request)
        if lookup in {getattr(item, "parameter_name", None) for item in filters}:
            return True
        paths = [item[0] if isinstance(item, list | tuple) else item for item in filters]
        if any(isinstance(path, str) and _is_of(path, lookup, self.model) for path in paths):
            return True
        name, _, how = lookup.partition(LOOKUP_SEP)
        fields = {field.name: field for field in self.opts.concrete_fields}
        field = self.opts.pk if name == "pk" else fields.get(name)
        if field is None or name in SECRETS:
            return False
        if field.is_relation:
            return _is_of(name, lookup, self.model)
        return (field.primary_key or name in self._shown(request)) and how not in fields

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, object] | None = None
    ) -> HttpResponse:
        # PostgreSQL refuses text with a null character. In the search text, Django's form finds it and says
        # so.
        if any("\0" in name + "".join(found) for name, found in request.GET.lists() if name != SEARCH_VAR):
            raise BadRequest("The address of this list has a character in it that no text has.")
        try:
            return super().changelist_view(request, extra_context)
        except (OverflowError, DataError) as error:
            # The address contains a number that no column of the database can hold.
            raise BadRequest("The address of this list names a value that cannot be.") from error

    def _shown(self, request: HttpRequest) -> set[str]:
        fields = flatten_fieldsets(self.get_fieldsets(request))
        return {str(name) for name in (*fields, *self.get_list_display(request))}

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Model], search_term: str
    ) -> tuple[QuerySet[Model], bool]:
        # Each word becomes a condition over several columns. A hundred of them cost PostgreSQL's planner
        # minutes, and all of the machine's memory.
        words = search_term[:MOST_SEARCH_CHARACTERS].split()[:MOST_SEARCH_WORDS]
        return super().get_search_results(request, queryset, " ".join(words))

    def response_action(  # type: ignore[override]  # the stubs are of Django 6
        self, request: HttpRequest, queryset: QuerySet[Model]
    ) -> HttpResponse | None:
        try:
            for pk in request.POST.getlist(ACTION_CHECKBOX_NAME):
                ProhibitNullCharactersValidator()(pk)
                self.opts.pk.clean(pk, None)
        except ValidationError:
            message = "Nothing was done: one of the selected rows has no valid id. Load the list again."
            self.message_user(request, message, messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())
        return super().response_action(request, queryset)


def _is_of(path: str, lookup: str, model: type[Model]) -> bool:
    """Return whether `lookup` asks for the value at `path` itself.

    Of a related row it may ask only which one it is.
    """
    if lookup != path and not lookup.startswith(f"{path}{LOOKUP_SEP}"):
        return False
    *_, field = get_fields_from_path(model, path)
    if field.name in SECRETS:
        return False
    how = lookup[len(path) :].strip("_")
    if not field.is_relation:
        return LOOKUP_SEP not in how or how.split(LOOKUP_SEP)[0] in ("date", "year", "month", "day")
    if field.related_model is None:  # a generic relation, which no model here has
        return False
    key = field.related_model._meta.pk.name
    if field.auto_created and not field.concrete:
        # This relation starts at the other model. The key of such a row may be a secret, as that of a token
        # is.
        return how in ("isnull", "isempty")
    asked, _, rest = how.partition(LOOKUP_SEP)
    return (rest if asked in (key, "pk") else how) in ("", "exact", "in", "isnull", "isempty")


class ReadOnlyAdmin(SturdyAdmin):
    """A page on which staff can only look.

    Nobody can add or change rows; superusers can delete if `deletable`.
    """

    deletable = False
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.deletable and request.user.is_superuser


class Owned(Protocol):
    owner: User
    owner_id: int


class OfOwners(ReadOnlyAdmin):
    """A list of rows that have an owner. Its query must have `select_related("owner")`.

    Django's own filter for owners would offer everybody who owns a row, and would read all rows to find them.
    """

    @admin.display(description="owner", ordering="owner")
    def owner_alone(self, row: Owned) -> SafeString:
        """Return a link to the list of this owner's rows."""
        return list_link(self.model, f"owner__id__exact={row.owner_id}", row.owner.get_username())


class CountedDeletion(SturdyAdmin):
    """A page that says how many rows are deleted together with the chosen ones.

    Django would list each of these rows, which are thousands for a long recording. It would also refuse the
    deletion, because none of them may be deleted alone.
    """

    def goes_too(self, objs: Iterable[Model]) -> dict[str, int]:
        """Return how many rows of other tables are deleted with `objs`, by the plural name of their model."""
        raise NotImplementedError

    def get_deleted_objects(
        self, objs: Sequence[Model] | QuerySet[Model], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        names = [str(obj) for obj in objs]
        own = str(self.opts.verbose_name_plural)
        return names, {own: len(names)} | self.goes_too(objs), set(), []
