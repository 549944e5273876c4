"""Measure the peak memory of a worker for a long and a short file, and of the web process during a large
upload.

    python -m benchmarks.memory [--hours 4] [--upload-mb 1024]

A worker's peak is the highest resident size of any worker process, sampled every 50 ms, from the upload to
"completed". Each file has its own server. Goals: the long file at most 1.2 times the 10-minute one; the web
process at most 50 MB above idle.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import soundfile

from benchmarks.long_recordings import long_english
from benchmarks.server import Server
from speech.types import SAMPLE_RATE

MB = 1024 * 1024


@contextmanager
def peak_rss(processes: Callable[[], list[psutil.Process]]) -> Iterator[list[int]]:
    """Give a list of one number: at the end, it is the highest resident size in bytes of any of the
    processes.
    """
    peak = [0]
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            for process in processes():
                try:
                    peak[0] = max(peak[0], process.memory_info().rss)
                except psutil.NoSuchProcess:
                    continue
            time.sleep(0.05)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


def worker_peak_mb(file: Path, model: str) -> float:
    with Server(workers=2, LOCAL_MODEL=model) as server, peak_rss(server.worker_processes) as peak:
        server.wait(server.upload(file, language="en")["job"]["id"], every_s=1)
    return peak[0] / MB


def web_peak_mb(file: Path) -> tuple[float, float]:
    """Return the size in MB when idle, and the peak while `file` is sent."""
    with Server(workers=1, MAX_UPLOAD_MB="4096") as server:
        web = psutil.Process(server.web.pid)
        # A small file is sent first, because what every upload loads is not a cost of a large one.
        small = file.with_name("small.wav")
        soundfile.write(small, np.zeros(SAMPLE_RATE, dtype=np.int16), SAMPLE_RATE)
        server.wait(server.upload(small)["job"]["id"])
        idle = web.memory_info().rss
        with peak_rss(lambda: [web]) as peak:
            server.upload(file)
    return idle / MB, peak[0] / MB


def large_wav(path: Path, size_mb: int) -> None:
    """Write noise, which cannot be compressed: 16-bit, 48 kHz, two channels."""
    rng = np.random.default_rng(1)
    with soundfile.SoundFile(path, "w", 48_000, 2, subtype="PCM_16") as file:
        for _ in range(size_mb):
            file.write(rng.integers(-3000, 3000, (MB // 4, 2), dtype=np.int16))
    assert path.stat().st_size >= size_mb * MB


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--hours", type=float, default=4)
    parser.add_argument("--upload-mb", type=int, default=1024)
    parser.add_argument("--model", default="base")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        upload = Path(folder) / "large.wav"
        large_wav(upload, given.upload_mb)
        idle, uploading = web_peak_mb(upload)
        upload.unlink()
        short, long = Path(folder) / "short.flac", Path(folder) / "long.flac"
        long_english(short, minutes=10)
        long_english(long, minutes=given.hours * 60)
        peaks = [worker_peak_mb(file, given.model) for file in (short, long)]
    print(f"\n{'worker, model ' + given.model:40}{'peak MB':>10}{'ratio':>8}")
    print(f"{'10 minutes':40}{peaks[0]:10.0f}{1:8.2f}")
    print(f"{f'{given.hours:g} hours':40}{peaks[1]:10.0f}{peaks[1] / peaks[0]:8.2f}")
    print(f"\n{'web process':40}{'MB':>10}{'above':>8}")
    print(f"{'idle':40}{idle:10.0f}{0:8.0f}")
    print(f"{f'during an upload of {given.upload_mb} MB':40}{uploading:10.0f}{uploading - idle:8.0f}")


if __name__ == "__main__":
    main()
