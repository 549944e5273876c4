"""What the API of jobs takes and gives."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC
from typing import Any

from django.db.models import DateTimeField
from rest_framework import serializers

from jobs_app.models import JobStage, JobStatus, Segment, TranscriptionJob

TIMINGS = ("words", "segments", "window", "")


class Moment(serializers.DateTimeField):
    """RFC 3339 in UTC, in whatever zone the pages show their times."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(default_timezone=UTC, **kwargs)


class ErrorOutput(serializers.Serializer):
    """What every error looks like."""

    detail = serializers.CharField(read_only=True, help_text="A sentence for people, with the remedy.")
    code = serializers.CharField(read_only=True, help_text="For programs; it does not change.")
    fields = serializers.DictField(  # type: ignore[assignment]
        child=serializers.ListField(child=serializers.CharField()),
        required=False,
        help_text="With the code `invalid`: what is wrong, by field.",
    )


class GapOutput(serializers.Serializer):
    """A stretch of the recording without sound, so that what comes after it does not shift."""

    start_ms = serializers.IntegerField()
    end_ms = serializers.IntegerField()
    chunk = serializers.IntegerField(help_text="Its number; in a stream in pieces, of the one after the gap.")
    reason = serializers.ChoiceField(
        choices=("missing", "damaged", "unreadable"),
        help_text="It never came, its end could not be read, or none of it could.",
    )


class UsageOutput(serializers.Serializer):
    """What a job took of other servers."""

    requests = serializers.IntegerField(source="provider_requests", help_text="Failed ones too.")
    audio_seconds = serializers.SerializerMethodField(help_text="How much audio they transcribed.")
    cost = serializers.FloatField(
        source="provider_cost", help_text="Of that audio, at the prices that the site has set; 0 without."
    )

    def get_audio_seconds(self, job: TranscriptionJob) -> float:
        return job.provider_audio_ms / 1000


class JobOutput(serializers.ModelSerializer):
    """A job. The query needs `select_related("session")`."""

    serializer_field_mapping = {**serializers.ModelSerializer.serializer_field_mapping, DateTimeField: Moment}

    title = serializers.CharField(source="session.title", read_only=True, help_text="Of the recording.")
    translated_to = serializers.CharField(
        source="translate_to", read_only=True, help_text="The language of the transcript; empty: as spoken."
    )

    timing = serializers.ChoiceField(
        choices=TIMINGS,
        read_only=True,
        help_text="The coarsest times in the transcript: of words, of segments, or only of windows of about "
        "a minute, where the engine gives no better ones; empty until known.",
    )
    usage = UsageOutput(source="*", read_only=True, help_text="What it took of other servers.")
    gaps = GapOutput(many=True, read_only=True, help_text="Chunks that never came or could not be read.")
    corrected_text = serializers.CharField(
        source="transcript", read_only=True, help_text="The same as `transcript`."
    )

    class Meta:
        model = TranscriptionJob
        fields = (
            "id",
            "session",
            "title",
            "filename",
            "status",
            "progress",
            "stage",
            "engine",
            "model",
            "fallback_engine",
            "fallback_model",
            "language",
            "detected_language",
            "language_confidence",
            "translated_to",
            "with_diarization",
            "priority",
            "attempt",
            "duration_ms",
            "total_segments",
            "total_words",
            "average_confidence",
            "speech_span_ms",
            "speaking_ms",
            "timing",
            "usage",
            "gaps",
            "word_counts",
            "transcript",
            "raw_text",
            "corrected_text",
            "error_code",
            "error",
            "created_at",
            "started_at",
            "completed_at",
        )
        read_only_fields = fields
        extra_kwargs = {
            "session": {"help_text": "The recording that was transcribed."},
            "engine": {"help_text": "What transcribes."},
            "model": {"help_text": "The engine's model."},
            "fallback_engine": {"help_text": "Does what the engine failed at for good; empty: nothing does."},
            "fallback_model": {"help_text": "The model of that one."},
            "detected_language": {"help_text": "ISO 639-1; empty when not known."},
            "language_confidence": {"help_text": "0 to 1: how sure the engine is of the language."},
            "with_diarization": {"help_text": "Whether speakers are told apart."},
            "total_segments": {"help_text": "Of the transcript."},
            "total_words": {"help_text": "Of the transcript."},
            "speaking_ms": {"help_text": "How long somebody speaks: the segments added up."},
            "average_confidence": {"help_text": "0 to 1, over the segments."},
            "word_counts": {
                "help_text": "How often each of your target words is in the transcript, 0 included; "
                "without target words: how often each word is."
            },
            "transcript": {"help_text": "The whole text with your corrections; empty until completed."},
            "raw_text": {"help_text": "The whole text as the engine wrote it; empty until completed."},
            "error_code": {"help_text": "Why it failed, for programs; empty otherwise."},
            "error": {"help_text": "Why it failed, for people, with the remedy."},
            "started_at": {"help_text": "When a worker first took it; null while it waits."},
        }


class JobStatusOutput(serializers.Serializer):
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
    created_at = Moment()
    started_at = Moment(allow_null=True)
    completed_at = Moment(allow_null=True)


class WordOutput(serializers.Serializer):
    start_ms = serializers.IntegerField()
    end_ms = serializers.IntegerField()
    word = serializers.CharField(help_text="As written, with its punctuation.")
    confidence = serializers.FloatField(allow_null=True, help_text="0 to 1.")


class SegmentOutput(serializers.ModelSerializer):
    """A stretch of speech."""

    words = WordOutput(many=True, read_only=True, help_text="Empty where the engine gives no word times.")

    class Meta:
        model = Segment
        fields = ("id", "kind", "start_ms", "end_ms", "text", "raw_text", "confidence", "speaker", "words")
        read_only_fields = fields
        extra_kwargs = {
            "text": {"help_text": "With your corrections."},
            "raw_text": {"help_text": "As the engine wrote it."},
            "start_ms": {"help_text": "On the timeline of the recording."},
            "confidence": {"help_text": "0 to 1."},
            "speaker": {"help_text": "Empty when speakers are not told apart."},
        }


class SpeakerOutput(serializers.Serializer):
    label = serializers.CharField(help_text="As in the segments.")
    name = serializers.CharField(help_text="What people call the speaker; empty when nobody has said.")


class TranscriptSegmentOutput(serializers.Serializer):
    id = serializers.UUIDField()
    start_ms = serializers.IntegerField()
    end_ms = serializers.IntegerField()
    text = serializers.CharField()
    speaker = serializers.CharField()
    confidence = serializers.FloatField(allow_null=True)
    words = WordOutput(many=True)


class EngineUsedOutput(serializers.Serializer):
    engine = serializers.CharField()
    model = serializers.CharField()  # type: ignore[assignment]
    windows = serializers.IntegerField(help_text="How many windows with speech it did.")


class TranscriptOutput(serializers.Serializer):
    """What `transcript.json` holds. Times are on the timeline of the recording."""

    id = serializers.UUIDField(help_text="Of the job.")
    text = serializers.CharField()
    language = serializers.CharField()
    duration_ms = serializers.IntegerField()
    speakers = SpeakerOutput(many=True)
    segments = TranscriptSegmentOutput(many=True)
    gaps = GapOutput(many=True)
    word_counts = serializers.DictField(child=serializers.IntegerField())
    timing = serializers.ChoiceField(choices=TIMINGS, help_text="The coarsest times, as in the job.")
    engines = EngineUsedOutput(many=True, help_text="What did it, most windows first.")


class DayOutput(serializers.Serializer):
    date = serializers.DateField()
    jobs = serializers.IntegerField(help_text="Created on that day.")
    audio_seconds = serializers.FloatField(help_text="Of those of them that are completed.")


class SummaryOutput(serializers.Serializer):
    total = serializers.IntegerField()
    by_status = serializers.DictField(
        child=serializers.IntegerField(), help_text="Every status, also with 0."
    )
    total_audio_seconds = serializers.FloatField(
        help_text="Of completed jobs, like all that follows but counts."
    )
    total_words = serializers.IntegerField()
    average_processing_seconds = serializers.FloatField(
        allow_null=True, help_text="From a worker's taking the job to its end."
    )
    average_real_time_factor = serializers.FloatField(
        allow_null=True, help_text="Seconds of processing for a second of audio."
    )
    by_engine = serializers.DictField(child=serializers.IntegerField())
    by_language = serializers.DictField(
        child=serializers.IntegerField(), help_text="Jobs whose language is known, asked for or found out."
    )
    last_30_days = DayOutput(many=True, help_text="Every day, oldest first; today is the last.")


class _Sorted(serializers.ListField):
    child = serializers.CharField()

    def to_representation(self, data: Iterable[str]) -> list[str]:
        return sorted(data)


class CapabilitiesOutput(serializers.Serializer):
    languages = _Sorted(help_text="Those it knows; empty: it takes any.")
    detects_language = serializers.BooleanField()
    translates_to = _Sorted()
    word_times = serializers.BooleanField()
    prompt = serializers.BooleanField(help_text="Whether it takes hint words.")
    diarizes = serializers.BooleanField(help_text="Whether it tells speakers apart.")


class ModelOutput(serializers.Serializer):
    model = serializers.CharField()  # type: ignore[assignment]
    can = CapabilitiesOutput()


class EngineOutput(serializers.Serializer):
    engine = serializers.CharField()
    is_default = serializers.BooleanField()
    is_default_fallback = serializers.BooleanField(help_text="Stands in where a job names no fallback.")
    sends_audio_to = serializers.CharField(
        help_text="The server that gets the audio; empty: it stays on this site's machines."
    )
    models = ModelOutput(many=True, help_text="The first one is taken when none is named.")


class TokenInput(serializers.Serializer):
    username = serializers.CharField(max_length=150, trim_whitespace=False)
    password = serializers.CharField(
        max_length=4096, trim_whitespace=False, write_only=True, style={"input_type": "password"}
    )


class TokenOutput(serializers.Serializer):
    token = serializers.CharField(help_text="Send it as `Authorization: Token KEY`.")
