"""Measure how well speakers are told apart, and what it costs.

    python -m benchmarks.speakers [--model tiny.en] [--seeds 14] [--hours 4] [--table recordings]

Recordings with known speakers, and conversations that are put together from recordings of one person each:
the diarization error rate (missed, false and confused speech) with a collar of 0.25 s and without; speakers
found; words that get a wrong speaker, or none, of those in the speech of exactly one person. Words are the
engine's for recordings, and pieces of a third of a second for conversations. Goals: no word of the call, 1 %
of the words of three speakers; conversations 3 % error rate, 2 % of the words, the number right in 80 %.
There is no goal by telephone.

Costs: the time of the end for ten hours (goal: 20 s), and the peak memory of a process that hears ten minutes
and tells the speakers apart; for the long recording, what was heard is repeated before the end (goal: 1.2
times as much).

Channels: two people on a channel each, who begin before the other one ends: how many words of the channels by
themselves are not in the text of both in one.

Names: how often a voice is taken for another one (false accept) or not for itself (false reject).
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from faster_whisper import decode_audio

from benchmarks.channels import show_channels
from benchmarks.conversations import CALL, READERS, Conversation, by_telephone, conversation, utterances
from benchmarks.long_recordings import FOLDER, manifest
from benchmarks.server import MODELS
from speech.engines import load_engine
from speech.engines.base import Capabilities, EngineSettings, TranscribeOptions
from speech.engines.models import model_path
from speech.samples import Samples
from speech.speakers import ChannelListener, HeardWindow, Speakers, Turn, assign, load_hearing, tell_apart
from speech.speakers.hearing.packing import unpack_vector
from speech.types import SAMPLE_RATE, SpeechSegment, Word, ms_to_samples, samples_to_ms
from speech.windows.planner import plan_windows
from tests.speech.der import best_mapping, diarization_errors, read_rttm

RECORDINGS = ("en_call_2spk_stereo_8k", "en_three_speakers_20s", "en_ami_meeting_2spk_30s")
WORD_MS = 333
PEOPLE = range(2, 9)
HEAD = (
    f"{'':34}{'DER':>6}{'missed':>8}{'false':>7}{'confused':>9}{'no collar':>11}"
    f"{'found':>7}{'words':>7}{'wrong':>7}{'unnamed':>9}"
)
MB = 1024


@dataclass
class Score:
    """What became of one recording: milliseconds of speech, words."""

    said: int
    wrong: int
    words: int
    wrong_words: int
    unnamed: int
    right_number: bool


def hear(samples: Samples) -> list[HeardWindow]:
    """Hear a recording in the windows of a job."""
    hearing = load_hearing()
    planned = plan_windows(
        lambda start, end: samples[ms_to_samples(start) : ms_to_samples(end)],
        samples_to_ms(len(samples)),
        Capabilities(),
    )
    return [
        HeardWindow(
            window.start_ms,
            window.end_ms,
            hearing.hear(samples[ms_to_samples(window.start_ms) : ms_to_samples(window.end_ms)]),
        )
        for window in planned
        if window.speech_ms
    ]


def show(name: str, turns: Sequence[Turn], speakers: Speakers, segments: Sequence[SpeechSegment]) -> Score:
    """Print a row, and return its numbers."""
    errors = diarization_errors(turns, speakers.turns)
    strict = diarization_errors(turns, speakers.turns, collar_ms=0)
    words, wrong, unnamed = wrong_words(turns, speakers, segments)
    n = len({turn.speaker for turn in turns})
    parts = [100 * part / errors.said for part in (errors.missed, errors.false, errors.confused)]
    print(
        f"{name:34}{errors.rate:6.1f}{parts[0]:8.1f}{parts[1]:7.1f}{parts[2]:9.1f}{strict.rate:11.1f}"
        f"{f'{speakers.n}/{n}':>7}{words:7}{wrong:7}{unnamed:9}",
        flush=True,
    )
    bad = errors.missed + errors.false + errors.confused
    return Score(errors.said, bad, words, wrong, unnamed, speakers.n == n)


def wrong_words(
    turns: Sequence[Turn], speakers: Speakers, segments: Sequence[SpeechSegment]
) -> tuple[int, int, int]:
    """Count the words that lie in the speech of exactly one person, those that another one gets, and those
    that nobody gets.
    """
    mapping = best_mapping(turns, speakers.turns)
    words = wrong = unnamed = 0
    for said in assign(segments, speakers):
        for word in said.segment.words:
            middle = (word.start_ms + word.end_ms) // 2
            who = {turn.speaker for turn in turns if turn.start_ms <= middle < turn.end_ms}
            if len(who) == 1:
                words += 1
                unnamed += said.speaker is None
                wrong += said.speaker is not None and mapping.get(said.speaker) not in who
    return words, wrong, unnamed


def even_words(turns: Sequence[Turn], windows: Sequence[HeardWindow]) -> list[SpeechSegment]:
    """Return a segment for each window, with a word for each third of a second in which one person speaks."""
    words = [
        Word(at, at + WORD_MS, "word")
        for turn in turns
        for at in range(turn.start_ms, turn.end_ms - WORD_MS + 1, WORD_MS)
        if sum(one.start_ms < at + WORD_MS and at < one.end_ms for one in turns) == 1
    ]
    words.sort(key=lambda word: word.start_ms)
    segments = []
    for window in windows:
        own = tuple(word for word in words if window.start_ms <= word.start_ms < window.end_ms)
        text = " ".join(word.text for word in own)
        segments.append(SpeechSegment(window.start_ms, window.end_ms, text, words=own))
    return segments


def show_recordings(model: str) -> None:
    engine = load_engine("local", EngineSettings(model=model, model_dir=model_path(model, MODELS)))
    print(f"\n{'recordings, words of ' + model:34}{HEAD[34:]}")
    for name in RECORDINGS:
        file = FOLDER / f"{name}.wav"
        turns, samples = read_rttm(file.with_suffix(".rttm")), decode_audio(str(file))
        segments = engine.transcribe(samples, TranscribeOptions(language="en")).segments
        show(name, turns, tell_apart(hear(samples)), segments)
        if name == CALL:
            listener = ChannelListener()
            listener.feed(np.stack(decode_audio(str(file), split_stereo=True)))
            show(f"{name}, channels", turns, listener.finish() or Speakers(), segments)


def show_conversations(count: int) -> None:
    """Print `count` conversations of each kind, of 2 to 8 people in turn."""
    kinds = (
        ("conversations", {}),
        ("a third of the turns early", {"overlap": True}),
        ("by telephone", {"telephone": True}),
    )
    blocks = [range(first, first + len(PEOPLE)) for first in range(0, 3 * count, len(PEOPLE))]
    for number, (title, kind) in enumerate(kinds):
        seeds = [seed for block in blocks[number :: len(kinds)] for seed in block][:count]
        print(f"\n{title:34}{HEAD[34:]}")
        scores, cpu_s, audio_s, stored = [], 0.0, 0.0, 0
        for seed in seeds:
            talk = conversation(seed, PEOPLE[seed % len(PEOPLE)], **kind)
            began = time.process_time()
            windows = hear(talk.samples)
            speakers = tell_apart(windows)
            cpu_s += time.process_time() - began
            audio_s += len(talk.samples) / SAMPLE_RATE
            stored += sum(len(window.voices) for window in windows)
            scores.append(show(talk.name, talk.turns, speakers, even_words(talk.turns, windows)))
        said, words = sum(score.said for score in scores), sum(score.words for score in scores)
        print(
            f"all: error rate {100 * sum(score.wrong for score in scores) / said:.1f} %, "
            f"words wrong {100 * sum(score.wrong_words for score in scores) / words:.1f} %, "
            f"unnamed {100 * sum(score.unnamed for score in scores) / words:.1f} %, "
            f"number right in {100 * np.mean([score.right_number for score in scores]):.0f} %, "
            f"{cpu_s / audio_s:.3f} processor s and {stored / audio_s:.0f} bytes for each s"
        )


def repeated(windows: Sequence[HeardWindow], length_ms: int, until_ms: int) -> list[HeardWindow]:
    return [
        HeardWindow(window.start_ms + shift, window.end_ms + shift, window.voices)
        for shift in range(0, until_ms, length_ms)
        for window in windows
        if window.end_ms + shift <= until_ms
    ]


def ten_minutes() -> Conversation:
    """Return ten minutes of four conversations, one after another."""
    talks = [conversation(seed, 6) for seed in range(4)]
    samples = np.concatenate([talk.samples for talk in talks])
    return Conversation("ten minutes", samples[: 600 * SAMPLE_RATE], [])


def peak_mb(hours: float) -> float:
    """Return the peak of a process that hears ten minutes, and tells the speakers of `hours` apart."""
    command = [sys.executable, "-m", "benchmarks.speakers", "--peak-of", str(hours)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def print_peak(hours: float) -> None:
    talk = ten_minutes()
    windows = hear(talk.samples)
    tell_apart(repeated(windows, samples_to_ms(len(talk.samples)), round(hours * 3_600_000)))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MB)


def show_costs(hours: float) -> None:
    talk = ten_minutes()
    windows, length_ms = hear(talk.samples), samples_to_ms(len(talk.samples))
    print(f"\n{'the end':34}{'processor s':>12}{'speakers':>10}")
    for some in (1 / 6, 1, hours, 10):
        all_windows = repeated(windows, length_ms, round(some * 3_600_000))
        began = time.process_time()
        speakers = tell_apart(all_windows)
        print(f"{f'{some:.3g} hours':34}{time.process_time() - began:12.2f}{speakers.n:10}", flush=True)
    short, long = peak_mb(1 / 6), peak_mb(hours)
    print(f"\n{'peak memory':34}{'MB':>12}{'ratio':>10}")
    print(f"{'10 minutes':34}{short:12.0f}{1:10.2f}\n{f'{hours:g} hours':34}{long:12.0f}{long / short:10.2f}")


def voice_of(samples: Samples) -> np.ndarray | None:
    """Return the vector of one person's voice."""
    voices = tell_apart(hear(samples)).voices
    return unpack_vector(max(voices, key=lambda voice: voice.clean_s).vector) if voices else None


def show_names() -> None:
    """Compare each reader's second half with the first half of all, as it is and by telephone."""
    halves = {}
    for reader in (*READERS, f"{CALL}/0", f"{CALL}/1"):
        said = [one.samples for one in utterances(reader)]
        first, second = (np.concatenate(part) for part in (said[::2], said[1::2]))
        halves[reader] = [voice_of(first), voice_of(second), voice_of(by_telephone(second))]
    print(f"\n{'names':12}{'false rejects':>15}{'false accepts':>15}{'by telephone':>15}{'':>15}")
    for threshold in (0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7):
        row = f"{threshold:<12}"
        for heard in (1, 2):
            own, other = [], []
            for saved_name, saved in halves.items():
                for name, voices in halves.items():
                    if saved[0] is not None and voices[heard] is not None:
                        (own if name == saved_name else other).append(float(saved[0] @ voices[heard]))
            rejects, accepts = (np.array(own) < threshold).sum(), (np.array(other) >= threshold).sum()
            row += f"{f'{rejects} of {len(own)}':>15}{f'{accepts} of {len(other)}':>15}"
        print(row, flush=True)


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="tiny.en")
    parser.add_argument("--seeds", type=int, default=14, help="conversations of each kind")
    parser.add_argument("--hours", type=float, default=4)
    parser.add_argument("--table", choices=("recordings", "channels", "conversations", "costs", "names"))
    parser.add_argument("--peak-of", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args(given)
    manifest()
    if options.peak_of:
        print_peak(options.peak_of)
        return
    tables = {
        "recordings": lambda: show_recordings(options.model),
        "channels": lambda: show_channels(options.model),
        "conversations": lambda: show_conversations(options.seeds),
        "costs": lambda: show_costs(options.hours),
        "names": show_names,
    }
    for name, table in tables.items():
        if options.table in (None, name):
            table()


if __name__ == "__main__":
    main()
