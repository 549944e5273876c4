"""Which audio tracks of a file are heard, and why the others are not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Unheard:
    """A track that is left out.

    `why` is one of: chosen (another was chosen), copy, silent, copy_so_far, language, commentary, no_speech,
    too_many, stream (of a recording in pieces only one is heard), unreadable.
    """

    track: int
    why: str


@dataclass(slots=True)
class Choice:
    """What is heard of a file. Tracks are numbered from 0, in the order of the file."""

    count: int
    languages: list[str]
    heard: list[int] = field(default_factory=list)
    gains: list[float] = field(default_factory=list)
    unheard: list[Unheard] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {
            "count": self.count,
            "heard": self.heard,
            "languages": self.languages,
            "unheard": [{"track": one.track, "why": one.why} for one in self.unheard],
        }

    def leave_out(self, tracks: Iterable[int], why: str) -> None:
        """Note that these tracks are not heard, with the reason."""
        self.unheard += [Unheard(track, why) for track in sorted(tracks)]
