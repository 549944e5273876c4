"""Fields and filters for moments in time. The API takes RFC 3339, and answers it in UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django import forms
from django_filters import rest_framework as filters
from django_filters.fields import IsoDateTimeField
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers


class Moment(serializers.DateTimeField):
    """A moment in UTC, no matter in which time zone pages show times."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(default_timezone=UTC, **kwargs)


class _MomentField(IsoDateTimeField):
    def clean(self, value: object) -> datetime | None:
        moment: datetime | None = super().clean(value)
        try:
            return moment and moment.astimezone(UTC)
        except OverflowError:
            # In the years 1 and 9999, an offset can lead out of the calendar.
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid") from None


@extend_schema_field(OpenApiTypes.DATETIME)
class MomentFilter(filters.IsoDateTimeFilter):
    """A filter that takes a moment as RFC 3339, or a day."""

    field_class = _MomentField
