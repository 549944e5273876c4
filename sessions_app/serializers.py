"""What the API of recordings takes and gives."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from jobs_app.models import JobPriority
from jobs_app.options import JobOptions, resolve_options
from jobs_app.serializers import JobOutput, Moment
from sessions_app.models import RecordingSession, SessionSource, SessionState


class OptionsInput(serializers.Serializer):
    """How to transcribe. What is left out is filled from the settings."""

    language = serializers.CharField(
        max_length=10, required=False, allow_blank=True, help_text="ISO 639-1; empty: find out."
    )
    engine = serializers.CharField(max_length=40, required=False, allow_blank=True)
    model = serializers.CharField(max_length=200, required=False, allow_blank=True)
    diarize = serializers.BooleanField(required=False, default=False, help_text="Tell speakers apart.")
    num_speakers = serializers.IntegerField(min_value=1, max_value=100, required=False, allow_null=True)
    translate_to = serializers.CharField(
        max_length=10, required=False, allow_blank=True, help_text="A language code."
    )
    prompt = serializers.CharField(
        max_length=2000, required=False, allow_blank=True, help_text="Words that are likely to be heard."
    )
    priority = serializers.ChoiceField(
        choices=JobPriority.choices, required=False, default=JobPriority.NORMAL
    )

    def job_options(self) -> JobOptions:
        """Raises NotSupported where the engine cannot do what is asked. Call it on valid data."""
        names = OptionsInput._declared_fields
        return resolve_options(
            **{name: value for name, value in self.validated_data.items() if name in names}
        )


@extend_schema_field(OpenApiTypes.BINARY)
class UploadField(serializers.FileField):
    """Documented as the bytes that are sent, not as the address that a stored file is shown as."""


class UploadInput(OptionsInput):
    # An empty file is answered like every other file that holds no audio.
    file = UploadField(allow_empty_file=True, help_text="Audio or video.")
    title = serializers.CharField(
        max_length=200, required=False, default="", allow_blank=True, help_text="Default: the file's name."
    )


class SessionInput(serializers.Serializer):
    title = serializers.CharField(max_length=200, allow_blank=True)


class SessionOutput(serializers.Serializer):
    """A recording, from `RecordingSessionQuerySet.with_summary()` and with its jobs at hand."""

    id = serializers.UUIDField(read_only=True)
    title = serializers.CharField(read_only=True)
    source = serializers.ChoiceField(choices=SessionSource.choices, read_only=True)
    state = serializers.ChoiceField(choices=SessionState.choices, read_only=True)
    started_at = Moment(read_only=True)
    finished_at = Moment(read_only=True, allow_null=True)
    duration_ms = serializers.IntegerField(source="total_ms", read_only=True, allow_null=True)
    chunk_count = serializers.SerializerMethodField()
    job = serializers.SerializerMethodField()

    def get_chunk_count(self, session: RecordingSession) -> int:
        return session.n_chunks or 0

    @extend_schema_field(JobOutput(allow_null=True))
    def get_job(self, session: RecordingSession) -> dict[str, Any] | None:
        newest = session.newest_jobs
        return JobOutput(newest[0], context=self.context).data if newest else None


class UploadOutput(serializers.Serializer):
    session = SessionOutput(read_only=True)
    job = JobOutput(read_only=True)
