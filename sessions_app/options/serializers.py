"""Make the fields of API requests from the table of options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rest_framework import serializers

from jobs_app.models.options import Door, JobOptions, Option, offered_at
from people_app.models import User
from rest.outputs import AnyField
from sessions_app.options.defaults import options_for
from speech.errors import NotSupported


class _OptionalInteger(serializers.IntegerField):
    """It may be left out. Pages and the metadata of uploads say so by an empty text."""

    def validate_empty_values(self, data: object) -> tuple[bool, Any]:
        return super().validate_empty_values(None if data == "" else data)


class _OptionalFloat(serializers.FloatField):
    """The same."""

    def validate_empty_values(self, data: object) -> tuple[bool, Any]:
        return super().validate_empty_values(None if data == "" else data)


def option_fields(door: Door) -> dict[str, AnyField]:
    return {row.name: option_field(row) for row in offered_at(door)}


def option_field(row: Option) -> AnyField:
    given: dict[str, Any] = {"required": False, "default": row.default, "help_text": row.help}
    if row.choices is not None:
        return serializers.ChoiceField(choices=row.choices.choices, **given)
    if row.type is bool:
        return serializers.BooleanField(**given)
    if row.type in (int, float):
        number = _OptionalInteger if row.type is int else _OptionalFloat
        return number(min_value=row.least, max_value=row.most, allow_null=row.optional, **given)
    validators = [_readable(row.read)] if row.read is not None else []
    return serializers.CharField(max_length=row.max_length, allow_blank=True, validators=validators, **given)


def _readable(read: Callable[[str], str]) -> Callable[[str], None]:
    """Return a validator that refuses a text which `read` cannot read.

    The field keeps the text as it was written, because it may say more than the value that was read.
    """

    def check(wish: str) -> None:
        try:
            read(wish)
        except NotSupported as error:
            raise serializers.ValidationError(str(error), code=error.code) from error

    return check


class OptionsInput(serializers.Serializer[None]):
    """How to transcribe. What is left out is as its user prefers, and else as the settings say."""

    def get_fields(self) -> dict[str, AnyField]:
        return option_fields(Door.API) | super().get_fields()

    def job_options(self, user: User, accept_language: str = "") -> JobOptions:
        """Return the options of the job. Call it only on valid data.

        `accept_language` is the header of the request.

        Raises:
            NotSupported: the engine cannot do what the request asks for.
        """
        given = [row.name for row in offered_at(Door.API) if row.name in self.initial_data]
        return options_for(user, {name: self.validated_data[name] for name in given}, accept_language)
