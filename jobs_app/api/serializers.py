"""The input and output of the API of jobs."""

from __future__ import annotations

from django.db.models import DateTimeField
from rest_framework import serializers

from jobs_app.models import WORK_OPEN, JobStage, JobStatus, TranscriptionJob, WorkStatus
from jobs_app.models.options import Kept, Option, all_options
from rest.moments import Moment
from rest.outputs import AnyField

TIMINGS = ("words", "segments", "window", "")
CORRECTION_STATES = (*WORK_OPEN, WorkStatus.FAILED, "")
CORRECTING = (
    "How far applying your corrections anew is: waiting, running, or failed, which may be asked for again; "
    "empty when it is done, and where nobody asked for it."
)


class GapOutput(serializers.Serializer[None]):
    """A stretch of the recording without sound, so that what comes after it does not shift."""

    start_ms = serializers.IntegerField()
    end_ms = serializers.IntegerField()
    chunk = serializers.IntegerField(help_text="Its number; in a stream in pieces, of the one after the gap.")
    reason = serializers.ChoiceField(
        choices=("missing", "damaged", "unreadable", "left_out"),
        help_text=(
            "It never came, its end could not be read, none of it could, or it did not fit into what a "
            "recording may have."
        ),
    )


class UsageOutput(serializers.Serializer[TranscriptionJob]):
    """What a job took of other servers."""

    requests = serializers.IntegerField(source="provider_requests", help_text="Failed ones too.")
    audio_seconds = serializers.SerializerMethodField(help_text="How much audio they transcribed.")
    translator_tokens = serializers.IntegerField(help_text="That the chat model read and wrote.")
    cost = serializers.FloatField(
        source="provider_cost",
        help_text="Of that audio and those tokens, at the prices that the site has set; 0 without.",
    )

    def get_audio_seconds(self, job: TranscriptionJob) -> float:
        return job.provider_audio_ms / 1000


class JobInListOutput(serializers.ModelSerializer[TranscriptionJob]):
    """A job without its texts."""

    # The query needs `select_related("session", "sound", "transcript")`.

    serializer_field_mapping = {**serializers.ModelSerializer.serializer_field_mapping, DateTimeField: Moment}

    title = serializers.CharField(source="session.title", read_only=True, help_text="Of the recording.")
    detected_language = serializers.CharField(
        source="transcript.detected_language", read_only=True, help_text="ISO 639-1; empty when not known."
    )
    language_confidence = serializers.FloatField(
        source="transcript.language_confidence",
        read_only=True,
        allow_null=True,
        help_text="0 to 1: how sure the engine is of the language.",
    )
    language_is_guess = serializers.BooleanField(
        source="transcript.language_is_guess",
        read_only=True,
        help_text="Whether what was heard alone does not make the language probable, as of a word or two.",
    )
    total_segments = serializers.IntegerField(
        source="transcript.total_segments", read_only=True, help_text="Of the transcript."
    )
    total_words = serializers.IntegerField(
        source="transcript.total_words", read_only=True, help_text="Of the transcript."
    )
    average_confidence = serializers.FloatField(
        source="transcript.average_confidence",
        read_only=True,
        allow_null=True,
        help_text="0 to 1, over the segments.",
    )
    speech_span_ms = serializers.IntegerField(
        source="transcript.speech_span_ms",
        read_only=True,
        help_text="From the start of the first segment to the end of the last.",
    )
    speaking_ms = serializers.IntegerField(
        source="transcript.speaking_ms",
        read_only=True,
        help_text="How long somebody speaks: the segments added up.",
    )
    n_speakers = serializers.IntegerField(
        source="transcript.n_speakers",
        read_only=True,
        help_text="How many people speak; 0 where they were not told apart.",
    )
    timing = serializers.ChoiceField(
        source="transcript.read_timing",
        choices=TIMINGS,
        read_only=True,
        help_text="The coarsest times in the transcript: of words, of segments, or only of windows of about "
        "a minute, where the engine gives no better ones; empty until known.",
    )
    duration_ms = serializers.IntegerField(read_only=True, allow_null=True, help_text="Of the audio.")
    usage = UsageOutput(source="*", read_only=True, help_text="What it took of other servers.")
    gaps = GapOutput(
        source="sound.gaps",
        many=True,
        read_only=True,
        help_text="Chunks that never came or could not be read.",
    )

    completed_at = Moment(
        source="ended_at", read_only=True, allow_null=True, help_text="When it ended, however it ended."
    )

    class Meta:
        model = TranscriptionJob
        fields: tuple[str, ...] = (
            "id",
            "session",
            "title",
            "filename",
            "kind",
            "status",
            "progress",
            "stage",
            "engine",
            "model",
            "language",
            "detected_language",
            "language_confidence",
            "language_is_guess",
            "priority",
            "attempt",
            "duration_ms",
            "total_segments",
            "total_words",
            "average_confidence",
            "speech_span_ms",
            "speaking_ms",
            "n_speakers",
            "timing",
            "usage",
            "gaps",
            "error_code",
            "error",
            "created_at",
            "started_at",
            "completed_at",
        )
        read_only_fields = fields
        extra_kwargs: dict[str, dict[str, object]] = {
            "session": {"help_text": "The recording that was transcribed."},
            "kind": {
                "help_text": "`run`: somebody asked for it. `refine`: a recording that was heard live is "
                "heard once more, for a better text."
            },
            "engine": {"help_text": "What transcribes."},
            "model": {"help_text": "The engine's model."},
            "error_code": {"help_text": "Why it failed, for programs; empty otherwise."},
            "error": {"help_text": "Why it failed, for people, with the remedy."},
            "started_at": {"help_text": "When a worker first took it; null while it waits."},
        }

    def get_fields(self) -> dict[str, AnyField]:
        """Return the fields above and those of the options, without long texts.

        Options with a column of their own are above.
        """
        asked_for = {
            row.answered_as or row.name: _answer(row) for row in all_options() if row.kept is Kept.JSON
        }
        return super().get_fields() | asked_for


_ANSWERS: dict[type, type[AnyField]] = {
    str: serializers.CharField,
    bool: serializers.BooleanField,
    int: serializers.IntegerField,
    float: serializers.FloatField,
}


def _answer(row: Option) -> AnyField:
    """Return the field in which the API shows this option of a job."""
    return _ANSWERS[row.type](
        source=f"short_options.{row.name}",
        read_only=True,
        allow_null=row.optional,
        help_text=row.answer_help or row.help,
    )


class JobStatusOutput(serializers.Serializer[TranscriptionJob]):
    """The part of a job that changes while it runs, made for asking every 2 s."""

    id = serializers.UUIDField()
    status = serializers.ChoiceField(choices=JobStatus.choices)
    progress = serializers.IntegerField(help_text="0 to 100; never falls during a run.")
    stage = serializers.ChoiceField(choices=JobStage.choices)
    eta_seconds = serializers.IntegerField(
        allow_null=True, help_text="How long the rest will take; null before that can be said."
    )
    queue_position = serializers.IntegerField(
        allow_null=True, help_text="1 for the job that is next; null once a worker has taken it."
    )
    attempt = serializers.IntegerField(help_text="Raised by each retry.")
    error_code = serializers.CharField()
    error = serializers.CharField()
    correcting = serializers.ChoiceField(CORRECTION_STATES, help_text=CORRECTING)
    telling_speakers = serializers.ChoiceField(
        CORRECTION_STATES,
        help_text="How far telling the speakers of a completed transcript apart anew is: waiting, running "
        "or failed; empty when it is done, and where nobody asked for it.",
    )
    created_at = Moment()
    started_at = Moment(allow_null=True)
    completed_at = Moment(source="ended_at", allow_null=True)


class CorrectingOutput(serializers.Serializer[None]):
    """The answer while a worker applies corrections to a long transcript."""

    detail = serializers.CharField(help_text="A sentence for people.")
    code = serializers.ChoiceField(("correcting", "already_correcting"))
    status_url = serializers.URLField(help_text="What to ask until its `correcting` is empty.")
