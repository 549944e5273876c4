"""The outputs that are shared by all parts of the API."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

AnyField = serializers.Field[Any, Any, Any, Any]
"""A field of values of any type."""


class ErrorOutput(serializers.Serializer[None]):
    """What every error looks like."""

    detail = serializers.CharField(read_only=True, help_text="A sentence for people, with the remedy.")
    code = serializers.CharField(read_only=True, help_text="For programs; it does not change.")
    fields = serializers.DictField(  # type: ignore[assignment]  # DRF takes it off the class
        child=serializers.ListField(child=serializers.CharField()),
        required=False,
        help_text="With the code `invalid`: what is wrong, by field.",
    )
