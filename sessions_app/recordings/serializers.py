"""The fields that the API of recordings takes and answers."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from jobs_app.api.serializers import JobInListOutput
from rest.moments import Moment
from rest.outputs import ErrorOutput
from sessions_app.models import AudioChunk, RecordingSession, SessionSource, SessionState
from sessions_app.options.serializers import OptionsInput
from sessions_app.transcripts.outputs import JobOutput


@extend_schema_field(OpenApiTypes.BINARY)
class UploadField(serializers.FileField):
    """An uploaded file.

    OpenAPI documents it as the bytes that are sent. Without this class it would be the address of a stored
    file.
    """

    default_error_messages = {
        # Django leaves out a part whose header is not UTF-8. Such file names come from curl on Windows.
        "required": "No file came. Send it as the part `file` of a form (multipart/form-data), "
        "with a file name in UTF-8.",
        # Django takes a part without a file name for an ordinary field.
        "invalid": 'The part `file` has no file name. Give it one, as in `filename="talk.mp3"`.',
        "no_name": 'The part `file` has no file name. Give it one, as in `filename="talk.mp3"`.',
    }


class UploadInput(OptionsInput):
    # An empty file gets the same answer as any other file without audio.
    file = UploadField(allow_empty_file=True, help_text="Audio or video.")
    title = serializers.CharField(
        max_length=200, required=False, default="", allow_blank=True, help_text="Default: the file's name."
    )


class SessionCreateInput(OptionsInput):
    title = serializers.CharField(max_length=200, required=False, default="", allow_blank=True)
    source = serializers.ChoiceField(  # type: ignore[assignment]  # DRF takes it off the class
        choices=[(s.value, s.label) for s in (SessionSource.RECORDER, SessionSource.API)],
        required=False,
        default=SessionSource.API,
        help_text="What records: the recorder page, or another program.",
    )


class SessionInput(serializers.Serializer[None]):
    title = serializers.CharField(max_length=200, allow_blank=True, required=False)
    current_job = serializers.UUIDField(
        required=False,
        help_text="A completed job of the recording, whose text is the transcript from now on. The others "
        "are kept. It is answered as `job`.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs:
            raise serializers.ValidationError("Send `title` or `current_job`: nothing else can be changed.")
        return attrs


class SessionInListOutput(serializers.Serializer[RecordingSession]):
    """A recording without the texts of its job.

    From `RecordingSessionQuerySet.with_summary()` and with its current job at hand.
    """

    id = serializers.UUIDField(read_only=True)
    title = serializers.CharField(read_only=True)
    source = serializers.ChoiceField(  # type: ignore[assignment]  # DRF takes it off the class
        choices=SessionSource.choices, read_only=True
    )
    state = serializers.ChoiceField(choices=SessionState.choices, read_only=True)
    started_at = Moment(read_only=True)
    finished_at = Moment(read_only=True, allow_null=True)
    duration_ms = serializers.IntegerField(source="total_ms", read_only=True, allow_null=True)
    chunk_count = serializers.SerializerMethodField()
    job = serializers.SerializerMethodField()

    def get_chunk_count(self, session: RecordingSession) -> int:
        return session.n_chunks or 0

    @extend_schema_field(JobInListOutput(allow_null=True))
    def get_job(self, session: RecordingSession) -> dict[str, object] | None:
        job = session.current_job
        return JobInListOutput(job, context=self.context).data if job else None


class SessionOutput(SessionInListOutput):
    """A recording with all of its job."""

    @extend_schema_field(JobOutput(allow_null=True))
    def get_job(self, session: RecordingSession) -> dict[str, object] | None:
        job = session.current_job
        return JobOutput(job, context=self.context).data if job else None


class UploadOutput(serializers.Serializer[dict[str, object]]):
    session = SessionOutput(read_only=True)
    job = JobOutput(read_only=True)


@extend_schema_field(OpenApiTypes.NUMBER)
class HintField(serializers.Field[int | None, object, int | None, object]):
    """Milliseconds that nothing depends on. A value that makes no sense becomes None and is not refused."""

    LONGEST_MS = 10**12  # this is longer than any recording may be, and fits into the column

    def to_internal_value(self, data: object) -> int | None:
        try:
            value = float(str(data)[:100])
        except ValueError:
            return None
        return round(value) if 0 <= value <= self.LONGEST_MS else None

    def to_representation(self, value: int | None) -> int | None:
        return value


class ChunkInput(serializers.Serializer[None]):
    number = serializers.IntegerField(min_value=0, help_text="Its place in the recording, from 0.")
    # An empty file gets the same answer as any other file without audio.
    file = UploadField(allow_empty_file=True, help_text="Audio, or the next piece of a stream.")
    duration_ms = HintField(
        required=False,
        allow_null=True,
        default=None,
        help_text=(
            "How long it is. Measured anyway; what cannot be read takes this much time. A fraction is "
            "rounded, and what makes no sense is ignored."
        ),
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


class ChunkOutput(serializers.ModelSerializer[AudioChunk]):
    """A stored chunk. `duration_ms` is measured after a while; until then what its header says, or null."""

    duration_ms = serializers.IntegerField(source="length_ms", read_only=True, allow_null=True)
    received_at = Moment(read_only=True)

    class Meta:
        model = AudioChunk
        fields = ("id", "number", "duration_ms", "size_bytes", "sha256", "received_at", "continues")
        read_only_fields = fields


class ChunkPageOutput(serializers.Serializer[None]):
    count = serializers.IntegerField()
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = ChunkOutput(many=True)
    missing = serializers.ListField(
        child=serializers.IntegerField(),
        help_text="All the numbers below the highest one that have not come, whatever the page.",
    )


class FinishInput(serializers.Serializer[None]):
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


class CacheOutput(serializers.Serializer[dict[str, object]]):
    windows = serializers.IntegerField(help_text="Of the current job, so far.")
    done = serializers.IntegerField()
    running = serializers.IntegerField()
    waiting = serializers.IntegerField()
    failed = serializers.IntegerField()
    covered_ms = serializers.IntegerField(help_text="How much of the recording is transcribed.")
    duration_ms = serializers.IntegerField(help_text="Of what has come.")
    coverage = serializers.FloatField(help_text="0 to 1.")


class SpanInput(serializers.Serializer[None]):
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


class SpanOutput(serializers.Serializer[dict[str, object]]):
    text = serializers.CharField(allow_null=True)
    coverage = serializers.FloatField(help_text="0 to 1: how much of the span is transcribed.")
