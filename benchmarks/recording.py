"""A recording that is sent in chunks while it is made: how soon its text is there, and how good it is.

python -m benchmarks.recording [--minutes 10 60] [--last-s 30 20 9 2] [--chunk-s 30] [--model base]

Each recording goes through the chunk API of a real server (web process, two workers of one thread, SQLite),
once for each length of its last chunk, so that it is cut elsewhere each time: every `--chunk-s`, wherever
that is. Chunks follow each other as fast as the workers are done with the former ones, faster than real
time; the last one and `finish` are sent when nothing is left to do, as in real time. All recordings end with
the same ten minutes. "10 minutes" are three rounds of benchmarks.recordings.english_reading, "60" seventeen.

Stop to text: from sending `finish` to the job's `completed_at`. Beside it, on the idle machine and with the
model loaded: the same engine with one thread for one window of the longest kind while recording, 29 s, and
faster-whisper with the same options and all cores for the whole file in one go.
Goals: one window and 1.5 s; the longest recording at most 1.2 times the shortest.

Seams: as in benchmarks.quality, at the cuts between windows. "Whole" is faster-whisper in one go.
Goals: at most 0.5 points more; nothing lost; 1 word in 1,000 doubled.

Drift: starts of the words that both have, where three in a row are the same. Whisper's word times jump by
up to a second where a speaker pauses: beside it stands how far apart they are in two runs over the whole
file, of which the second begins in its first long pause. A timeline that
shifts shows in the median over time.
Goal: within 300 ms.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, TypeVar

import jiwer
import numpy as np
import numpy.typing as npt
import soundfile

from benchmarks.quality import Row, at_cuts, show, total
from benchmarks.recordings import english_reading
from benchmarks.server import MODELS, Server
from speech.engines import load_engine
from speech.engines.base import RECORDING_WINDOW_S, EngineSettings, TranscribeOptions
from speech.engines.models import model_path
from speech.types import SAMPLE_RATE, Span, ms_to_samples, samples_to_ms
from speech.voice_activity import SpeechDetector
from tests.speech.wer import errors, spoken_words

T = TypeVar("T")
Sound = npt.NDArray[np.int16]

ROUND_MINUTES = 3.6
LAST_ROUNDS = 3
GOAL_AFTER_WINDOW_S = 1.5
GOAL_GROWTH = 1.2
GOAL_DRIFT_MS = 300
SAME_WORDS = 3
DRIFT_SPAN_MS = 5 * 60_000

DETAILS = """
import json
from jobs_app.models import TranscriptionJob
job = TranscriptionJob.objects.get(pk={job!r})
print(json.dumps({{
    "planned_at": job.jobsteps.get(kind="prepare").finished_at.timestamp(),
    "windows": [
        {{"text": w.raw_text, "heard_at": w.finished_at.timestamp() if w.finished_at else 0}}
        for w in job.chunktranscriptions.order_by("start_ms")
    ],
}}))
"""


@dataclass(frozen=True, slots=True)
class Heard:
    """A word in lower case, and when it starts."""

    word: str
    start_ms: int


@dataclass(frozen=True, slots=True)
class Stop:
    """The seconds from stop to text and their parts: planning the last windows, hearing them, the rest."""

    seconds: float
    planning: float
    hearing: float
    joining: float
    windows: int


@dataclass(frozen=True, slots=True)
class Recorded:
    stop: Stop
    windows: list[str]
    heard: list[Heard]


def reading(minutes: float) -> tuple[Sound, str]:
    """About so many minutes of speech, and what is said."""
    rounds = max(1, round(minutes / ROUND_MINUTES))
    last = min(rounds, LAST_ROUNDS)
    sounds, texts = [], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "part.wav"
        for some, seed in ((rounds - last, 2), (last, 1)):
            if some:
                texts.append(english_reading(path, rounds=some, seed=seed))
                sounds.append(soundfile.read(path, dtype="int16")[0])
    return np.concatenate(sounds), "\n".join(texts)


def cut(sound: Sound, chunk_s: float, last_s: float) -> list[Sound]:
    """In chunks of `chunk_s`, the last of `last_s`, the first of what remains."""
    chunk = int(chunk_s * SAMPLE_RATE)
    at = list(range(len(sound) - int(last_s * SAMPLE_RATE), 0, -chunk))
    return np.split(sound, at[::-1])


def wav(sound: Sound) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, sound, SAMPLE_RATE, format="WAV")
    return file.getvalue()


def record(server: Server, chunks: Sequence[Sound]) -> Recorded:
    client = server.client
    session = client.post("/api/sessions/", json={}).raise_for_status().json()
    path, job_id = f"/api/sessions/{session['id']}", session["job"]["id"]
    sent = 0
    for number, chunk in enumerate(chunks):
        is_last = number == len(chunks) - 1
        if number:
            # One of the two workers goes on; but before the stop, real time leaves both time to end.
            _wait_for_worker(server, path, job_id, samples_to_ms(sent), running=0 if is_last else 1)
        file = {"file": (f"{number}.wav", wav(chunk))}
        client.post(f"{path}/chunks/", data={"number": number}, files=file).raise_for_status()
        sent += len(chunk)
    stopped = time.time()
    client.post(f"{path}/finish/", json={"chunks": len(chunks)}).raise_for_status()
    job = server.wait(job_id, every_s=0.25)
    if job["gaps"] or job["duration_ms"] != samples_to_ms(sent):
        raise RuntimeError(f"{job['duration_ms']} of {samples_to_ms(sent)} ms arrived, gaps: {job['gaps']}")
    transcript = client.get(f"/api/jobs/{job_id}/transcript.json").raise_for_status().json()
    details = json.loads(server.manage("shell", "-v", "0", "-c", DETAILS.format(job=job_id)))
    completed = datetime.fromisoformat(job["completed_at"]).timestamp()
    late = [w["heard_at"] for w in details["windows"] if w["heard_at"] > stopped]
    planned = details["planned_at"]
    heard = max([planned, *late])
    return Recorded(
        Stop(completed - stopped, planned - stopped, heard - planned, completed - heard, len(late)),
        [w["text"] for w in details["windows"]],
        [_heard(w["word"], w["start_ms"]) for s in transcript["segments"] for w in s["words"]],
    )


def _wait_for_worker(server: Server, path: str, job_id: str, sent_ms: int, *, running: int) -> None:
    while True:
        cache = server.client.get(f"{path}/cache/").raise_for_status().json()
        if cache["failed"]:
            raise RuntimeError(f"A window failed: {server.job(job_id)}")
        planned = (server.job(job_id)["duration_ms"] or 0) >= sent_ms
        if planned and not cache["waiting"] and cache["running"] <= running:
            return
        time.sleep(0.2)


def _heard(word: str, start_ms: int) -> Heard:
    return Heard("".join(filter(str.isalnum, word.lower())), start_ms)


def in_own_process(function: Callable[..., T], *arguments: object) -> T:
    """Its result; the model that it loads is gone afterwards."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def one_window_s(model: str, sound: Sound) -> list[float]:
    """What the engine takes for windows of the longest kind out of the last ten minutes, after one more."""
    engine = load_engine("local", EngineSettings(model=model, model_dir=model_path(model, MODELS), threads=1))
    length = RECORDING_WINDOW_S[1] * SAMPLE_RATE
    times = []
    for first in range(max(0, len(sound) - 21 * length), len(sound) - length, 2 * length):
        samples = sound[first : first + length].astype(np.float32) / np.float32(32768)
        start = time.perf_counter()
        engine.transcribe(samples, TranscribeOptions())
        times.append(time.perf_counter() - start)
    return times[1:]


def first_pause(sound: Sound) -> int:
    """The middle of the longest pause from 5 to 15 s, in samples."""
    detector = SpeechDetector()
    detector.feed(sound[: 20 * SAMPLE_RATE])
    pauses = [Span(a.end_ms, b.start_ms) for a, b in pairwise(detector.finish())]
    longest = max((p for p in pauses if 5_000 < p.start_ms < 15_000), key=lambda pause: pause.duration_ms)
    return ms_to_samples((longest.start_ms + longest.end_ms) // 2)


def whole(model: str, sound: Sound, first: int = 0) -> tuple[float, str, list[Heard]]:
    """Seconds, text and words of faster-whisper in one go from sample `first`, with LocalEngine's options."""
    from faster_whisper import WhisperModel

    engine = WhisperModel(model_path(model, MODELS), device="cpu", compute_type="int8")
    samples = sound[first:].astype(np.float32) / np.float32(32768)
    start = time.perf_counter()
    found, _ = engine.transcribe(
        samples, beam_size=5, word_timestamps=True, vad_filter=True, condition_on_previous_text=False
    )
    segments = list(found)
    seconds = time.perf_counter() - start
    offset_ms = samples_to_ms(first)
    heard = [
        _heard(word.word, offset_ms + round(word.start * 1000)) for s in segments for word in s.words or ()
    ]
    return seconds, " ".join(segment.text for segment in segments), heard


def seams(text: str, one_go: str, windows: list[str]) -> Row:
    said = spoken_words(text)

    def plain(some: str) -> list[str]:
        # As in benchmarks.quality: what is usual for English makes one number of "zero. One".
        return spoken_words(some, "")

    return Row(
        len(said),
        errors(said, spoken_words(one_go)),
        errors(said, spoken_words(" ".join(windows))),
        len(windows) - 1,
        *at_cuts(plain(text), plain(one_go), [plain(window) for window in windows]),
    )


def drift(one_go: Sequence[Heard], heard: Sequence[Heard]) -> list[tuple[int, int]]:
    """For each word that both have: when it starts, and how much later it does in the recording, in ms."""
    before, after = [w for w in one_go if w.word], [w for w in heard if w.word]
    found = jiwer.process_words(" ".join(w.word for w in before), " ".join(w.word for w in after))
    pairs: list[tuple[Heard, Heard]] = []
    for same in found.alignments[0]:
        if same.type == "equal" and same.ref_end_idx - same.ref_start_idx >= SAME_WORDS:
            pairs += zip(
                before[same.ref_start_idx : same.ref_end_idx],
                after[same.hyp_start_idx : same.hyp_end_idx],
                strict=True,
            )
    return [(a.start_ms, b.start_ms - a.start_ms) for a, b in pairs]


def show_stops(
    stops: dict[str, list[tuple[str, Stop]]], alone: list[float], wholes: dict[str, float]
) -> None:
    print(f"\n{'seconds from stop to text':40}{'all':>8}{'planning':>10}{'windows':>9}{'':>8}{'joining':>9}")
    for runs in stops.values():
        for name, stop in runs:
            print(
                f"{name:40}{stop.seconds:8.2f}{stop.planning:10.2f}{stop.windows:9}{stop.hearing:8.2f}"
                f"{stop.joining:9.2f}"
            )
    print(f"\n{'':40}{'median':>8}{'most':>10}{'whole file at once':>21}")
    medians = []
    for name, runs in stops.items():
        seconds = [stop.seconds for _, stop in runs]
        medians.append(statistics.median(seconds))
        print(f"{name:40}{medians[-1]:8.2f}{max(seconds):10.2f}{wholes[name]:21.1f}")
    window = statistics.median(alone)
    print(f"{'one window of 29 s, one thread':40}{window:8.2f}{max(alone):10.2f}")
    print(f"{'goal: one window and 1.5 s':40}{window + GOAL_AFTER_WINDOW_S:8.2f}")
    if len(medians) > 1:
        growth = medians[-1] / medians[0]
        print(f"{f'longest / shortest, goal {GOAL_GROWTH}':40}{growth:8.2f}")


def show_drift(drifts: dict[str, list[tuple[int, int]]]) -> None:
    print(
        f"\n{'milliseconds between word times':40}{'words':>8}{'median':>8}{'p99':>8}{'most':>8}"
        f"{f'within {GOAL_DRIFT_MS}':>13}"
    )
    for name, found in drifts.items():
        sizes = np.abs([ms for _, ms in found])
        print(
            f"{name:40}{len(sizes):8}{np.median(sizes):8.0f}{np.quantile(sizes, 0.99):8.0f}{sizes.max():8}"
            f"{100 * np.mean(sizes <= GOAL_DRIFT_MS):11.2f} %"
        )
    for name, found in drifts.items():
        print(f"{name}: median shift of each 5 minutes, in ms:")
        spans = groupby(sorted(found), key=lambda pair: pair[0] // DRIFT_SPAN_MS)
        print("   " + " ".join(f"{statistics.median(ms for _, ms in pairs):+.0f}" for _, pairs in spans))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, nargs="+", default=[10, 60])
    parser.add_argument(
        "--last-s", type=float, nargs="+", default=[30, 20, 9, 2], help="lengths of last chunks"
    )
    parser.add_argument("--chunk-s", type=float, default=30)
    parser.add_argument("--model", default="base")
    given = parser.parse_args()
    stops: dict[str, list[tuple[str, Stop]]] = {}
    drifts: dict[str, list[tuple[int, int]]] = {}
    wholes: dict[str, float] = {}
    rows: list[tuple[str, Row]] = []
    alone: list[float] = []
    settings: dict[str, Any] = {"ENGINE_THREADS": "1", "LOCAL_MODEL": given.model}
    for minutes in sorted(given.minutes):
        sound, text = reading(minutes)
        name = f"{len(sound) / SAMPLE_RATE / 60:.1f} minutes"
        alone = alone or in_own_process(one_window_s, given.model, sound)
        wholes[name], one_go, words = in_own_process(whole, given.model, sound)
        stops[name], drifts[name] = [], []
        _, _, again = in_own_process(whole, given.model, sound, first_pause(sound))
        drifts[f"{name}, whole file twice"] = drift(words, again)
        with Server(workers=2, **settings) as server:
            for last_s in given.last_s:
                recorded = record(server, cut(sound, given.chunk_s, last_s))
                label = f"{name}, chunks of {given.chunk_s:g} s, last {last_s:g} s"
                stops[name].append((label, recorded.stop))
                drifts[name] += drift(words, recorded.heard)
                rows.append((label, seams(text, one_go, recorded.windows)))
    print(f"\nmodel {given.model}")
    show_stops(stops, alone, wholes)
    show_drift(drifts)
    print(f"\n{'':40}{'words':>6}{'whole':>8}{'windows':>9}{'more':>7}{'cuts':>6}{'lost':>6}{'doubled':>9}")
    for label, row in rows:
        show(label, row)
    everything = show("all", total([row for _, row in rows]))
    for kind, places in (("lost", everything.lost), ("doubled", everything.doubled)):
        for place in places:
            print(f"{kind}: {place}")


if __name__ == "__main__":
    main()
