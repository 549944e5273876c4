"""How the admin shows rows that only the machine writes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import ValidationError
from django.core.validators import ProhibitNullCharactersValidator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from jobs_app.filters import LONGEST_SEARCH
from jobs_app.models import ChunkTranscription, TranscriptionJob

# A longer list has a page of its own.
ROWS_ON_DETAIL_PAGE = 50
# Where there is nothing to say. Django puts its own into lists only.
NOTHING = "-"
MOST_SEARCH_WORDS = 8
# Of a job: not shown in lists, and as large as the recording is long.
LARGE_COLUMNS = ("transcript", "raw_text", "word_counts", "decode_report", "prompt")


class SturdyAdmin(admin.ModelAdmin):
    """Answers what no page of the admin sends, too: a search that is too long, ids that are none."""

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, search_term: str
    ) -> tuple[QuerySet, bool]:
        # Each word is a condition over several columns: a hundred of them took PostgreSQL's planner minutes
        # and all of the machine's memory.
        words = search_term[:LONGEST_SEARCH].split()[:MOST_SEARCH_WORDS]
        return super().get_search_results(request, queryset, " ".join(words))

    def response_action(self, request: HttpRequest, queryset: QuerySet) -> HttpResponse | None:
        try:
            for pk in request.POST.getlist(ACTION_CHECKBOX_NAME):
                ProhibitNullCharactersValidator()(pk)
                self.opts.pk.clean(pk, None)
        except ValidationError:
            message = "Nothing was done: one of the selected rows has no valid id. Load the list again."
            self.message_user(request, message, messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())
        return super().response_action(request, queryset)


class ReadOnlyAdmin(SturdyAdmin):
    """Staff look. Nothing is added or changed by hand; superusers delete where `deletable`."""

    deletable = False
    list_per_page = 50
    # Counts the whole table a second time for every page.
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.deletable and request.user.is_superuser


class CountedDeletion:
    """Says how much goes with what is deleted.

    Django lists each row that goes, thousands for a long recording, and refuses because none of them may
    be deleted alone.
    """

    def goes_too(self, objs: Iterable[Model]) -> dict[str, int]:
        """How many rows of other tables go with `objs`, by their name in the plural."""
        raise NotImplementedError

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[list, dict, set, list]:
        names = [str(obj) for obj in objs]
        own = str(self.opts.verbose_name_plural)
        return names, {own: len(names)} | self.goes_too(objs), set(), []


def admin_link(obj: Model, text: str) -> SafeString:
    """A link to the admin page of `obj`."""
    url = reverse(f"admin:{obj._meta.app_label}_{obj._meta.model_name}_change", args=(obj.pk,))
    return format_html('<a href="{}">{}</a>', url, text)


def list_link(model: type[Model], query: str, text: str) -> SafeString:
    """A link to the admin's list of `model`, filtered."""
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return format_html('<a href="{}?{}">{}</a>', url, query, text)


def badge(state: str, label: str = "") -> SafeString:
    return format_html('<span class="state state-{}">{}</span>', state, label or state)


def length(ms: int | None) -> str:
    """Milliseconds as h:mm:ss."""
    return NOTHING if ms is None else str(timedelta(seconds=round(ms / 1000)))


def between(start: datetime | None, end: datetime | None) -> str:
    """The time between two moments: `7.3 s`, or h:mm:ss from a minute on."""
    if start is None or end is None:
        return NOTHING
    seconds = (end - start).total_seconds()
    return f"{seconds:.1f} s" if seconds < 60 else str(timedelta(seconds=round(seconds)))


def per_cent(share: float | None) -> str:
    return NOTHING if share is None else f"{share:.0%}"


def count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def language(found: TranscriptionJob | ChunkTranscription) -> str:
    """The language that was heard, and how sure the engine was."""
    if not found.detected_language or found.language_confidence is None:
        return found.detected_language or NOTHING
    return f"{found.detected_language}, {per_cent(found.language_confidence)} sure"


def excerpt(text: str) -> str:
    return Truncator(text).chars(80)
