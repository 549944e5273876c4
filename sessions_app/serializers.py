"""What the API of recordings takes and gives."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from jobs_app.models import JobPriority
from jobs_app.options import JobOptions, resolve_options
from jobs_app.serializers import ErrorOutput, JobOutput, Moment
from sessions_app.models import AudioChunk, RecordingSession, SessionSource, SessionState


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
    temperature = serializers.FloatField(
        min_value=0, max_value=1, required=False, allow_null=True, help_text="Default: as the engine likes."
    )
    fallback_engine = serializers.CharField(
        max_length=40,
        required=False,
        allow_blank=True,
        help_text="Does what the engine fails at for good; `none`: nothing does.",
    )
    fallback_model = serializers.CharField(max_length=200, required=False, allow_blank=True)
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


class SessionCreateInput(OptionsInput):
    title = serializers.CharField(max_length=200, required=False, default="", allow_blank=True)
    source = serializers.ChoiceField(  # type: ignore[assignment]
        choices=[(s.value, s.label) for s in (SessionSource.RECORDER, SessionSource.API)],
        required=False,
        default=SessionSource.API,
        help_text="What records: the recorder page, or another program.",
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


class ChunkInput(serializers.Serializer):
    number = serializers.IntegerField(min_value=0, help_text="Its place in the recording, from 0.")
    # An empty file is answered like every other file that holds no audio.
    file = UploadField(allow_empty_file=True, help_text="Audio, or the next piece of a stream.")
    # Longer than any recording may be; it must fit into its column.
    duration_ms = serializers.IntegerField(
        min_value=0,
        max_value=10**12,
        required=False,
        allow_null=True,
        help_text="How long it is. Measured anyway; what cannot be read takes this much time.",
    )
    sha256 = serializers.RegexField(
        r"^[0-9a-fA-F]{64}\Z",
        required=False,
        default="",
        allow_blank=True,
        help_text="Of the file, in hex. What differs is refused.",
        error_messages={"invalid": "A SHA-256 has 64 hexadecimal digits."},
    )

    def validate_number(self, number: int) -> int:
        if number >= settings.MAX_CHUNKS:
            raise serializers.ValidationError(
                f"A recording has up to {settings.MAX_CHUNKS} chunks, numbered from 0. Send longer ones."
            )
        return number


class ChunkOutput(serializers.ModelSerializer):
    """A stored chunk. `duration_ms` is measured after a while; until then what its header says, or null."""

    received_at = Moment(read_only=True)

    class Meta:
        model = AudioChunk
        fields = ("id", "number", "duration_ms", "size_bytes", "sha256", "received_at", "continues")
        read_only_fields = fields


class ChunkPageOutput(serializers.Serializer):
    count = serializers.IntegerField()
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = ChunkOutput(many=True)
    missing = serializers.ListField(
        child=serializers.IntegerField(),
        help_text="All the numbers below the highest one that have not come, whatever the page.",
    )


class FinishInput(serializers.Serializer):
    chunks = serializers.IntegerField(
        min_value=0,
        required=False,
        allow_null=True,
        default=None,
        help_text="How many chunks the recording has. Without, it is finished with those that have come.",
    )
    force = serializers.BooleanField(
        required=False, default=False, help_text="Finish although some have not come."
    )

    def validate_chunks(self, chunks: int | None) -> int | None:
        if chunks is not None and chunks > settings.MAX_CHUNKS:
            raise serializers.ValidationError(f"A recording has up to {settings.MAX_CHUNKS} chunks.")
        return chunks


class ChunksMissingOutput(ErrorOutput):
    missing = serializers.ListField(
        child=serializers.IntegerField(), help_text="The numbers of the chunks that have not come."
    )


class CacheOutput(serializers.Serializer):
    windows = serializers.IntegerField(help_text="Of the newest job, so far.")
    done = serializers.IntegerField()
    running = serializers.IntegerField()
    waiting = serializers.IntegerField()
    failed = serializers.IntegerField()
    covered_ms = serializers.IntegerField(help_text="How much of the recording is transcribed.")
    duration_ms = serializers.IntegerField(help_text="Of what has come.")
    coverage = serializers.FloatField(help_text="0 to 1.")


class SpanInput(serializers.Serializer):
    start_ms = serializers.IntegerField(
        min_value=0, max_value=10**12, required=False, default=0, help_text="On the recording's timeline."
    )
    end_ms = serializers.IntegerField(
        min_value=1,
        max_value=10**12,
        required=False,
        default=None,
        help_text="Default: where it ends so far.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["end_ms"] is not None and attrs["start_ms"] >= attrs["end_ms"]:
            raise serializers.ValidationError({"end_ms": "The end must come after the start."})
        return attrs


class SpanOutput(serializers.Serializer):
    text = serializers.CharField(allow_null=True)
    coverage = serializers.FloatField(help_text="0 to 1: how much of the span is transcribed.")
