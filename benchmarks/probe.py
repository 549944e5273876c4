"""Measure what probing costs an upload because it happens in a separate process.

    python -m benchmarks.probe [--files 100]

Files of a minute in six containers are probed in this process and in a child, in turns; then by eight threads
at once, as with many uploads. Goal: at most 60 ms more at p50.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from speech.probing.child import probe_safely
from speech.probing.probe import probe
from speech.types import MediaInfo
from tests.speech.sounds import Track, tone, write_media

KINDS = {
    "wav": ("pcm_s16le", 16_000),
    "mp3": ("libmp3lame", 16_000),
    "mp4": ("aac", 48_000),
    "ogg": ("libopus", 48_000),
    "matroska": ("libopus", 48_000),
    "flac": ("flac", 16_000),
}
AT_ONCE = 8


def timed(look: Callable[[Path], MediaInfo], path: Path) -> float:
    start = time.perf_counter()
    look(path)
    return 1000 * (time.perf_counter() - start)


def line(name: str, here: list[float], child: list[float]) -> str:
    figures = []
    for times in (here, child):
        figures += [statistics.median(times), statistics.quantiles(times, n=20)[-1]]
    more = figures[2] - figures[0]
    return f"{name:12}" + "".join(f"{figure:10.1f}" for figure in (*figures, more))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=100)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = {}
        for kind, (codec, rate) in KINDS.items():
            track = Track(tone(60, rate=rate), rate=rate, codec=codec)
            paths[kind] = write_media(Path(folder) / kind, track, kind=kind)
        first = timed(probe_safely, paths["wav"])
        assert all(probe_safely(path) == probe(path) for path in paths.values())
        print("milliseconds      p50       p95 | in child: p50       p95  more at p50")
        for kind, path in paths.items():
            both = [(timed(probe, path), timed(probe_safely, path)) for _ in range(asked.files)]
            print(line(kind, [here for here, _ in both], [child for _, child in both]))
        with ThreadPoolExecutor(AT_ONCE) as threads:
            many = [path for path in paths.values() for _ in range(asked.files // 4)]
            here = list(threads.map(lambda path: timed(probe, path), many))
            child = list(threads.map(lambda path: timed(probe_safely, path), many))
        print(line(f"{AT_ONCE} at once", here, child))
        print(f"the first one, which starts the server: {first:.0f} ms")


if __name__ == "__main__":
    main()
