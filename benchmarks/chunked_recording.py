"""Measure a recording that is sent in chunks while it is made: how soon its text is there, and how good it
is.

    python -m benchmarks.chunked_recording [--minutes 10 60] [--last-s 30 20 9 2] [--chunk-s 30]
                                           [--model base]

Each recording goes through the chunk API of a real server (web process, two workers of one thread, SQLite),
once for each length of its last chunk, so that it is cut at other places each time: every `--chunk-s`,
wherever that is. A chunk follows as soon as the workers have finished the earlier ones, which is faster than
real time. The last chunk and `finish` are sent when nothing is left to do, as in real time. All recordings
end with the same ten minutes. "10 minutes" are three rounds of
benchmarks.long_recordings.english_reading, "60" seventeen.

Stop to text: the time from sending `finish` to the job's `completed_at`. Two more times stand beside it,
measured on the idle machine with the model loaded: the same engine with one thread for a window of 29 s, the
longest while recording; and faster-whisper with the same options and all cores for the whole file in one go.
Goals: one window and 1.5 s; the longest recording at most 1.2 times the shortest.

Seams: the cuts between windows, as in benchmarks.quality. "Whole" is faster-whisper in one go. Goals: at most
0.5 points more; nothing lost; 1 word in 1,000 doubled.

Drift: the difference between the starts of words that both have, where three in a row are the same. Whisper's
word times jump by up to a second if a speaker pauses. So beside the drift stands the difference between two
runs over the whole file, the second of which begins in the first long pause. A timeline that shifts shows in
the median over time. Goal: within 300 ms.
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
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import soundfile

from benchmarks.drift import Heard, Sound, drift, first_pause, heard_word, show_drift
from benchmarks.long_recordings import english_reading
from benchmarks.quality import Row, at_cuts, print_row, total_row
from benchmarks.server import MODELS, Server
from speech.engines import load_engine
from speech.engines.base import RECORDING_WINDOW_S, EngineSettings, TranscribeOptions
from speech.engines.models import model_path
from speech.types import SAMPLE_RATE, samples_to_ms
from tests.speech.wer import errors, spoken_words

T = TypeVar("T")

ROUND_MINUTES = 3.6
LAST_ROUNDS = 3
GOAL_AFTER_WINDOW_S = 1.5
GOAL_GROWTH = 1.2

DETAILS = """
import json
from jobs_app.models import TranscriptionJob
job = TranscriptionJob.objects.get(pk={job!r})
print(json.dumps({{
    "planned_at": job.steps.get(kind="prepare").finished_at.timestamp(),
    "windows": [
        {{"text": w.raw_text, "heard_at": w.finished_at.timestamp() if w.finished_at else 0}}
        for w in job.windows.order_by("start_ms")
    ],
}}))
"""


@dataclass(frozen=True, slots=True)
class Stop:
    """The seconds from stop to text and their parts: planning the last windows, transcribing them,
    the rest.
    """

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


def read_aloud(minutes: float) -> tuple[Sound, str]:
    """Return about `minutes` of speech, and what is said."""
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
    """Cut the sound into chunks of `chunk_s`. The last has `last_s`, and the first has what remains."""
    chunk = int(chunk_s * SAMPLE_RATE)
    at = list(range(len(sound) - int(last_s * SAMPLE_RATE), 0, -chunk))
    return np.split(sound, at[::-1])


def wav_bytes(sound: Sound) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, sound, SAMPLE_RATE, format="WAV")
    return file.getvalue()


def record(server: Server, chunks: Sequence[Sound]) -> Recorded:
    """Send the chunks as a recorder does, and return what came of them."""
    client = server.client
    session = client.post("/api/sessions/", json={}).raise_for_status().json()
    path, job_id = f"/api/sessions/{session['id']}", session["job"]["id"]
    sent = 0
    for number, chunk in enumerate(chunks):
        is_last = number == len(chunks) - 1
        if number:
            # One of the two workers goes on. But before the stop, real time gives both of them time to
            # finish.
            _wait_for_worker(server, path, job_id, samples_to_ms(sent), running=0 if is_last else 1)
        file = {"file": (f"{number}.wav", wav_bytes(chunk))}
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
        [heard_word(w["word"], w["start_ms"]) for s in transcript["segments"] for w in s["words"]],
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


def in_own_process(function: Callable[..., T], *arguments: object) -> T:
    """Return the result of the function. The model that it loads is gone afterwards."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def one_window_s(model: str, sound: Sound) -> list[float]:
    """Return the times of the engine for windows of the longest kind from the last ten minutes, after one to
    warm up.
    """
    engine = load_engine("local", EngineSettings(model=model, model_dir=model_path(model, MODELS), threads=1))
    length = RECORDING_WINDOW_S[1] * SAMPLE_RATE
    times = []
    for first in range(max(0, len(sound) - 21 * length), len(sound) - length, 2 * length):
        samples = sound[first : first + length].astype(np.float32) / np.float32(32768)
        start = time.perf_counter()
        engine.transcribe(samples, TranscribeOptions())
        times.append(time.perf_counter() - start)
    return times[1:]


def whole(model: str, sound: Sound, first: int = 0) -> tuple[float, str, list[Heard]]:
    """Return seconds, text and words of faster-whisper in one go from sample `first`, with LocalEngine's
    options.
    """
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
        heard_word(word.word, offset_ms + round(word.start * 1000))
        for s in segments
        for word in s.words or ()
    ]
    return seconds, " ".join(segment.text for segment in segments), heard


def seams(text: str, one_go: str, windows: list[str]) -> Row:
    """Compare the windows with the whole file, as benchmarks.quality does."""
    said = spoken_words(text)

    def plain(some: str) -> list[str]:
        # As in benchmarks.quality, the usual normalization of English makes one number of "zero. One".
        return spoken_words(some, "")

    return Row(
        len(said),
        errors(said, spoken_words(one_go)),
        errors(said, spoken_words(" ".join(windows))),
        len(windows) - 1,
        *at_cuts(plain(text), plain(one_go), [plain(window) for window in windows]),
    )


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
        sound, text = read_aloud(minutes)
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
        print_row(label, row)
    everything = print_row("all", total_row([row for _, row in rows]))
    for kind, places in (("lost", everything.lost), ("doubled", everything.doubled)):
        for place in places:
            print(f"{kind}: {place}")


if __name__ == "__main__":
    main()
