"""What lists may be narrowed to and ordered by. A value that cannot be used is answered with 400."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import django_filters
from django import forms
from django.db.models import F, Q, QuerySet
from django_filters import rest_framework as filters
from django_filters.fields import IsoDateTimeField
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field

from jobs_app.models import JobStatus, TranscriptionJob, TranscriptionJobQuerySet

LONGEST_SEARCH = 200
"""In characters."""


class _MomentField(IsoDateTimeField):
    def clean(self, value: Any) -> datetime | None:
        moment = super().clean(value)
        try:
            return moment and moment.astimezone(UTC)
        except OverflowError:
            # Year 1 or 9999 with an offset that leads out of the calendar.
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid") from None


@extend_schema_field(OpenApiTypes.DATETIME)
class MomentFilter(filters.IsoDateTimeFilter):
    """A moment as RFC 3339, or a day."""

    field_class = _MomentField


class Ordering(django_filters.OrderingFilter):
    """`?ordering=-created_at,duration_ms`. Rows that have no value come last, either way."""

    def filter(self, qs: QuerySet[Any], value: list[str] | None) -> QuerySet[Any]:
        if not value:
            return qs
        order = []
        for param in value:
            field = F(self.get_ordering_value(param).removeprefix("-"))
            order.append(field.desc(nulls_last=True) if param.startswith("-") else field.asc(nulls_last=True))
        # Rows with the same value must not change places between two pages.
        return qs.order_by(*order, "-pk")


def _sources() -> list[tuple[str, str]]:
    session = TranscriptionJob._meta.get_field("session").related_model
    return session._meta.get_field("source").choices


class WordsFilter(filters.CharFilter):
    """A word or phrase. Without a limit a long one would be an error of the database."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            method="with_words",
            max_length=LONGEST_SEARCH,
            help_text="In titles, file names and transcripts.",
            **options,
        )


class JobFilter(filters.FilterSet):
    status = filters.ChoiceFilter(choices=JobStatus.choices)
    engine = filters.CharFilter()
    language = filters.CharFilter(method="in_language", help_text="ISO 639-1, asked for or found out.")
    source = filters.ChoiceFilter(
        field_name="session__source", choices=_sources, help_text="How the recording came here."
    )
    created_after = MomentFilter(field_name="created_at", lookup_expr="gte", help_text="From this moment on.")
    created_before = MomentFilter(field_name="created_at", lookup_expr="lt", help_text="Before this moment.")
    search = WordsFilter()
    ordering = Ordering(
        fields={
            "created_at": "created_at",
            "started_at": "started_at",
            "completed_at": "completed_at",
            "duration_ms": "duration_ms",
            "progress": "progress",
            "status": "status",
            "session__title": "title",
        }
    )

    class Meta:
        model = TranscriptionJob
        fields: list[str] = []

    def in_language(self, jobs: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        return jobs.filter(Q(language=value) | Q(detected_language=value))

    def with_words(self, jobs: TranscriptionJobQuerySet, name: str, value: str) -> QuerySet[Any]:
        return jobs.search(value)
