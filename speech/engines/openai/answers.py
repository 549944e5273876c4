"""Read the answer of a provider as timed text. What a compatible server leaves out is not invented."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from speech.engines.base import INVENTED_AVG_LOGPROB, INVENTED_NO_SPEECH_PROB
from speech.engines.hints import UNSURE, too_fast
from speech.text.language_tags import language_code
from speech.types import Span, SpeechSegment, Timing, Transcription, Word

# Some versions of LocalAI send durations as Go's nanoseconds. No window is eleven days long.
NANOSECONDS_FROM_S = 1_000_000
BLANKS = frozenset({"[BLANK_AUDIO]", "[blank_audio]", "[silence]", "[SILENCE]"})
"""What whisper.cpp writes where nobody speaks."""


class NoTranscript(Exception):
    """An answer without a transcript.

    `str(error)` ends a sentence that begins with the provider's name; `said` is the provider's own message.
    """

    def __init__(self, what: str, said: Any = None) -> None:
        super().__init__(what)
        self.said = said


# Chinese, Japanese, Thai, Lao, Burmese and Khmer.
_WITHOUT_SPACES = re.compile(
    "[\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]"
)
_PUNCTUATION_ALONE = re.compile(r"(?:\s+[^\w\s]+(?=\s|$))+")


@dataclass(slots=True)
class _Heard:
    """A segment as the provider sent it, in seconds of the clip."""

    start_s: float
    end_s: float
    text: str
    fields: dict[str, Any] = field(default_factory=dict)
    words: list[dict[str, Any]] = field(default_factory=list)


def read_answer(body: bytes, span: Span, *, translated: bool = False) -> Transcription:
    """Return what a provider heard in a clip.

    `span` is the clip's place in its window. Times become milliseconds of the window, inside of it and in
    order. The language of a translation is left out, because it is that of the text and not of the recording.

    Raises:
        NoTranscript: the answer is empty, HTML, half of JSON, or JSON of another shape.
    """
    answer = _json(body)
    text = answer.get("text")
    if text is not None and not isinstance(text, str):
        raise NoTranscript("answered with a text that is no text.")
    heard = _segments(answer)
    if heard is None and text is None:
        raise NoTranscript("answered with JSON that is no transcript.", answer)
    segments: list[SpeechSegment] = []
    timing: Timing = "window"
    if heard is not None:
        timing = "words" if any(part.words for part in heard) else "segments"
        segments = _placed(heard, span)
    elif text is not None and (said := one_line(text)) and said not in BLANKS:
        segments = [SpeechSegment(span.start_ms, span.end_ms, said)]
    if not segments:
        return Transcription(timing=timing)
    language, confidence = ("", None) if translated else _language(answer)
    return Transcription(tuple(segments), language, confidence, timing)


def one_line(text: str) -> str:
    """Return a server's text as one line that a database accepts: without NUL and halves of characters."""
    whole = text.replace("\x00", "").encode("utf-8", "replace").decode()
    return " ".join(whole.split())


def _json(body: bytes) -> dict[str, Any]:
    if not body.strip():
        raise NoTranscript("answered with nothing.")
    if body.lstrip()[:1] == b"<":
        raise NoTranscript("answered with a page of HTML. Is its base URL right?")
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as e:
        raise NoTranscript("answered with something else than JSON, or with half of it.") from e
    if not isinstance(answer, dict):
        raise NoTranscript("answered with JSON that is no transcript.")
    return answer


def _segments(answer: dict[str, Any]) -> list[_Heard] | None:
    """Return the segments with their words.

    None means that times are missing or wrong, and only the text counts.
    """
    parts, words = answer.get("segments"), _words(answer.get("words"))
    if not isinstance(parts, list) or (not parts and words):
        text = answer.get("text")
        if not words or not isinstance(text, str):
            return None
        parts = [{"start": words[0]["start"], "end": words[-1]["end"], "text": text}]
    if not parts and str(answer.get("text") or "").strip():
        return None
    heard = []
    for part in parts:
        if not isinstance(part, dict) or not isinstance(part.get("text"), str):
            return None
        start_s, end_s = _seconds(part.get("start")), _seconds(part.get("end"))
        if start_s is None or end_s is None:
            return None
        heard.append(_Heard(start_s, end_s, one_line(part["text"]), part, _words(part.get("words"))))
    heard.sort(key=lambda part: part.start_s)
    if words:
        _share_out(words, heard)
    return heard


def _words(given: Any) -> list[dict[str, Any]]:
    """Return the words that have text and times, in order, as word, start, end (seconds) and probability."""
    words = []
    for word in given if isinstance(given, list) else ():
        if not isinstance(word, dict) or not isinstance(word.get("word"), str):
            continue
        text = one_line(word["word"])
        start_s, end_s = _seconds(word.get("start")), _seconds(word.get("end"))
        if text and start_s is not None and end_s is not None:
            probability = _number(word.get("probability"))
            known = probability if probability is not None and 0 < probability <= 1 else None
            words.append({"word": text, "start": start_s, "end": end_s, "probability": known})
    return sorted(words, key=lambda word: word["start"])


def _share_out(words: Sequence[dict[str, Any]], heard: Sequence[_Heard]) -> None:
    """Give each word of the flat list to its segment, by the letters of the text or else by the word's
    middle.
    """
    for part in heard:
        part.words = []
    ends = []
    letters = 0
    for part in heard:
        letters += len(_letters(part.text))
        ends.append(letters)
    spelled = [_letters(word["word"]) for word in words]
    by_letters = "".join(spelled) == "".join(_letters(part.text) for part in heard)
    at = 0
    number = 0
    for word, spelling in zip(words, spelled, strict=True):
        if by_letters:
            while number < len(heard) - 1 and at >= ends[number]:
                number += 1
        else:
            middle = (word["start"] + word["end"]) / 2
            while number < len(heard) - 1 and middle >= heard[number + 1].start_s:
                number += 1
        heard[number].words.append(word)
        at += len(spelling)


def _placed(heard: Sequence[_Heard], span: Span) -> list[SpeechSegment]:
    at_ms = span.start_ms

    def clamp(seconds: float, low_ms: int) -> int:
        return min(max(span.start_ms + round(seconds * 1000), low_ms), span.end_ms)

    segments = []
    for part in heard:
        if not part.text or part.text in BLANKS or _invented(part):
            continue
        words = []
        word_ms = at_ms
        for word in _as_written(part):
            start_ms = clamp(word["start"], word_ms)
            word_ms = clamp(word["end"], start_ms)
            words.append(Word(start_ms, word_ms, word["word"], word["probability"]))
        start_ms = words[0].start_ms if words else clamp(part.start_s, at_ms)
        at_ms = words[-1].end_ms if words else clamp(part.end_s, start_ms)
        segment = SpeechSegment(start_ms, at_ms, part.text, _confidence(part), tuple(words))
        # Some servers send wrong times, so times alone do not prove an invention.
        if segment.confidence is None or segment.confidence >= UNSURE or not too_fast(segment):
            segments.append(segment)
    return segments


def _as_written(part: _Heard) -> list[dict[str, Any]]:
    """Return the words as they stand in the segment's text, if the text has the same letters.

    OpenAI's lists leave punctuation out and cut at hyphens; those of whisper.cpp cut words into syllables.
    What stands between two spaces becomes one word, except in scripts without spaces.
    """
    spelled = [_letters(word["word"]) for word in part.words]
    if not all(spelled) or "".join(spelled) != _letters(part.text):
        return part.words
    written: list[dict[str, Any]] = []
    start = at = 0
    for word, letters in zip(part.words, spelled, strict=True):
        at = _after(part.text, at, len(letters))
        if written and not part.text[start].isspace() and not _WITHOUT_SPACES.search(part.text[start:at]):
            last = written[-1]
            last["word"] += part.text[start:at]
            last["end"] = max(last["end"], word["end"])
            last["probability"] = _lower(last["probability"], word["probability"])
        else:
            written.append(word | {"word": part.text[start:at].strip()})
        start = at
    return written


def _lower(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else min(one, other)


def _after(text: str, at: int, letters: int) -> int:
    """Return where the word of `letters` letters that begins at `at` ends, with the punctuation behind it."""
    while letters:
        letters -= len(_letters(text[at]))
        at += 1
    while at < len(text) and not text[at].isspace() and not _letters(text[at]):
        at += 1
    # French has a space before some punctuation, and a dash has one on either side.
    alone = _PUNCTUATION_ALONE.match(text, at)
    return alone.end() if alone else at


def _letters(text: str) -> str:
    return "".join(char for char in text.casefold() if char.isalnum())


def _invented(part: _Heard) -> bool:
    """Whether Whisper wrote text where nobody speaks.

    A mean of exactly 0 comes from servers that know none.
    """
    silence = _number(part.fields.get("no_speech_prob"))
    mean = _number(part.fields.get("avg_logprob"))
    if silence is None or not mean:
        return False
    return silence > INVENTED_NO_SPEECH_PROB and mean < INVENTED_AVG_LOGPROB


def _confidence(part: _Heard) -> float | None:
    """Return the mean probability of the words, or of the tokens; None if the provider sends neither."""
    given = [word["probability"] for word in part.words if word["probability"] is not None]
    if given and len(given) == len(part.words):
        return float(sum(given)) / len(given)
    mean = _number(part.fields.get("avg_logprob"))
    return math.exp(mean) if mean is not None and mean < 0 else None


def _language(answer: dict[str, Any]) -> tuple[str, float | None]:
    name = answer.get("language")
    if not isinstance(name, str):
        # gpt-transcribe sends a list of objects. The first one is the most likely.
        given = answer.get("languages")
        first = given[0] if isinstance(given, list) and given else None
        name = first.get("code") if isinstance(first, dict) else first
    code = language_code(name) if isinstance(name, str) else ""
    probability = _number(answer.get("language_probability"))
    return code, probability if code and probability and probability <= 1 else None


def _seconds(value: Any) -> float | None:
    number = _number(value)
    if number is None:
        return None
    return max(number / 1e9 if number >= NANOSECONDS_FROM_S else number, 0.0)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
