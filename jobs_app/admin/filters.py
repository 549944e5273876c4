"""The filters of the admin's lists."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import F, Field, Model, Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest

from jobs_app.models import JobStatus

MINUTE_MS = 60_000
ROWS_LOOKED_AT = 100


class Conditions(admin.SimpleListFilter):
    """A filter with named conditions: `{value: (label, condition)}`."""

    conditions: dict[str, tuple[str, Q]]

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [(value, label) for value, (label, _) in self.conditions.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Model]) -> QuerySet[Model]:
        _, condition = self.conditions.get(self.value() or "", ("", Q()))
        return queryset.filter(condition)


class Values(admin.AllValuesFieldListFilter):
    """A filter by values of the newest rows that meet `condition`. For all values, it would read all rows.

    The empty value is left out, because its link would have no text.
    """

    condition = Q()

    def __init__(
        self,
        field: Field[Any, Any],
        request: HttpRequest,
        params: dict[str, list[str]],
        model: type[Model],
        model_admin: admin.ModelAdmin[Any],
        field_path: str,
    ) -> None:
        super().__init__(field, request, params, model, model_admin, field_path)
        newest_first = model_admin.get_ordering(request) or model._meta.ordering or ()
        newest = model._default_manager.filter(self.condition).order_by(*newest_first)
        values = set(newest.values_list(field_path, flat=True)[:ROWS_LOOKED_AT])
        # Django only iterates over these choices, so a list is enough.
        self.lookup_choices = sorted(values - {"", None})  # type: ignore[assignment]


class ErrorCodes(Values):
    """A filter by the error codes of failed jobs, which have an index of their own."""

    condition = Q(status=JobStatus.FAILED)


def audio_length(column: str) -> type[Conditions]:
    """Return a filter by the length of the audio, which `column` has in milliseconds."""

    def between(at_least_ms: int, under_ms: int) -> Q:
        return Q(**{f"{column}__gte": at_least_ms, f"{column}__lt": under_ms})

    class AudioLength(Conditions):
        title = "audio length"
        parameter_name = "audio"
        conditions = {
            "seconds": ("under a minute", between(0, MINUTE_MS)),
            "minutes": ("1 to 10 minutes", between(MINUTE_MS, 10 * MINUTE_MS)),
            "hour": ("10 to 60 minutes", between(10 * MINUTE_MS, 60 * MINUTE_MS)),
            "hours": ("an hour or more", Q(**{f"{column}__gte": 60 * MINUTE_MS})),
            "unknown": ("not known yet", Q(**{column: None})),
        }

    return AudioLength


def _took(*, at_least: timedelta | None = None, under: timedelta | None = None) -> Q:
    condition = Q(started_at__isnull=False, ended_at__isnull=False)
    if at_least is not None:
        condition &= Q(ended_at__gte=F("started_at") + at_least)
    if under is not None:
        condition &= Q(ended_at__lt=F("started_at") + under)
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
        "hour": ("in the last hour", Q(ended_at__gt=Now() - timedelta(hours=1))),
        "day": ("in the last day", Q(ended_at__gt=Now() - timedelta(days=1))),
        "week": ("in the last week", Q(ended_at__gt=Now() - timedelta(days=7))),
    }
