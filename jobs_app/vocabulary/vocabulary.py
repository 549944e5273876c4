"""A person's corrections and target words, applied to what the engine said."""

from __future__ import annotations

from dataclasses import dataclass, field

from jobs_app.models.stored_words import encode_words
from jobs_app.models.transcripts import stored_correction
from jobs_app.models.vocabulary import Correction, TargetList
from speech.text.corrections import Corrector, Replacement
from speech.text.phrases import count_phrases
from speech.text.words import count_words
from speech.types import SpeechSegment


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Corrections and target words. `targets` are the phrases to count, as the person wrote them, each once.

    Two vocabularies are equal if their lists are.
    """

    replacements: tuple[Replacement, ...]
    targets: tuple[str, ...]
    corrector: Corrector = field(compare=False)

    def correct(self, segment: SpeechSegment) -> SpeechSegment:
        """Return the corrected segment, or the same object if nothing is to correct."""
        return self.corrector.correct(segment)

    def count(self, text: str) -> dict[str, int]:
        """Return how often each target word is in a corrected text, also if it is 0; without targets, every
        word.
        """
        return count_phrases(text, self.targets) if self.targets else count_words(text)


def correction_columns(raw: SpeechSegment, corrected: SpeechSegment) -> dict[str, str | None]:
    """Return those columns of a `Segment` that say what was corrected in what the engine said."""
    return {
        "corrected_text": stored_correction(corrected.text, raw.text),
        # Often only the text differs, and it has its own column.
        "corrected_words": stored_correction(
            encode_words(corrected.words, corrected.text), encode_words(raw.words, raw.text)
        ),
    }


def vocabulary_of(owner_id: int) -> Vocabulary:
    """Return what a person's lists say now. It takes two queries."""
    replacements = _replacements_of(owner_id)
    return Vocabulary(replacements, targets_of(owner_id), Corrector(replacements))


def corrector_of(owner_id: int) -> Corrector:
    """Return what a person's corrections do now. It takes one query."""
    return Corrector(_replacements_of(owner_id))


def _replacements_of(owner_id: int) -> tuple[Replacement, ...]:
    corrections = Correction.objects.filter(owner=owner_id).values_list(
        "from_text", "to_text", "whole_word", "match_case"
    )
    return tuple(Replacement(*values) for values in corrections)


def targets_of(owner_id: int) -> tuple[str, ...]:
    """Return the target words of all lists of a person, each once. It takes one query."""
    lists = TargetList.objects.filter(owner=owner_id).values_list("words", flat=True)
    return tuple(dict.fromkeys(word for words in lists for word in words))
