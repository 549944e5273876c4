"""Which audio tracks a job asks for."""

from __future__ import annotations

from dataclasses import dataclass

from speech.errors import NoSuchTrack

AUTO, ALL = "auto", "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackWish:
    """Which audio tracks to hear: `auto`, `all`, or a number from 0. At most `most` of them are heard at
    once.

    `language` is an ISO 639-1 code or ''. With `auto`, tracks with this label are preferred.
    """

    track: str = AUTO
    language: str = ""
    most: int = 8


def check_track_number(wish: str, count: int) -> None:
    """Check the wished number. Raises NoSuchTrack if a file with `count` audio tracks has no such track."""
    if wish not in (AUTO, ALL) and int(wish) >= count:
        has = "1 audio track, number 0" if count == 1 else f"{count} audio tracks, numbers 0 to {count - 1}"
        raise NoSuchTrack(f"There is no audio track {wish}: this file has {has}. Choose one, or `{AUTO}`.")
