"""Measure what cutting into windows costs: a job's words beside those of faster-whisper on the whole file.

    python -m benchmarks.quality [--model base] [--only NAME] [--rounds 3]
                                 [--min-window-s 44 --max-window-s 57]

Both sides get the same language. WER is the word error rate in percent against what was said; for Japanese
and Chinese, it counts characters. Near each cut, the words of the windows are compared with those of the
whole file:

    lost      the whole file has more words within EDGE_WORDS of the cut, and some of them were said
    doubled   the windows have more words, which were not said, and which stand at the very edge or again on
              the other side of the cut

Goals: at most 0.5 points more overall, nothing lost and nothing doubled.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate, pairwise
from pathlib import Path

import jiwer

from benchmarks.long_recordings import FOLDER, english_reading, manifest
from benchmarks.server import MODELS
from speech.engines import LOCAL_WINDOW_S, load_engine
from speech.engines.base import Capabilities, Engine, EngineSettings, TranscribeOptions
from speech.engines.local.decoder import BEAM_SIZE
from speech.engines.models import model_path
from speech.sound.working_copy import read_samples, write_working_copy
from speech.windows.planner import plan_windows
from tests.speech.wer import errors, spoken_words

EDGE_WORDS = 6
MAX_DURATION_S = 24 * 3600


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table: words said, errors of both sides, cuts, and the words that are lost or doubled
    there.
    """

    said: int
    whole: int
    windows: int
    cuts: int
    lost: list[str]
    doubled: list[str]


def in_windows(engine: Engine, able: Capabilities, copy: Path, duration_ms: int, language: str) -> list[str]:
    """Return the text of each window, as jobs are transcribed."""
    return [
        _transcribe(engine, copy, window.start_ms, window.end_ms, language) if window.speech_ms else ""
        for window in plan_windows(partial(read_samples, copy), duration_ms, able)
    ]


def _transcribe(engine: Engine, copy: Path, start_ms: int, end_ms: int, language: str) -> str:
    heard = engine.transcribe(read_samples(copy, start_ms, end_ms), TranscribeOptions(language=language))
    return " ".join(segment.text for segment in heard.segments)


def _whole(engine: Engine, copy: Path, duration_ms: int, language: str) -> str:
    """Return what faster-whisper itself makes of the whole file in one go, with the options of the
    product.
    """
    segments, _ = engine._model.transcribe(  # type: ignore[attr-defined]
        read_samples(copy, 0, duration_ms),
        language=language,
        beam_size=BEAM_SIZE,
        vad_filter=True,
        condition_on_previous_text=False,
        word_timestamps=True,
    )
    return " ".join(segment.text for segment in segments)


def measure(engine: Engine, able: Capabilities, source: Path, text: str, language: str) -> Row:
    """Transcribe a file in windows and in one go, and compare both with what was said."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "audio"
        report = write_working_copy(source, copy, max_duration_s=MAX_DURATION_S)
        windows = in_windows(engine, able, copy, report.duration_ms, language)
        whole = _whole(engine, copy, report.duration_ms, language)
    said = spoken_words(text, language)
    return Row(
        len(said),
        errors(said, spoken_words(whole, language)),
        errors(said, spoken_words(" ".join(windows), language)),
        len(windows) - 1,
        *at_cuts(_plain(text, language), _plain(whole, language), [_plain(w, language) for w in windows]),
    )


def _plain(text: str, language: str) -> list[str]:
    # The usual normalization of English also makes one number of "zero. One", so that a word seems to be
    # lost.
    return spoken_words(text, "" if language == "en" else language)


def at_cuts(said: list[str], whole: list[str], windows: list[list[str]]) -> tuple[list[str], list[str]]:
    """Return what is lost and what is doubled at the cuts, each with the words around it."""
    heard = [word for window in windows for word in window]
    all_cuts = list(accumulate(map(len, windows)))[:-1]
    lost, doubled = [], []
    right_whole, right_windows = _right(said, whole), _right(said, heard)
    for (a, b), (first, end) in _differences(whole, heard):
        cuts = [cut for cut in all_cuts if first - EDGE_WORDS <= cut <= end + EDGE_WORDS]
        one, other = whole[a:b], heard[first:end]
        around = f"(… {' '.join(heard[max(0, first - 4) : end + 4])} …)"
        if not cuts:
            continue
        if _much_more(one, other) and any(n in right_whole for n in range(a, b)):
            lost.append(f"{' '.join(one)} {around}")
        elif (
            _much_more(other, one)
            and not all(n in right_windows for n in range(first, end))
            and any(_doubled(heard, cut, first, end) for cut in cuts)
        ):
            doubled.append(f"{' '.join(other)} {around}")
    return lost, doubled


def _much_more(some: list[str], others: list[str]) -> bool:
    # "in crease" for "increase" is another word and not one more.
    return len(some) > len(others) and len("".join(some)) > 2 * len("".join(others))


def _doubled(words: list[str], cut: int, first: int, end: int) -> bool:
    beyond = words[cut : cut + EDGE_WORDS] if end <= cut else words[max(0, cut - EDGE_WORDS) : cut]
    return first <= cut <= end or bool(set(words[first:end]) & set(beyond))


def _differences(reference: list[str], heard: list[str]) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Yield the longest stretches in which both differ, as places in the one and in the other."""
    equal = [
        (c.ref_start_idx, c.ref_end_idx, c.hyp_start_idx, c.hyp_end_idx)
        for c in _alignment(reference, heard)
        if c.type == "equal"
    ]
    edges = [(0, 0, 0, 0), *equal, (len(reference), len(reference), len(heard), len(heard))]
    for before, after in pairwise(edges):
        if before[1] < after[0] or before[3] < after[2]:
            yield (before[1], after[0]), (before[3], after[2])


def _right(said: list[str], heard: list[str]) -> set[int]:
    """Return which of the heard words are right, by their places."""
    return {
        n
        for chunk in _alignment(said, heard)
        if chunk.type == "equal"
        for n in range(chunk.hyp_start_idx, chunk.hyp_end_idx)
    }


def _alignment(reference: list[str], heard: list[str]) -> list[jiwer.AlignmentChunk]:
    if not reference or not heard:
        return []
    return list(jiwer.process_words(" ".join(reference), " ".join(heard)).alignments[0])


def print_row(name: str, row: Row) -> Row:
    whole, windows = 100 * row.whole / row.said, 100 * row.windows / row.said
    print(
        f"{name:40}{row.said:6}{whole:8.2f}{windows:9.2f}{windows - whole:+7.2f}"
        f"{row.cuts:6}{len(row.lost):6}{len(row.doubled):9}",
        flush=True,
    )
    return row


def total_row(rows: list[Row]) -> Row:
    return Row(
        sum(row.said for row in rows),
        sum(row.whole for row in rows),
        sum(row.windows for row in rows),
        sum(row.cuts for row in rows),
        [words for row in rows for words in row.lost],
        [words for row in rows for words in row.doubled],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="base")
    parser.add_argument("--rounds", type=int, default=3, help="of the long recording, 3.6 minutes each")
    parser.add_argument("--only", default="", help="recordings whose names begin so; `long` for the long one")
    parser.add_argument("--min-window-s", type=int, default=LOCAL_WINDOW_S[0])
    parser.add_argument("--max-window-s", type=int, default=LOCAL_WINDOW_S[1])
    given = parser.parse_args()
    settings = EngineSettings(model=given.model, model_dir=model_path(given.model, MODELS))
    engine = load_engine("local", settings)
    able = replace(engine.capabilities, min_window_s=given.min_window_s, max_window_s=given.max_window_s)
    print(f"\nmodel {given.model}, windows of {able.min_window_s} to {able.max_window_s} s")
    print(
        f"{'recording':40}{'words':>6}{'whole':>8}{'windows':>9}{'more':>7}{'cuts':>6}{'lost':>6}{'doubled':>9}"
    )
    rows = []
    for recording in manifest():
        name, language = recording["file"], recording["language"]
        if recording["expect"] != "transcript" or language not in able.languages:
            continue
        if name.startswith(given.only):
            rows.append(print_row(name, measure(engine, able, FOLDER / name, recording["text"], language)))
    with tempfile.TemporaryDirectory() as folder:
        for seed in (1, 2):
            name = f"long {seed}, {given.rounds} rounds"
            if name.startswith(given.only):
                long = Path(folder) / "long.flac"
                text = english_reading(long, rounds=given.rounds, seed=seed)
                rows.append(print_row(name, measure(engine, able, long, text, "en")))
    everything = print_row("all", total_row(rows))
    for kind, places in (("lost", everything.lost), ("doubled", everything.doubled)):
        for place in places:
            print(f"{kind}: {place}")


if __name__ == "__main__":
    main()
