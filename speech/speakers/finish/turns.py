"""Turns of speakers: joined where a pause is short, and numbered in the order in which people begin."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from speech.speakers.types import Turn

_PAUSE_MS = 300
_SHORTEST_MS = 200


def joined(turns: Iterable[Turn]) -> list[Turn]:
    """Return the turns in order of time. Short pauses of a speaker are filled, very short turns left out."""
    last: dict[int, int] = {}
    found: list[Turn] = []
    for turn in sorted(turns):
        at = last.get(turn.speaker)
        if at is not None and turn.start_ms - found[at].end_ms < _PAUSE_MS:
            found[at] = replace(found[at], end_ms=max(found[at].end_ms, turn.end_ms))
        else:
            last[turn.speaker] = len(found)
            found.append(turn)
    return [turn for turn in found if turn.end_ms - turn.start_ms >= _SHORTEST_MS]


def in_order(turns: Sequence[Turn]) -> tuple[tuple[Turn, ...], list[int]]:
    """Return the turns with speakers numbered in the order in which they begin; and their numbers before."""
    before = list(dict.fromkeys(turn.speaker for turn in turns))
    number = {speaker: at for at, speaker in enumerate(before)}
    return tuple(replace(turn, speaker=number[turn.speaker]) for turn in turns), before
