"""What the API under /v1/ takes and gives."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from sessions_app.openai_answers import FORMATS
from sessions_app.serializers import UploadField

LONGEST_PROMPT = 2000


class TranslationInput(serializers.Serializer):
    file = UploadField(allow_empty_file=True, help_text="Audio or video.")
    model = serializers.CharField(max_length=200, help_text="One of GET /v1/models.")
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
    temperature = serializers.FloatField(
        min_value=0, max_value=1, required=False, allow_null=True, default=None
    )

    def validate_prompt(self, prompt: str) -> str:
        return prompt[-LONGEST_PROMPT:]


class TranscriptionInput(TranslationInput):
    language = serializers.CharField(
        max_length=10, required=False, allow_blank=True, default="", help_text="ISO 639-1; empty: find out."
    )
    stream = serializers.BooleanField(
        required=False, default=False, help_text="The text as server-sent events, while it grows."
    )

    def get_fields(self) -> dict[str, serializers.Field]:
        # As the form calls it; no attribute of a class can be called so.
        granularities = serializers.MultipleChoiceField(
            choices=["segment", "word"],
            required=False,
            source="granularities",
            help_text="Of `verbose_json`. Default: segment.",
        )
        return {**super().get_fields(), "timestamp_granularities[]": granularities}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["stream"] and attrs["response_format"] not in ("json", "text"):
            raise serializers.ValidationError(
                {"stream": "A stream is of text alone. Leave `stream` or `response_format` out."}
            )
        if attrs.get("granularities") and attrs["response_format"] != "verbose_json":
            raise serializers.ValidationError(
                {"timestamp_granularities[]": "Only verbose_json has times: ask for it as `response_format`."}
            )
        return attrs


class AudioUsageOutput(serializers.Serializer):
    type = serializers.CharField(help_text="duration")
    seconds = serializers.FloatField()


class TextOutput(serializers.Serializer):
    text = serializers.CharField()
    usage = AudioUsageOutput()


class VerboseSegmentOutput(serializers.Serializer):
    id = serializers.IntegerField()
    seek = serializers.IntegerField(help_text="Where its window begins, in hundredths of a second.")
    start = serializers.FloatField(help_text="In seconds.")
    end = serializers.FloatField()
    text = serializers.CharField()
    tokens = serializers.ListField(child=serializers.IntegerField(), help_text="Always empty.")
    temperature = serializers.FloatField(help_text="The one that was asked for, or 0.")
    avg_logprob = serializers.FloatField(help_text="Of the words; 0 where the engine does not say.")
    compression_ratio = serializers.FloatField()
    no_speech_prob = serializers.FloatField(help_text="Always 0: what is no speech is not transcribed.")


class VerboseWordOutput(serializers.Serializer):
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


class NamedModelOutput(serializers.Serializer):
    id = serializers.CharField()
    object = serializers.CharField(help_text="model")
    created = serializers.IntegerField(help_text="0: not known.")
    owned_by = serializers.CharField(help_text="The engine.")


class NamedModelListOutput(serializers.Serializer):
    object = serializers.CharField(help_text="list")
    data = NamedModelOutput(many=True)  # type: ignore[assignment]


class OpenAIErrorDetail(serializers.Serializer):
    message = serializers.CharField()
    type = serializers.CharField()
    param = serializers.CharField(allow_null=True)
    code = serializers.CharField()


class OpenAIErrorOutput(serializers.Serializer):
    error = OpenAIErrorDetail()
