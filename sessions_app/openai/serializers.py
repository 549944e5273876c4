"""The fields that the API under /v1/ takes and answers."""

from __future__ import annotations

from rest_framework import serializers

from jobs_app.models.options import LONGEST_PROMPT, Door
from rest.outputs import AnyField
from sessions_app.openai.answers import FORMATS, STREAMED
from sessions_app.options.serializers import option_fields
from sessions_app.recordings.serializers import UploadField
from sessions_app.transcripts.outputs import WarningOutput


# Both addresses take these fields, and the options that /v1/ offers. This is a comment, because OpenAPI would
# show a docstring as the description of both.
class AudioInput(serializers.Serializer[None]):
    file = UploadField(allow_empty_file=True, help_text="Audio or video.")
    model = serializers.CharField(
        max_length=200,
        required=False,
        allow_blank=True,
        default="",
        help_text="One of GET /v1/models. Default: the first model of the default engine.",
    )
    prompt = serializers.CharField(
        required=False,
        allow_blank=True,
        default="",
        help_text=f"Words that are likely to be heard, or the text before this. The last {LONGEST_PROMPT} "
        "characters of it count.",
    )
    response_format = serializers.ChoiceField(
        choices=FORMATS,
        required=False,
        default="json",
        error_messages={
            "invalid_choice": f"{{input}} is not given here. Ask for one of: {', '.join(FORMATS)}."
        },
    )

    def get_fields(self) -> dict[str, AnyField]:
        return option_fields(Door.OPENAI) | super().get_fields()

    def validate(self, attrs: dict[str, object]) -> dict[str, object]:
        if attrs["response_format"] == "diarized_json":
            attrs["diarize"] = True
        return attrs

    def validate_prompt(self, prompt: str) -> str:
        return prompt[-LONGEST_PROMPT:]

    def options(self) -> dict[str, object]:
        """Return the options as `resolve_options` takes them. Call it only on valid data."""
        given = self.validated_data
        options = {name: given[name] for name in option_fields(Door.OPENAI) if name in self.fields}
        # Its answers have one text.
        return options | {"keep_original": False, "word_times": self._needs_word_times()}

    def _needs_word_times(self) -> bool:
        """Whether the answer has times of words, or is made with them: captions, and who said what."""
        given = self.validated_data
        if given["response_format"] == "verbose_json" and "word" in given.get("granularities", ()):
            return True
        return bool(given["diarize"]) or given["response_format"] in ("srt", "vtt")


class TranslationInput(AudioInput):
    def get_fields(self) -> dict[str, AnyField]:
        fields = super().get_fields()
        # OpenAI's API takes no language here: the engine finds it out.
        del fields["language"], fields["translate_to"]
        return fields

    def options(self) -> dict[str, object]:
        return super().options() | {"translate_to": "en"}


class TranscriptionInput(AudioInput):
    stream = serializers.BooleanField(
        required=False, default=False, help_text="The text as server-sent events, while it grows."
    )

    def get_fields(self) -> dict[str, AnyField]:
        # The form uses this name. An attribute of a class cannot have it, so the field is made here.
        granularities = serializers.MultipleChoiceField(
            choices=["segment", "word"],
            required=False,
            source="granularities",
            help_text="Of `verbose_json`. Default: segment.",
        )
        return {**super().get_fields(), "timestamp_granularities[]": granularities}

    def validate(self, attrs: dict[str, object]) -> dict[str, object]:
        attrs = super().validate(attrs)
        # For other formats the wish is ignored, as OpenAI does with whisper-1.
        attrs["stream"] = attrs["stream"] and attrs["response_format"] in STREAMED
        return attrs


class AudioUsageOutput(serializers.Serializer[None]):
    type = serializers.CharField(help_text="duration")
    seconds = serializers.FloatField()


class TextOutput(serializers.Serializer[None]):
    text = serializers.CharField()
    usage = AudioUsageOutput()
    warnings = WarningOutput(
        many=True, required=False, help_text="What the transcript may lack; left out where there is nothing."
    )


class VerboseSegmentOutput(serializers.Serializer[None]):
    id = serializers.IntegerField()
    seek = serializers.IntegerField(help_text="Where its window begins, in hundredths of a second.")
    start = serializers.FloatField(help_text="In seconds.")
    end = serializers.FloatField()
    text = serializers.CharField()
    language = serializers.CharField(
        help_text="As that of the whole; another one where the recording changes its language."
    )
    tokens = serializers.ListField(child=serializers.IntegerField(), help_text="Always empty.")
    temperature = serializers.FloatField(help_text="The one that was asked for, or 0.")
    avg_logprob = serializers.FloatField(help_text="Of the words; 0 where the engine does not say.")
    compression_ratio = serializers.FloatField()
    no_speech_prob = serializers.FloatField(help_text="Always 0: what is no speech is not transcribed.")


class VerboseWordOutput(serializers.Serializer[None]):
    word = serializers.CharField()
    start = serializers.FloatField()
    end = serializers.FloatField()


class VerboseOutput(TextOutput):
    """`verbose_json`."""

    task = serializers.CharField()
    language = serializers.CharField(help_text="Its English name, in lower case.")
    duration = serializers.FloatField(help_text="In seconds.")
    segments = VerboseSegmentOutput(many=True, required=False)
    words = VerboseWordOutput(many=True, required=False)


class DiarizedSegmentOutput(serializers.Serializer[None]):
    type = serializers.CharField(help_text="transcript.text.segment")
    id = serializers.CharField()
    start = serializers.FloatField(help_text="In seconds.")
    end = serializers.FloatField()
    text = serializers.CharField()
    speaker = serializers.CharField(
        help_text="The name, or else A, B, ... in the order in which they begin; empty where it is not known."
    )


class DiarizedOutput(TextOutput):
    """`diarized_json`."""

    task = serializers.CharField()
    duration = serializers.FloatField(help_text="In seconds.")
    segments = DiarizedSegmentOutput(many=True)


class NamedModelOutput(serializers.Serializer[None]):
    id = serializers.CharField()
    object = serializers.CharField(help_text="model")
    created = serializers.IntegerField(help_text="0: not known.")
    owned_by = serializers.CharField(help_text="The engine.")


class NamedModelListOutput(serializers.Serializer[None]):
    object = serializers.CharField(help_text="list")
    data = NamedModelOutput(many=True)  # type: ignore[assignment]  # DRF takes it off the class


class OpenAIErrorDetail(serializers.Serializer[None]):
    message = serializers.CharField()
    type = serializers.CharField()
    param = serializers.CharField(allow_null=True)
    code = serializers.CharField()


class OpenAIErrorOutput(serializers.Serializer[None]):
    error = OpenAIErrorDetail()
