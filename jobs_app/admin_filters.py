"""What staff may narrow the admin's lists by."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest

MINUTE_MS = 60_000


class Conditions(admin.SimpleListFilter):
    """A choice of named conditions: `{value: (label, condition)}`."""

    conditions: dict[str, tuple[str, Q]]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, label) for value, (label, _) in self.conditions.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        _, condition = self.conditions.get(self.value() or "", ("", Q()))
        return queryset.filter(condition)


class Values(admin.AllValuesFieldListFilter):
    """Every value there is, but for the empty one, whose link would have no text."""

    def __init__(self, field: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(field, *args, **kwargs)
        self.lookup_choices = self.lookup_choices.exclude(**{field.name: ""})


class AudioLength(Conditions):
    title = "audio length"
    parameter_name = "audio"
    conditions = {
        "seconds": ("under a minute", Q(duration_ms__lt=MINUTE_MS)),
        "minutes": ("1 to 10 minutes", Q(duration_ms__gte=MINUTE_MS, duration_ms__lt=10 * MINUTE_MS)),
        "hour": ("10 to 60 minutes", Q(duration_ms__gte=10 * MINUTE_MS, duration_ms__lt=60 * MINUTE_MS)),
        "hours": ("an hour or more", Q(duration_ms__gte=60 * MINUTE_MS)),
        "unknown": ("not known yet", Q(duration_ms=None)),
    }


def _took(*, at_least: timedelta | None = None, under: timedelta | None = None) -> Q:
    condition = Q(started_at__isnull=False, completed_at__isnull=False)
    if at_least is not None:
        condition &= Q(completed_at__gte=F("started_at") + at_least)
    if under is not None:
        condition &= Q(completed_at__lt=F("started_at") + under)
    return condition


class ProcessingTime(Conditions):
    title = "processing time"
    parameter_name = "took"
    conditions = {
        "seconds": ("under 10 seconds", _took(under=timedelta(seconds=10))),
        "minute": ("10 to 60 seconds", _took(at_least=timedelta(seconds=10), under=timedelta(minutes=1))),
        "minutes": ("1 to 10 minutes", _took(at_least=timedelta(minutes=1), under=timedelta(minutes=10))),
        "long": ("10 minutes or more", _took(at_least=timedelta(minutes=10))),
    }


class Attempts(Conditions):
    title = "attempts"
    parameter_name = "attempts"
    conditions = {
        "one": ("one at most", Q(attempt__lte=1)),
        "more": ("more than one", Q(attempt__gt=1)),
    }


class Ended(Conditions):
    title = "when it ended"
    parameter_name = "ended"
    conditions = {
        "hour": ("in the last hour", Q(completed_at__gt=Now() - timedelta(hours=1))),
        "day": ("in the last day", Q(completed_at__gt=Now() - timedelta(days=1))),
        "week": ("in the last week", Q(completed_at__gt=Now() - timedelta(days=7))),
    }
