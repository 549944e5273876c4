"""The fields of transcripts that the API answers."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from jobs_app.api.serializers import CORRECTING, CORRECTION_STATES, TIMINGS, GapOutput, JobInListOutput
from jobs_app.models import TranscriptionJob
from jobs_app.models.transcripts import Segment
from jobs_app.work.correcting import state_of
from sessions_app.transcripts.reading import Reading, read
from speech.transcript_warnings import SENTENCES

SEGMENT_ID = "Opaque. It never changes, and no other segment ever has it."

ORIGINAL = "What was said, if `text` is its translation; else empty or left out."

LANGUAGE = "ISO 639-1: what is spoken in it; empty when not known, or translated."


class WarningOutput(serializers.Serializer[None]):
    """Something that the transcript may lack."""

    code = serializers.ChoiceField(choices=tuple(SENTENCES), help_text="For programs; it does not change.")
    detail = serializers.CharField(help_text="A sentence for people, with the remedy.")
    start_ms = serializers.IntegerField(required=False, help_text="Left out where it is about all of it.")
    end_ms = serializers.IntegerField(required=False)


class UnheardTrackOutput(serializers.Serializer[None]):
    track = serializers.IntegerField()
    why = serializers.CharField(
        help_text="chosen, copy, silent, copy_so_far, language, commentary, no_speech, too_many, stream or "
        "unreadable."
    )


class AudioTracksOutput(serializers.Serializer[None]):
    """The audio tracks of a file that has several, numbered from 0."""

    count = serializers.IntegerField()
    heard = serializers.ListField(child=serializers.IntegerField())
    languages = serializers.ListField(
        child=serializers.CharField(allow_blank=True),
        help_text="How each is labelled, ISO 639-1; empty: not at all.",
    )
    unheard = UnheardTrackOutput(many=True)


class JobOutput(JobInListOutput):
    """A job with what was said in it."""

    # The query needs `select_related(*READ_WITH, "transcript__texts")`.

    word_counts = serializers.DictField(
        source="transcript.texts.word_counts",
        child=serializers.IntegerField(),
        read_only=True,
        help_text="How often each of your target words is in the transcript, 0 included; without target "
        "words: how often each word is.",
    )
    transcript = serializers.SerializerMethodField(
        help_text="The whole text with your corrections; empty until completed."
    )
    raw_text = serializers.CharField(
        source="transcript.texts.raw_text",
        read_only=True,
        help_text="The whole text as the engine wrote it; empty until completed.",
    )
    corrected_text = serializers.SerializerMethodField(
        method_name="get_transcript", help_text="The same as `transcript`."
    )
    original_text = serializers.SerializerMethodField(
        help_text="What was said, if `transcript` is a translation by the translator; else empty."
    )
    warnings = serializers.SerializerMethodField(help_text="What the transcript may lack.")
    correcting = serializers.SerializerMethodField(help_text=CORRECTING)
    audio_tracks = serializers.SerializerMethodField(
        help_text="Of a file that has several: which were heard; null otherwise, and until it is known."
    )

    class Meta(JobInListOutput.Meta):
        fields = (
            *JobInListOutput.Meta.fields,
            "audio_tracks",
            "warnings",
            "correcting",
            "word_counts",
            "transcript",
            "raw_text",
            "corrected_text",
            "original_text",
        )
        read_only_fields = fields

    reading: Reading
    """The reading of the job that is shown now. It is kept, so that the text is read once for both fields."""

    def to_representation(self, instance: TranscriptionJob) -> dict[str, object]:
        self.reading = read(instance)
        return super().to_representation(instance)

    def get_transcript(self, job: TranscriptionJob) -> str:
        return self.reading.text

    def get_original_text(self, job: TranscriptionJob) -> str:
        return self.reading.original_text

    @extend_schema_field(WarningOutput(many=True))
    def get_warnings(self, job: TranscriptionJob) -> list[dict[str, object]]:
        return [one.as_json() for one in self.reading.warnings]

    @extend_schema_field(serializers.ChoiceField(CORRECTION_STATES))
    def get_correcting(self, job: TranscriptionJob) -> str:
        return state_of(job)

    @extend_schema_field(AudioTracksOutput(allow_null=True))
    def get_audio_tracks(self, job: TranscriptionJob) -> dict[str, object] | None:
        return job.sound.report.get("audio_tracks") or None


class WordOutput(serializers.Serializer[None]):
    start_ms = serializers.IntegerField()
    end_ms = serializers.IntegerField()
    word = serializers.CharField(source="text", help_text="As written, with its punctuation.")
    confidence = serializers.FloatField(allow_null=True, help_text="0 to 1.")


class SegmentOutput(serializers.ModelSerializer[Segment]):
    """A stretch of speech."""

    id = serializers.CharField(read_only=True, help_text=SEGMENT_ID)
    text = serializers.CharField(read_only=True, help_text="With your corrections.")
    original = serializers.CharField(read_only=True, help_text=ORIGINAL)
    words = WordOutput(many=True, read_only=True, help_text="Empty where the engine gives no word times.")

    class Meta:
        model = Segment
        fields = (
            "id",
            "kind",
            "start_ms",
            "end_ms",
            "text",
            "original",
            "raw_text",
            "confidence",
            "speaker",
            "language",
            "words",
        )
        read_only_fields = fields
        extra_kwargs = {
            "raw_text": {"help_text": "As the engine wrote it."},
            "start_ms": {"help_text": "On the timeline of the recording."},
            "confidence": {"help_text": "0 to 1."},
            "speaker": {"help_text": "The label of who speaks; empty when that is not known."},
            "language": {"help_text": LANGUAGE},
        }


class SpeakerOutput(serializers.Serializer[None]):
    label = serializers.CharField(  # type: ignore[assignment]  # DRF takes it off the class
        help_text="As in the segments."
    )
    name = serializers.CharField(help_text="What people call the speaker; empty when nobody has said.")


class TranscriptSegmentOutput(serializers.Serializer[None]):
    id = serializers.CharField(help_text=SEGMENT_ID)
    start_ms = serializers.IntegerField()
    end_ms = serializers.IntegerField()
    text = serializers.CharField()
    original = serializers.CharField(required=False, help_text=ORIGINAL)
    speaker = serializers.CharField()
    language = serializers.CharField(help_text=LANGUAGE)
    confidence = serializers.FloatField(allow_null=True)
    words = WordOutput(many=True)


class EngineUsedOutput(serializers.Serializer[None]):
    engine = serializers.CharField()
    model = serializers.CharField()
    windows = serializers.IntegerField(help_text="How many windows with speech it did.")


class OverlapOutput(serializers.Serializer[None]):
    start_ms = serializers.IntegerField()
    end_ms = serializers.IntegerField()


class TranscriptOutput(serializers.Serializer[None]):
    """What `transcript.json` holds. Times are on the timeline of the recording."""

    id = serializers.UUIDField(help_text="Of the job.")
    text = serializers.CharField()
    original_text = serializers.CharField(
        required=False, help_text="What was said, if `text` is its translation."
    )
    language = serializers.CharField()
    duration_ms = serializers.IntegerField()
    speakers = SpeakerOutput(many=True)
    segments = TranscriptSegmentOutput(many=True)
    gaps = GapOutput(many=True)
    warnings = WarningOutput(many=True)
    word_counts = serializers.DictField(child=serializers.IntegerField())
    timing = serializers.ChoiceField(choices=TIMINGS, help_text="The coarsest times, as in the job.")
    engines = EngineUsedOutput(many=True, help_text="What did it, most windows first.")
    overlaps = OverlapOutput(
        many=True, help_text="Where two speak at once, whose words may be missing or another's."
    )
