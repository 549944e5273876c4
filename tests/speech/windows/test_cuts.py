"""Properties that every plan must have, on speech with all kinds of pauses."""

from __future__ import annotations

import random
import time
from itertools import pairwise

import pytest

from speech.types import Span
from speech.windows.cuts import LONG_SILENCE_MS, SILENCE_MARGIN_MS, Window, cut_growing_windows, cut_windows

MINUTE = 60_000
HOUR = 60 * MINUTE


def planned(speech: list[Span], duration_ms: int, low_s: int = 40, high_s: int = 60, quietest=None):
    return cut_windows(speech, duration_ms, min_window_s=low_s, max_window_s=high_s, quietest=quietest)


def talk(seed: int) -> tuple[list[Span], int]:
    """Speech of up to half an hour, with breaths, pauses, and now and then a long silence."""
    rng = random.Random(seed)
    speech, at = [], rng.choice([0, 0, rng.randrange(40_000)])
    end = rng.randrange(1, 30 * MINUTE)
    while True:
        stop = at + rng.choice([rng.randrange(96, 8_000), rng.randrange(8_000, 90_000)])
        if stop > end:
            break
        speech.append(Span(at, stop))
        kind = rng.random()
        longest = 400 if kind < 0.7 else 3_000 if kind < 0.95 else 60_000
        at = stop + rng.randrange(128, longest)
    return speech, end


SEEDS = range(300)


@pytest.mark.parametrize("limits", [(40, 60), (5, 5), (20, 29), (600, 1400)])
@pytest.mark.parametrize("seeds", [SEEDS[n : n + 100] for n in range(0, 300, 100)], ids=str)
def test_windows_cover_the_recording_without_hole_or_overlap_and_keep_the_longest_length(seeds, limits):
    for seed in seeds:
        speech, end = talk(seed)
        windows = planned(speech, end, *limits)
        assert windows[0].start_ms == 0, seed
        assert windows[-1].end_ms == end, seed
        assert all(a.end_ms == b.start_ms for a, b in pairwise(windows)), seed
        assert all(w.start_ms < w.end_ms for w in windows), seed
        assert all(w.end_ms - w.start_ms <= limits[1] * 1000 for w in windows if w.speech_ms), seed


def test_no_speech_is_lost():
    for seed in SEEDS:
        speech, end = talk(seed)
        windows = planned(speech, end)
        assert sum(w.speech_ms for w in windows) == sum(s.duration_ms for s in speech), seed
        for window in windows:
            inside = sum(
                max(0, min(s.end_ms, window.end_ms) - max(s.start_ms, window.start_ms)) for s in speech
            )
            assert window.speech_ms == inside, seed


def test_only_the_ends_of_stretches_are_short_and_none_is_a_splinter():
    for seed in SEEDS:
        speech, end = talk(seed)
        windows = planned(speech, end)
        for before, window, after in zip([None, *windows], windows, [*windows[1:], None], strict=False):
            length = window.end_ms - window.start_ms
            if not window.speech_ms or length >= 40_000:
                continue
            alone = not (before and before.speech_ms) and not (after and after.speech_ms)
            # 60 s and a bit are shared by two windows, with 10 s of room for a good pause.
            assert alone or length >= 19_000, (seed, window)


def full_windows(speech: list[Span], duration_ms: int) -> list[tuple[Window, list[Span]]]:
    """Windows that end 40 to 60 s after their start, and the parts of pauses that are there."""
    pauses = [Span(a.end_ms, b.start_ms) for a, b in pairwise(speech)]
    found = []
    for window, after in pairwise(planned(speech, duration_ms, quietest=lambda _, end_ms: end_ms - 7)):
        # The last two of a stretch share what is left, with other limits.
        if window.speech_ms and after.speech_ms and after.end_ms - window.start_ms >= 100_000:
            earliest, latest = window.start_ms + 40_000, window.start_ms + 60_000
            parts = [Span(max(p.start_ms, earliest), min(p.end_ms, latest)) for p in pauses]
            found.append((window, [part for part in parts if part.duration_ms > 0]))
    return found


def test_a_cut_is_in_the_middle_of_the_longest_pause_in_reach():
    checked = 0
    for seed in SEEDS:
        for window, parts in full_windows(*talk(seed)):
            if parts:
                longest = max(part.duration_ms for part in parts)
                middles = [(p.start_ms + p.end_ms) // 2 for p in parts if p.duration_ms == longest]
                assert window.end_ms in middles, (seed, window)
                checked += 1
    assert checked > 100


def test_speech_is_cut_only_where_no_pause_is_in_reach():
    cut = 0
    for seed in SEEDS:
        speech, end = talk(seed)
        for window, parts in full_windows(speech, end):
            if any(span.start_ms < window.end_ms < span.end_ms for span in speech):
                assert not parts, (seed, window)
                assert window.end_ms == window.start_ms + 59_993, (seed, window)
                cut += 1
    assert cut > 10


def test_it_takes_the_longest_pause_of_the_stretch_not_the_first_or_last():
    speech = [Span(0, 42_000), Span(42_300, 50_000), Span(50_900, 57_000), Span(57_500, 120_000)]
    assert planned(speech, 120_000)[0] == Window(0, 50_450, 49_700)


def test_a_silence_of_15_s_is_a_window_of_its_own_without_speech_and_a_shorter_one_is_not():
    speech = [Span(0, 20_000), Span(20_000 + LONG_SILENCE_MS, 50_000)]
    assert planned(speech, 50_000) == [
        Window(0, 20_000 + SILENCE_MARGIN_MS, 20_000),
        Window(21_000, 34_000, 0),
        Window(34_000, 50_000, 15_000),
    ]
    shorter = [Span(0, 20_000), Span(19_999 + LONG_SILENCE_MS, 50_000)]
    assert len(planned(shorter, 50_000)) == 1


def test_long_silences_at_the_beginning_and_at_the_end_are_windows_without_speech():
    windows = planned([Span(30_000, 31_000)], HOUR)
    assert windows == [Window(0, 29_000, 0), Window(29_000, 32_000, 1_000), Window(32_000, HOUR, 0)]


def test_ten_hours_of_silence_are_one_window():
    assert planned([], 10 * HOUR) == [Window(0, 10 * HOUR, 0)]


def test_a_recording_without_length_has_no_windows():
    assert planned([], 0) == []


def test_two_seconds_more_than_a_window_do_not_make_a_splinter():
    windows = planned([Span(0, 62_000)], 62_000)
    assert [w.end_ms - w.start_ms for w in windows] == [41_000, 21_000]


def test_where_nobody_pauses_it_is_cut_at_the_quietest_moment():
    asked = []

    def quietest(start_ms: int, end_ms: int) -> int:
        asked.append((start_ms, end_ms))
        return 47_123

    windows = planned([Span(0, 100_000)], 100_000, quietest=quietest)
    assert asked == [(40_000, 60_000)]
    assert [w.end_ms for w in windows] == [47_123, 100_000]


def test_where_nobody_pauses_and_nothing_is_known_it_is_cut_at_the_latest_moment():
    assert [w.end_ms for w in planned([Span(0, 3 * MINUTE)], 3 * MINUTE)] == [60_000, 120_000, 180_000]


def test_of_a_pause_that_reaches_out_of_the_stretch_it_takes_the_part_inside():
    speech = [Span(0, 52_000), Span(66_000, 130_000)]
    assert planned(speech, 130_000)[0] == Window(0, 56_000, 52_000)


def test_ten_hours_of_talk_are_planned_in_a_second():
    speech = [Span(n, n + 1_500) for n in range(0, 10 * HOUR, 2_000)]
    start = time.process_time()
    windows = planned(speech, 10 * HOUR)
    assert time.process_time() - start < 1
    assert 600 <= len(windows) <= 900


# Windows that are settled before the whole recording has been searched


def heard_so_far(speech: list[Span], heard_ms: int) -> list[Span]:
    """What is known when `heard_ms` were searched: the last span may go on."""
    spans = [Span(s.start_ms, min(s.end_ms, heard_ms)) for s in speech if s.start_ms < heard_ms]
    return [span for span in spans if span.duration_ms >= 96]


@pytest.mark.parametrize("limits", [(40, 60), (5, 5), (20, 29), (60, 120)])
@pytest.mark.parametrize("step_ms", [1_000, 60_000])
def test_windows_that_are_planned_on_the_way_are_those_of_the_whole_recording(limits, step_ms):
    low_s, high_s = limits
    early = 0
    for seed in SEEDS[::3]:
        speech, end = talk(seed)
        windows: list[Window] = []
        for heard_ms in [*range(step_ms, end, step_ms), end]:
            start_ms = windows[-1].end_ms if windows else 0
            known = heard_so_far(speech, heard_ms) if heard_ms < end else speech
            windows += cut_windows(
                # As a detector gives it: of what was planned before, only the last.
                known[max(0, sum(s.end_ms <= start_ms for s in known) - 1) :],
                heard_ms,
                min_window_s=low_s,
                max_window_s=high_s,
                start_ms=start_ms,
                ended=heard_ms == end,
            )
            early += len(windows) if heard_ms < end else 0
        assert windows == planned(speech, end, low_s, high_s), seed
    assert early


def test_in_talk_without_end_little_waits():
    windows = cut_windows([Span(0, HOUR)], HOUR, min_window_s=40, max_window_s=60, ended=False)
    assert HOUR - windows[-1].end_ms < 100_000


def test_silence_so_far_waits_for_its_end():
    assert cut_windows([], HOUR, min_window_s=40, max_window_s=60, ended=False) == []
    speech = [Span(0, 10_000)]
    assert cut_windows(speech, HOUR, min_window_s=40, max_window_s=60, ended=False) == []


# A recording that grows


def grown(
    speech: list[Span], arrivals: list[int], early_until_ms: int = 0, *, ends: bool = True
) -> list[Window]:
    """The windows of a recording of which at each moment of `arrivals` so much is there.

    With `ends`, the last one is the end of the recording.
    """
    windows: list[Window] = []
    for number, end in enumerate(arrivals):
        start = windows[-1].end_ms if windows else 0
        here = [Span(max(s.start_ms, start), min(s.end_ms, end)) for s in speech]
        here = [Span(s.start_ms - start, s.end_ms - start) for s in here if s.start_ms < s.end_ms]
        limits = {"min_window_s": 18, "max_window_s": 29}
        some = (
            cut_windows(here, end - start, **limits)
            if ends and number == len(arrivals) - 1
            else cut_growing_windows(here, end - start, early_until_ms=early_until_ms - start, **limits)
        )
        windows += [Window(w.start_ms + start, w.end_ms + start, w.speech_ms) for w in some]
    return windows


@pytest.mark.parametrize("early_until_ms", [0, 40_000, HOUR])
@pytest.mark.parametrize("chunk_ms", [30_000, 7_300, 1_000, 61_000])
def test_a_recording_that_grows_is_covered_without_hole_or_overlap_and_little_waits(chunk_ms, early_until_ms):
    for seed in SEEDS[::5]:
        speech, end = talk(seed)
        arrivals = [*range(chunk_ms, end, chunk_ms), end]
        windows = grown(speech, arrivals, early_until_ms)
        assert windows[0].start_ms == 0, seed
        assert windows[-1].end_ms == end, seed
        assert all(a.end_ms == b.start_ms for a, b in pairwise(windows)), seed
        assert all(w.end_ms - w.start_ms <= 29_000 for w in windows if w.speech_ms), seed
        assert sum(w.speech_ms for w in windows) == sum(s.duration_ms for s in speech), seed
        for arrived in arrivals[:-1]:
            planned_ms = max((w.end_ms for w in windows if w.end_ms <= arrived), default=0)
            assert arrived - planned_ms <= 23_000 + 11_000, seed


def test_while_it_grows_a_window_ends_in_the_longest_pause_and_not_where_the_audio_so_far_does():
    speech = [Span(0, 20_000), Span(20_300, 25_000), Span(26_000, 30_000)]
    (window,) = cut_growing_windows(speech, 30_000, min_window_s=18, max_window_s=29)
    assert (window.start_ms, window.end_ms) == (0, 25_500)


@pytest.mark.parametrize("chunk_ms", [5_000, 10_000])
def test_a_window_that_ends_early_ends_in_a_pause_that_is_long_enough(chunk_ms):
    early = 0
    for seed in SEEDS[::5]:
        speech, end = talk(seed)
        arrivals = [*range(chunk_ms, end, chunk_ms), end]
        for window in grown(speech, arrivals, 40_000, ends=False):
            said = [s for s in speech if s.start_ms < window.end_ms and s.end_ms > window.start_ms]
            if not said or window.end_ms - window.start_ms >= 18_000:
                continue
            said_ms = said[-1].end_ms - max(said[0].start_ms, window.start_ms)
            arrived = next(at for at in arrivals if at >= window.end_ms)
            following = min([s.start_ms for s in speech if s.start_ms >= said[-1].end_ms] + [arrived])
            assert window.start_ms < 40_000, seed
            assert said_ms >= 4_000, seed
            assert following - said[-1].end_ms >= (
                600 if said_ms < 8_000 else 300 if said_ms < 12_000 else 150
            ), seed
            early += 1
    assert early > 20


@pytest.mark.parametrize(
    ("speech", "end_ms"),
    [
        # The last pause that is long enough.
        ([Span(0, 4_500), Span(5_200, 8_500), Span(8_900, 10_000)], 8_700),
        # The silence behind the last word so far.
        ([Span(0, 9_200)], 9_600),
        # After so little the pause is too short.
        ([Span(0, 6_000), Span(6_500, 10_000)], None),
        # Nobody speaks for 4 s from the first word on.
        ([Span(6_000, 9_000)], None),
        ([Span(0, 10_000)], None),
    ],
)
def test_the_first_windows_end_in_the_last_good_pause(speech, end_ms):
    windows = cut_growing_windows(speech, 10_000, min_window_s=18, max_window_s=29, early_until_ms=1)
    assert [window.end_ms for window in windows] == ([end_ms] if end_ms else [])


def test_where_more_has_arrived_than_a_window_holds_the_next_one_may_end_early():
    speech = [Span(0, 20_000), Span(20_400, 24_500), Span(25_500, 31_000)]
    limits = {"min_window_s": 18, "max_window_s": 29}
    windows = cut_growing_windows(speech, 32_000, **limits, early_until_ms=40_000)
    assert [(w.start_ms, w.end_ms) for w in windows] == [(0, 25_000), (25_000, 31_500)]
    assert cut_growing_windows(speech, 32_000, **limits, early_until_ms=20_000) == windows[:1]


def test_too_little_audio_waits_for_more():
    assert cut_growing_windows([Span(0, 22_000)], 22_000, min_window_s=18, max_window_s=29) == []


def test_a_monologue_is_cut_at_the_quietest_moment():
    asked = []

    def quietest(start_ms: int, end_ms: int) -> int:
        asked.append((start_ms, end_ms))
        return 21_234

    (window,) = cut_growing_windows(
        [Span(0, 30_000)], 30_000, min_window_s=18, max_window_s=29, quietest=quietest
    )
    assert window.end_ms == 21_234
    assert asked == [(18_000, 29_000)]


def test_silence_so_far_is_a_window_that_needs_no_engine():
    (window,) = cut_growing_windows([], 30_000, min_window_s=18, max_window_s=29)
    assert window.speech_ms == 0
