"""Format badges, links, lengths and counts for the admin."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Model
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator

# This is shown for a missing value. Django shows its own sign for these in lists only.
NOTHING = "-"


def admin_link(obj: Model, text: str) -> SafeString:
    """Return a link to the admin page of `obj`."""
    url = reverse(f"admin:{obj._meta.app_label}_{obj._meta.model_name}_change", args=(obj.pk,))
    return format_html('<a href="{}">{}</a>', url, text)


def list_link(model: type[Model], query: str, text: str) -> SafeString:
    """Return a link to the admin's list of `model`, filtered by `query`."""
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return format_html('<a href="{}?{}">{}</a>', url, query, text)


def badge(state: str, label: str = "") -> SafeString:
    return format_html('<span class="state state-{}">{}</span>', state, label or state)


def length(ms: int | None) -> str:
    """Return milliseconds in the form h:mm:ss."""
    return NOTHING if ms is None else str(timedelta(seconds=round(ms / 1000)))


def between(start: datetime | None, end: datetime | None) -> str:
    """Return the time between two moments: `7.3 s`, or h:mm:ss if it is a minute or more."""
    if start is None or end is None:
        return NOTHING
    seconds = (end - start).total_seconds()
    return f"{seconds:.1f} s" if seconds < 60 else str(timedelta(seconds=round(seconds)))


def per_cent(share: float | None) -> str:
    return NOTHING if share is None else f"{share:.0%}"


def count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def excerpt(text: str) -> str:
    return Truncator(text).chars(80)
