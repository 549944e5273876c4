"""Write Chinese in one script throughout, simplified or traditional, whichever the engine writes."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from opencc import OpenCC

from speech.text.language_tags import Script
from speech.types import SpeechSegment, Transcription, Word

# These conversions do not exchange whole words, as OpenCC can (Taiwan has other words for software): what was
# said stays.
_CONVERSIONS = {"Hans": "t2s", "Hant": "s2tw"}


def in_script(heard: Transcription, script: Script) -> Transcription:
    """Return the same transcription written in `script`; '' changes nothing.

    Words keep their times and lengths.
    """
    if not script:
        return heard
    return replace(heard, segments=tuple(_segment(segment, script) for segment in heard.segments))


def text_in_script(text: str, script: Script) -> str:
    """Return the text written in `script`, in as many characters; '' changes nothing.

    If a phrase would change its length, each character is converted alone.
    """
    if not script:
        return text
    converter = _converter(_CONVERSIONS[script])
    whole = converter.convert(text)
    return whole if len(whole) == len(text) else "".join(map(converter.convert, text))


def _segment(segment: SpeechSegment, script: Script) -> SpeechSegment:
    text = text_in_script(segment.text, script)
    words = ["".join(word.text.split()) for word in segment.words]
    if "".join(words) != "".join(segment.text.split()):
        return replace(segment, text=text, words=tuple(_word(word, script) for word in segment.words))
    # The right form of a character may depend on its neighbours in other words.
    rest = "".join(text.split())
    converted = []
    for word, bare in zip(segment.words, words, strict=True):
        own, rest = rest[: len(bare)], rest[len(bare) :]
        converted.append(replace(word, text=own) if bare == word.text else _word(word, script))
    return replace(segment, text=text, words=tuple(converted))


def _word(word: Word, script: Script) -> Word:
    return replace(word, text=text_in_script(word.text, script))


@cache
def _converter(conversion: str) -> OpenCC:
    return OpenCC(conversion)
