"""How far a transcript is from what was said, in words, as speech recognition is usually compared."""

from __future__ import annotations

import re
from functools import cache

import jiwer
from whisper_normalizer.basic import BasicTextNormalizer
from whisper_normalizer.english import EnglishTextNormalizer

WRITTEN_WITHOUT_SPACES = frozenset({"ja", "th", "yue", "zh"})
# A reference says [noise] or (laughs) for what is no word.
_REMARKS = re.compile(r"\[[^\]]*\]|\([^)]*\)")


def spoken_words(text: str, language: str = "en") -> list[str]:
    """The words of a text without case, punctuation and ways of spelling.

    In a language that is written without spaces each character counts as a word, so that the rate is the
    character error rate.
    """
    words = _normalizer(language)(_REMARKS.sub(" ", text)).split()
    # Of "like ..." the normalizer leaves a dot.
    return [word for word in words if any(map(str.isalnum, word))]


def errors(reference: list[str], heard: list[str]) -> int:
    """Words that have to be put in, taken out or replaced to come from one to the other."""
    if not reference:
        return len(heard)
    found = jiwer.process_words(" ".join(reference), " ".join(heard))
    return found.insertions + found.deletions + found.substitutions


def wer(reference: str, heard: str, language: str = "en") -> float:
    """Errors divided by the number of words in the reference, which must not be empty."""
    said = spoken_words(reference, language)
    return errors(said, spoken_words(heard, language)) / len(said)


@cache
def _normalizer(language: str) -> EnglishTextNormalizer | BasicTextNormalizer:
    if language == "en":
        return EnglishTextNormalizer()
    return BasicTextNormalizer(split_letters=language in WRITTEN_WITHOUT_SPACES)
