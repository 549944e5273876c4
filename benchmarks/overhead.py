"""Compare the time of a job with that of faster-whisper for the same file in one go.

    python -m benchmarks.overhead [--minutes 10] [--rounds 2] [--model base]

The job has two worker processes of one thread each, and is timed from the answer to the upload to
"completed". The engine is `WhisperModel.transcribe()` of the whole file in a separate process with its
default number of threads, once with the options of the product and once with faster-whisper's defaults. The
time to load the model counts on both sides. Goal: at most 0.75 of the engine with the same options.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.long_recordings import long_english
from benchmarks.server import MODELS, Server
from speech.engines.models import model_path

SEQUENTIAL = """
import sys, time
start = time.perf_counter()
from faster_whisper import WhisperModel
model = WhisperModel(sys.argv[1], device="cpu", compute_type="int8")
same = dict(word_timestamps=True, vad_filter=True, condition_on_previous_text=False)
segments, _ = model.transcribe(sys.argv[2], beam_size=5, **(same if sys.argv[3] == "same" else {}))
words = sum(len(s.text.split()) for s in segments)
print(time.perf_counter() - start, words)
"""


def sequential(model: str, file: Path, options: str) -> float:
    """Return how many seconds faster-whisper takes for the file in one go."""
    result = subprocess.run(
        [sys.executable, "-c", SEQUENTIAL, model, str(file), options],
        check=True,
        capture_output=True,
        text=True,
    )
    return float(result.stdout.split()[0])


def through_the_server(file: Path, model: str) -> float:
    """Return how many seconds a job for the file takes."""
    with Server(workers=2, ENGINE_THREADS="1", LOCAL_MODEL=model) as server:
        job_id = server.upload(file)["job"]["id"]
        start = time.perf_counter()
        server.wait(job_id)
        return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--model", default="base")
    given = parser.parse_args()
    times: dict[str, list[float]] = {"job": [], "same": [], "default": []}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "recording.flac"
        long_english(file, minutes=given.minutes)
        path = model_path(given.model, MODELS)
        for _ in range(given.rounds):
            times["same"].append(sequential(path, file, "same"))
            times["job"].append(through_the_server(file, given.model))
            times["default"].append(sequential(path, file, "default"))
    seconds = {name: statistics.median(values) for name, values in times.items()}
    print(f"\n{given.minutes:g} minutes of speech, model {given.model}, median of {given.rounds}\n")
    print(f"{'':44}{'seconds':>8}{'job / this':>12}")
    for name, label in (
        ("job", "job, 2 workers of 1 thread"),
        ("same", "faster-whisper in one go, same options"),
        ("default", "faster-whisper in one go, its defaults"),
    ):
        print(f"{label:44}{seconds[name]:8.1f}{seconds['job'] / seconds[name]:12.2f}")


if __name__ == "__main__":
    main()
