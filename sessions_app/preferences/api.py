"""REST: read and change a person's preferences."""

from __future__ import annotations

import zoneinfo
from collections.abc import Mapping

from django.conf import settings
from django.db import transaction
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from jobs_app.engines.resolving import resolve_options
from jobs_app.models.options import Door
from people_app.models import Theme, User
from people_app.tokens import person
from rest.outputs import AnyField, ErrorOutput
from sessions_app.options.defaults import TOGETHER, still_offered
from sessions_app.options.serializers import option_fields


class KnownNames(serializers.Serializer[User]):
    """Refuses what it does not know by its name: a preference with a typo would never be missed."""

    def to_internal_value(self, data: object) -> dict[str, object]:
        if isinstance(data, dict) and (unknown := data.keys() - self.fields.keys()):
            raise serializers.ValidationError(
                {name: f"There is no preference {name[:50]!r}." for name in sorted(unknown)}
            )
        found: dict[str, object] = super().to_internal_value(data)
        return found


class DefaultsInput(KnownNames):
    """Options of jobs by the names that `POST /api/uploads/` has for them; null takes one away."""

    def get_fields(self) -> dict[str, AnyField]:
        fields = option_fields(Door.API)
        for field in fields.values():
            field.allow_null = True
        return fields


class PreferencesInput(KnownNames):
    """How pages look to a person, and what a new job of theirs is asked where a request says nothing."""

    time_zone = serializers.CharField(
        allow_blank=True, help_text="As Europe/Berlin; empty: the one that the browser says."
    )
    language = serializers.ChoiceField(
        choices=settings.LANGUAGES, allow_blank=True, help_text="Of the pages; empty: the site's."
    )
    theme = serializers.ChoiceField(choices=Theme.choices)
    live = serializers.BooleanField(help_text="Whether the recorder page shows words while they are spoken.")
    known_voices = serializers.BooleanField(
        help_text="Whether voices can be saved under names, and names are suggested in later recordings."
    )
    defaults = DefaultsInput(help_text="For what a request leaves out.")

    def validate_known_voices(self, wanted: bool) -> bool:
        if wanted and not settings.KNOWN_VOICES:
            raise serializers.ValidationError("Known voices are turned off on this site.")
        return wanted

    def validate_time_zone(self, name: str) -> str:
        if name and name not in zoneinfo.available_timezones():
            raise serializers.ValidationError("There is no such time zone. Give one as Europe/Berlin.")
        return name


class PreferencesOutput(PreferencesInput):
    """How pages look to a person, and what a new job of theirs is asked where a request says nothing."""

    defaults = serializers.DictField(source="job_defaults")  # type: ignore[assignment]  # as they are kept


class PreferencesView(APIView):
    parser_classes = [JSONParser]

    @extend_schema(
        operation_id="preferences_retrieve", summary="What you prefer", responses={200: PreferencesOutput}
    )
    def get(self, request: Request) -> Response:
        return Response(PreferencesOutput(person(request)).data)

    @extend_schema(
        operation_id="preferences_update",
        summary="Change what you prefer",
        description="Changes what is named. Defaults fill in what uploads, recordings and further runs leave "
        "out, where they fit to the rest of it; not under /v1/.",
        request=PreferencesInput(partial=True),
        responses={200: PreferencesOutput} | dict.fromkeys((400, 403, 422), ErrorOutput),
    )
    def patch(self, request: Request) -> Response:
        wanted = PreferencesInput(data=request.data, partial=True)
        wanted.is_valid(raise_exception=True)
        given = dict(wanted.validated_data)
        with transaction.atomic():
            user = User.objects.select_for_update(no_key=True).get(pk=person(request).pk)
            if "defaults" in given:
                given["job_defaults"] = changed_defaults(user, given.pop("defaults"))
            for name, value in given.items():
                setattr(user, name, value)
            user.save(update_fields=given)
        return Response(PreferencesOutput(user).data)


def changed_defaults(user: User, given: dict[str, object]) -> dict[str, object]:
    """Return the user's defaults with `given` put in; null removes a default.

    A preferred model that the site no longer offers stays, and keeps nobody from changing the rest.

    Raises:
        NotSupported: the engine that would then be the default cannot do what the other defaults ask for.
    """

    def with_given(defaults: Mapping[str, object]) -> dict[str, object]:
        return {name: value for name, value in {**defaults, **given}.items() if value is not None}

    before = user.job_defaults
    named = {name for group in TOGETHER if group & given.keys() for name in group}
    others = still_offered({name: value for name, value in before.items() if name not in named})
    resolve_options(**with_given({name: before[name] for name in before.keys() & named} | others))
    return with_given(before)
