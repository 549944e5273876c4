"""Read the translations in what a chat model answers, and refuse what is not all of them."""

from __future__ import annotations

import json
from typing import Any

LONGEST_RATIO = 12
LONGEST_EXTRA = 400
"""A translation of more characters than this many times its source, and some more, is no translation."""

MOST_TRIES = 20
"""So many braces of an answer are tried as the beginning of the JSON."""


class Malformed(Exception):
    """The answer is not what was asked for. The text says what is wrong, for the log."""


def read_translations(answer: str, sources: list[str]) -> list[str]:
    """Return the translations of `sources`, which were numbered from 1, in their order.

    Prose and code fences around the JSON are left out. Anything else counts: a number that is missing, new
    or there twice, and an empty text.

    Raises:
        Malformed: the answer lacks one of them, or has something else.
    """
    found: dict[int, str] = {}
    for number, text in _rows(_object(answer)):
        if number in found:
            raise Malformed(f"segment {number} is there twice")
        found[number] = text
    asked = range(1, len(sources) + 1)
    if missing := [number for number in asked if number not in found]:
        raise Malformed(f"segments are missing: {missing[:10]}")
    if len(found) > len(sources):
        raise Malformed("there are segments that nobody asked for")
    for number, source in zip(asked, sources, strict=True):
        if not found[number]:
            raise Malformed(f"segment {number} is empty")
        if len(found[number]) > LONGEST_RATIO * len(source) + LONGEST_EXTRA:
            raise Malformed(f"segment {number} is far longer than what was said")
    return [found[number] for number in asked]


def _object(answer: str) -> Any:
    """Return the value of the first JSON object in the answer that has segments."""
    decoder = json.JSONDecoder()
    start = answer.find("{")
    for _ in range(MOST_TRIES):
        if start < 0:
            break
        try:
            value, _ = decoder.raw_decode(answer, start)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict) and "segments" in value:
            return value
        start = answer.find("{", start + 1)
    raise Malformed("there is no JSON object with segments")


def _rows(value: Any) -> list[tuple[int, str]]:
    segments = value["segments"]
    if not isinstance(segments, list):
        raise Malformed("the segments are no list")
    rows = []
    for segment in segments:
        number = segment.get("id") if isinstance(segment, dict) else None
        if isinstance(number, str) and number.isascii() and number.isdecimal() and len(number) < 10:
            number = int(number)
        if not isinstance(number, int) or isinstance(number, bool):
            raise Malformed("a segment has no number")
        text = segment.get("text")
        if not isinstance(text, str):
            raise Malformed(f"segment {number} has no text")
        # A line break would end a caption, and NUL cannot be stored.
        rows.append((number, " ".join(text.replace("\0", " ").split())))
    return rows
