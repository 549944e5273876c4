"""The fields that the API of corrections and target lists takes and answers."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.fields import empty

from jobs_app.models.vocabulary import LONGEST_PHRASE, Correction, TargetList
from sessions_app.recordings.serializers import UploadField
from sessions_app.vocabulary.lists import MAX_TARGET_WORDS, distinct, single_spaced


class PhraseField(serializers.CharField):
    """A word or phrase. Every run of white space becomes one space."""

    default_error_messages = {"max_length": f"Use at most {LONGEST_PHRASE} characters."}

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=LONGEST_PHRASE, **options)

    def to_internal_value(self, data: str) -> str:
        text = single_spaced(super().to_internal_value(data))
        if not text and not self.allow_blank:
            self.fail("blank")
        return text


class YesNoField(serializers.BooleanField):
    """A yes or no that takes its default if a form leaves it out. DRF would take False, as for a box that is
    not ticked.
    """

    default_empty_html = empty


class CorrectionSerializer(serializers.ModelSerializer[Correction]):
    """A correction of transcripts."""

    from_text = PhraseField(
        help_text="A word or phrase, found with any width of white space.",
        error_messages={"blank": "Give the word or phrase that is to be replaced."},
    )
    to_text = PhraseField(
        allow_blank=True, required=False, default="", help_text="What it becomes; empty: it is removed."
    )
    whole_word = YesNoField(
        required=False, default=True, help_text="Whether a part of a longer word stays as it is."
    )
    match_case = YesNoField(
        required=False, default=False, help_text="Whether capitals and small letters must be the same."
    )

    class Meta:
        model = Correction
        fields = ("id", "from_text", "to_text", "whole_word", "match_case")


class TargetListSerializer(serializers.ModelSerializer[TargetList]):
    """A list of words and phrases that are counted in transcripts."""

    name = serializers.CharField(max_length=100)
    words = serializers.ListField(
        child=PhraseField(allow_blank=True),
        max_length=MAX_TARGET_WORDS,
        required=False,
        help_text="As they are to be shown with their counts. Blank ones and repetitions are left out.",
    )

    class Meta:
        model = TargetList
        fields = ("id", "name", "words")

    def validate_name(self, name: str) -> str:
        if not (name := single_spaced(name)):
            raise serializers.ValidationError("Give the list a name.")
        return name

    def validate_words(self, words: list[str]) -> list[str]:
        return distinct(words)


class ImportInput(serializers.Serializer[None]):
    file = UploadField(allow_empty_file=True, help_text="CSV in UTF-8.")
    mode = serializers.ChoiceField(
        choices=[("add", "Add"), ("replace", "Replace")],
        required=False,
        default="add",
        help_text="`add` to what there is, or `replace` all of it.",
    )


class ImportOutput(serializers.Serializer[dict[str, int]]):
    imported = serializers.IntegerField(help_text="How many rows.")
