"""Choose where to cut a recording into windows: in the middle of the longest pause of a stretch.

The windows lie side by side from the first to the last millisecond, so joining their texts is concatenation.
The decision 0003 has the measurements against blind cuts, cuts at the last pause, and overlaps.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from speech.types import Span

LONG_SILENCE_MS = 15_000
"""A silence of this length or more becomes a window of its own, which no engine hears."""
SILENCE_MARGIN_MS = 1_000
"""How much of a long silence stays with the speech on either side."""

GROWING_CHOICE_MS = 5_000
"""How much audio must follow the least length of a window before a pause is looked for in it."""

EARLY_CUTS_MS = ((4_000, 600), (8_000, 300), (12_000, 150))
"""A window may end early where, in one of these rows, so much was said from its first word on, and the pause
behind it is so long. The less is said, the more it costs to tear it from what follows
(docs/decisions/0023-early-windows.md).
"""


@dataclass(frozen=True, slots=True)
class Window:
    """The stretch `[start_ms, end_ms)` of the timeline. `speech_ms` of it are speech."""

    start_ms: int
    end_ms: int
    speech_ms: int


def cut_windows(
    speech: Sequence[Span],
    duration_ms: int,
    *,
    min_window_s: int,
    max_window_s: int,
    quietest: Callable[[int, int], int] | None = None,
    start_ms: int = 0,
    ended: bool = True,
) -> list[Window]:
    """Cut `[start_ms, duration_ms)` into windows.

    Each window lasts `min_window_s` to `max_window_s`; the last one, and a silence, may be shorter. `speech`
    is in order and without overlaps. If a stretch has no pause, `quietest(start_ms, end_ms)` names the moment
    to cut at; without `quietest` the cut is at the latest full second.

    `start_ms` is 0 or the end of an earlier window of the same recording. Unless the recording has `ended`,
    the result has only those windows that stay the same whatever audio follows.
    """
    pauses = _pauses(speech)
    ahead = [span for span in speech if span.end_ms > start_ms]
    if not ended:
        if not ahead:
            return []
        # The last stretch lasts at least this long, even if nobody speaks again.
        duration_ms = min(duration_ms, ahead[-1].end_ms + SILENCE_MARGIN_MS)
    cuts = [start_ms]
    stretches = _stretches(ahead, start_ms, duration_ms)
    for number, (begins_ms, ends_ms, has_speech) in enumerate(stretches, start=1):
        known = ended or number < len(stretches)
        if has_speech:
            low_ms, high_ms = min_window_s * 1000, max_window_s * 1000
            cuts += _cuts(pauses, begins_ms, ends_ms, low_ms, high_ms, quietest, end_known=known)
        if known:
            cuts.append(ends_ms)
    return [Window(a, b, _speech_ms(speech, a, b)) for a, b in pairwise(cuts)]


def cut_growing_windows(
    speech: Sequence[Span],
    duration_ms: int,
    *,
    min_window_s: int,
    max_window_s: int,
    quietest: Callable[[int, int], int] | None = None,
    early_until_ms: int = 0,
) -> list[Window]:
    """Cut as many windows of `[0, duration_ms)` as possible while more audio may come. The rest waits for
    that audio.

    A recorder cuts in the middle of words, so the end of the audio so far is no place to cut. Each window
    ends in a pause. The last `min_window_s` and the room to look for the next pause are kept back; of a
    window that begins before `early_until_ms` only what follows the last pause of EARLY_CUTS_MS.
    """
    # After the last word there is a pause, too. Its full length is not known yet.
    pauses = [*_pauses(speech), Span(speech[-1].end_ms, duration_ms)] if speech else [Span(0, duration_ms)]
    cuts = [0]
    while duration_ms - cuts[-1] >= min_window_s * 1000 + GROWING_CHOICE_MS:
        earliest, latest = cuts[-1] + min_window_s * 1000, cuts[-1] + max_window_s * 1000
        cuts.append(_best_cut(pauses, earliest, min(latest, duration_ms), quietest))
    if cuts[-1] < early_until_ms and (early_ms := _early_cut(speech, cuts[-1], duration_ms)) is not None:
        cuts.append(early_ms)
    return [Window(a, b, _speech_ms(speech, a, b)) for a, b in pairwise(cuts)]


def _early_cut(speech: Sequence[Span], start_ms: int, duration_ms: int) -> int | None:
    """Return the middle of the last pause behind `start_ms` that is long enough for what was said before."""
    ahead = speech[bisect_right(speech, start_ms, key=lambda span: span.end_ms) :]
    edges = [*ahead, Span(duration_ms, duration_ms)]
    for before, after in reversed(list(pairwise(edges))):
        said_ms = before.end_ms - max(ahead[0].start_ms, start_ms)
        pause_ms = after.start_ms - before.end_ms
        if any(said_ms >= said and pause_ms >= pause for said, pause in EARLY_CUTS_MS):
            return (before.end_ms + after.start_ms) // 2
    return None


def _pauses(speech: Sequence[Span]) -> list[Span]:
    return [Span(a.end_ms, b.start_ms) for a, b in pairwise(speech)]


def _stretches(speech: Sequence[Span], start_ms: int, duration_ms: int) -> list[tuple[int, int, bool]]:
    """Split `[start_ms, duration_ms)` into stretches with speech and long silences: (start, end, has
    speech).
    """
    if not speech:
        return [(start_ms, duration_ms, False)] if duration_ms > start_ms else []
    stretches = []
    at = start_ms
    edges = [Span(start_ms, start_ms), *speech, Span(duration_ms, duration_ms)]
    for number, (before, after) in enumerate(pairwise(edges)):
        first, last = number == 0, number == len(edges) - 2
        if after.start_ms - before.end_ms < LONG_SILENCE_MS:
            continue
        silence_start = start_ms if first else before.end_ms + SILENCE_MARGIN_MS
        silence_end = duration_ms if last else after.start_ms - SILENCE_MARGIN_MS
        if silence_start > at:
            stretches.append((at, silence_start, True))
        stretches.append((silence_start, silence_end, False))
        at = silence_end
    if at < duration_ms:
        stretches.append((at, duration_ms, True))
    return stretches


def _cuts(
    pauses: Sequence[Span],
    start_ms: int,
    end_ms: int,
    min_ms: int,
    max_ms: int,
    quietest: Callable[[int, int], int] | None,
    *,
    end_known: bool,
) -> list[int]:
    """Return the cuts inside one stretch.

    If its end is not known, return only the cuts that the end cannot change.
    """
    cuts = []
    at = start_ms
    while (left := end_ms - at) > max_ms:
        if left >= min_ms + max_ms:
            earliest, latest = at + min_ms, at + max_ms
        elif not end_known:
            break
        else:
            # The last two windows share the rest about evenly, so that no short one remains. The cut is at a
            # whole second, as all cuts are where nobody pauses.
            half, slack = left // 2000 * 1000, (max_ms - min_ms) // 2
            earliest = at + max(half - slack, left - max_ms)
            latest = max(earliest, at + min(half + slack, max_ms))
        at = _best_cut(pauses, earliest, latest, quietest)
        cuts.append(at)
    return cuts


def _best_cut(
    pauses: Sequence[Span], earliest: int, latest: int, quietest: Callable[[int, int], int] | None
) -> int:
    # The pauses are in order. Look only at those that reach into the range, and only at the part inside it.
    first = bisect_left(pauses, earliest, key=lambda pause: pause.end_ms)
    last = bisect_right(pauses, latest, key=lambda pause: pause.start_ms)
    parts = [Span(max(p.start_ms, earliest), min(p.end_ms, latest)) for p in pauses[first:last]]
    longest = max(parts, key=lambda part: part.duration_ms, default=None)
    if longest is not None and longest.duration_ms:
        return (longest.start_ms + longest.end_ms) // 2
    if quietest is not None:
        return quietest(earliest, latest)
    return max(earliest, latest // 1000 * 1000)


def _speech_ms(speech: Sequence[Span], start_ms: int, end_ms: int) -> int:
    first = bisect_right(speech, start_ms, key=lambda span: span.end_ms)
    last = bisect_left(speech, end_ms, key=lambda span: span.start_ms)
    return sum(min(s.end_ms, end_ms) - max(s.start_ms, start_ms) for s in speech[first:last])
