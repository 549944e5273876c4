"""Compare a job for a whole file with the best that can be written by hand with faster-whisper.

    python -m benchmarks.overhead [--readings 3] [--model base] [--language en] [--by-hand 0,1,2,4,8]

The file is real English recordings, read `--readings` times in random order: three are 11 minutes. All rows
have the same beam, voice activity and word times. Loading the model and decoding the file count everywhere.

    job         two workers of one thread, from the answer to the upload to "completed"
    batch of N  one process of one thread for each half of the file, each with faster-whisper's
                BatchedInferencePipeline; the slower one counts
    one pass    WhisperModel.transcribe() of the whole file, with faster-whisper's own number of threads

`cpu s` is the processor time of all processes, `MB` the highest resident size of any of them, `wrong` the
words wrong against what was said. Goal: at most 1.1 of the best batch up to 4, in 700 MB a worker. A larger
batch is printed as what more memory would bring.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.long_recordings import english_reading
from benchmarks.server import MODELS, Server
from speech.engines.models import model_path
from tests.speech.wer import errors, spoken_words

PROCESSES = 2
BY_HAND = """
import json, resource, sys
from faster_whisper import BatchedInferencePipeline, WhisperModel, decode_audio
given = json.loads(sys.argv[1])
model = WhisperModel(given["model"], device="cpu", compute_type="int8", cpu_threads=given["threads"])
audio = decode_audio(given["file"])
size = -(-len(audio) // given["parts"])
audio = audio[given["part"] * size :][:size]
batch = {"batch_size": given["batch"]} if given["batch"] else {}
segments, _ = (BatchedInferencePipeline(model) if batch else model).transcribe(
    audio, language=given["language"] or None, beam_size=5, word_timestamps=True, vad_filter=True,
    condition_on_previous_text=False, **batch,
)
text = " ".join(segment.text for segment in segments)
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([text, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))
"""


@dataclass(frozen=True, slots=True)
class Result:
    text: str
    seconds: float
    cpu_s: float
    peak_mb: float


def by_hand(file: Path, model: str, language: str, *, batch: int) -> Result:
    """Transcribe the file in PROCESSES parts at once, or in one pass without a `batch`."""
    parts = PROCESSES if batch else 1
    # 0 leaves the number of threads to faster-whisper.
    given = {"model": model, "file": str(file), "language": language, "batch": batch, "parts": parts}
    given["threads"] = 1 if batch else 0
    environment = os.environ | ({"OMP_NUM_THREADS": "1"} if batch else {})
    start = time.perf_counter()
    running = [
        subprocess.Popen(
            [sys.executable, "-c", BY_HAND, json.dumps(given | {"part": part})],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            text=True,
        )
        for part in range(parts)
    ]
    answers = [json.loads(process.communicate()[0]) for process in running]
    seconds = time.perf_counter() - start
    return Result(
        " ".join(text for text, _, _ in answers),
        seconds,
        sum(cpu_s for _, cpu_s, _ in answers),
        max(peak_mb for _, _, peak_mb in answers),
    )


def by_job(file: Path, model: str, language: str) -> Result:
    with Server(workers=PROCESSES, ENGINE_THREADS="1", LOCAL_MODEL=model) as server:

        def cpu_s() -> float:
            running = [psutil.Process(pid) for pid in (server.web.pid, server.runner.pid)]
            return sum(sum(process.cpu_times()[:4]) for process in [*running, *server.worker_processes()])

        used_s = cpu_s()
        job_id = server.upload(file, **({"language": language} if language else {}))["job"]["id"]
        start = time.perf_counter()
        server.wait(job_id)
        seconds = time.perf_counter() - start
        used_s = cpu_s() - used_s
        peak_mb = max(_peak_mb(process.pid) for process in server.worker_processes())
        transcript = server.client.get(f"/api/jobs/{job_id}/transcript.txt").raise_for_status().text
    return Result(transcript, seconds, used_s, peak_mb)


def _peak_mb(pid: int) -> float:
    """Return the highest resident size that a process has had."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM:"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--readings", type=int, default=3)
    parser.add_argument("--model", default="base")
    parser.add_argument("--language", default="", help="without it, all detect the language")
    parser.add_argument("--by-hand", default="0,1,2,4,8", help="sizes of batches; 0 is one pass")
    given = parser.parse_args()
    results: dict[str, Result] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "recording.flac"
        said = spoken_words(english_reading(file, rounds=given.readings))
        results["job"] = by_job(file, given.model, given.language)
        path = model_path(given.model, MODELS)
        for batch in map(int, given.by_hand.split(",")):
            name = f"by hand, batch of {batch}" if batch else "by hand, one pass"
            results[name] = by_hand(file, path, given.language, batch=batch)
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    print(
        f"\nmodel {given.model}, language {given.language or 'detected'}, {len(said)} words; "
        f"load {load}; the job divided by each\n"
    )
    print(f"{'':24}{'seconds':>9}{'cpu s':>8}{'job / this':>12}{'cpu':>7}{'MB':>7}{'wrong':>7}")
    job = results["job"]
    for name, result in results.items():
        wrong = errors(said, spoken_words(result.text))
        print(
            f"{name:24}{result.seconds:9.1f}{result.cpu_s:8.1f}{job.seconds / result.seconds:12.2f}"
            f"{job.cpu_s / result.cpu_s:7.2f}{result.peak_mb:7.0f}{wrong:7}"
        )


if __name__ == "__main__":
    main()
