"""The languages that Whisper models know, found without loading a model."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path

# This is a copy of the list in faster-whisper, because importing that would load its inference libraries. A
# test compares both. The codes are ISO 639-1 where there is one.
WHISPER_LANGUAGES = frozenset(
    """
    af am ar as az ba be bg bn bo br bs ca cs cy da de el en es et eu fa fi fo fr gl gu ha haw he hi hr
    ht hu hy id is it ja jw ka kk km kn ko la lb ln lo lt lv mg mi mk ml mn mr ms mt my ne nl nn no oc
    pa pl ps pt ro ru sa sd si sk sl sn so sq sr su sv sw ta te tg th tk tl tr tt uk ur uz vi yi yo zh
    """.split()  # noqa: SIM905  a list of a hundred quoted strings reads worse
)
ENGLISH = frozenset({"en"})
CANTONESE = frozenset({"yue"})
"""Whisper knows it since large-v3. For an older model it is no language, and the text becomes garbage."""
ENGLISH_VOCABULARY = 51_864
"""The number of tokens of an English-only model.

A multilingual model has one more; since large-v3, two more.
"""


def languages_of(model: str) -> frozenset[str]:
    """Return the languages that a model knows. `model` is its name or its directory."""
    tokens = _vocabulary_size(Path(model)) if os.sep in model else None
    if model.endswith(".en") if tokens is None else tokens <= ENGLISH_VOCABULARY:
        return ENGLISH
    newer = "large-v3" in model or "turbo" in model if tokens is None else tokens > ENGLISH_VOCABULARY + 1
    return WHISPER_LANGUAGES | CANTONESE if newer else WHISPER_LANGUAGES


@cache
def _vocabulary_size(directory: Path) -> int | None:
    if (lines := directory / "vocabulary.txt").is_file():
        return len(lines.read_bytes().splitlines())
    if (array := directory / "vocabulary.json").is_file():
        return len(json.loads(array.read_bytes()))
    return None
