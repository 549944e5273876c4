"""Measure how soon the text is there after somebody stops, with live words and without them.

    python -m benchmarks.live_stop [--minutes 10 60] [--repeats 20] [--repeats-without 20] [--model base]
                                  [--diarize]

All minutes but the last are in the recording before: sent as chunks, and transcribed. Then the last minute
is spoken in real time, to a server of its own that begins with a copy of that state; each time it ends at
another place. With live it is streamed, and without it is posted in the recorder's chunks.

words       from `stop` to the last final on the client
done        from `stop` to `done`, when the client knows that it has all
completed   from `stop` (without live: from sending `finish`) to the job's `completed_at`

With `--diarize` speakers are told apart, too. Goal: `completed` at most 1 s later than without.

Goal with live: `done` within 1.5 s at p95, whatever the length; without: not slower than
`make bench-recording`.
"""

from __future__ import annotations

import argparse
import itertools
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import numpy as np

from benchmarks.chunked_recording import read_aloud, wav_bytes
from benchmarks.drift import Sound as Samples
from benchmarks.server import Server
from benchmarks.speaking import quantiles, site_of
from sessions_app.management.live_client import Live, Sound
from speech.types import SAMPLE_RATE, samples_to_ms

LAST_S = 60
EARLIER_S = 0.7
"""Each repeat ends so much earlier than the one before."""
CUTS_S = (5, 5, 10, 20, 30)
GOAL_S = 1.5


def cuts(samples: int) -> list[int]:
    """Return where the recorder cuts a recording of that length, in samples, with both ends."""
    lengths = itertools.chain(CUTS_S, itertools.repeat(CUTS_S[-1]))
    ends = itertools.accumulate((length * SAMPLE_RATE for length in lengths), initial=0)
    return [*itertools.takewhile(lambda end: end < samples, ends), samples]


def post(server: Server, session_id: str, number: int, chunk: Samples) -> None:
    file = {"file": (f"{number}.wav", wav_bytes(chunk))}
    path = f"/api/sessions/{session_id}/chunks/"
    server.client.post(path, data={"number": number}, files=file).raise_for_status()


@contextmanager
def prepared(samples: Samples, settings: dict[str, str], *, diarize: bool) -> Iterator[tuple[Path, str, str]]:
    """Give the folder of a server that has heard all of an unfinished recording, its id, and its job's."""
    with tempfile.TemporaryDirectory() as kept:
        with Server(workers=2, **settings) as server:
            asked = {"language": "en", "diarize": diarize}
            session = server.client.post("/api/sessions/", json=asked).raise_for_status().json()
            session_id, job_id = session["id"], session["job"]["id"]
            at = cuts(len(samples))
            for number, (start, end) in enumerate(itertools.pairwise(at)):
                post(server, session_id, number, samples[start:end])
            while True:
                cache = server.client.get(f"/api/sessions/{session_id}/cache/").raise_for_status().json()
                placed = (server.job(job_id)["duration_ms"] or 0) >= samples_to_ms(len(samples))
                if placed and not cache["waiting"] and not cache["running"]:
                    break
                time.sleep(0.5)
            server.stop()
            shutil.copytree(server.data_dir, Path(kept) / "data", symlinks=True)
        yield Path(kept) / "data", session_id, job_id


def completed_s(server: Server, job_id: str, stopped_at: float) -> float:
    return datetime.fromisoformat(server.wait(job_id)["completed_at"]).timestamp() - stopped_at


def with_live(server: Server, session_id: str, job_id: str, samples: Samples) -> tuple[float, ...]:
    """Stream the end of the recording. Return the seconds to the last word, to done, to completed."""
    sound = Sound()
    sound.write(samples.astype(np.int16).tobytes())
    sound.end()
    live = Live(site_of(server), session_id, sound, resume=True)
    last_at = 0.0
    for message in live.events():
        if message["type"] == "error":
            raise RuntimeError(message["detail"])
        if message.get("kind") == "final":
            last_at = time.time()
    done_at, stopped_at = time.time(), live.stopped_at
    assert stopped_at is not None
    words_s = max(0.0, last_at - stopped_at)
    return words_s, done_at - stopped_at, completed_s(server, job_id, stopped_at)


def without_live(server: Server, session_id: str, job_id: str, samples: Samples, n: int) -> tuple[float, ...]:
    """Post the end of the recording as it is spoken; `n` samples are there. Return the seconds to
    completed.
    """
    began_at = time.monotonic()
    at = cuts(len(samples))
    if n not in at:
        raise ValueError("The first part must end where the recorder cuts")
    for number in range(at.index(n), len(at) - 1):
        time.sleep(max(0.0, began_at + (at[number + 1] - n) / SAMPLE_RATE - time.monotonic()))
        stopped_at = time.time()
        post(server, session_id, number, samples[at[number] : at[number + 1]])
    finish = f"/api/sessions/{session_id}/finish/"
    server.client.post(finish, json={"chunks": len(at) - 1}).raise_for_status()
    return (completed_s(server, job_id, stopped_at),)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, nargs="+", default=[10, 60])
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--repeats-without", type=int, default=20, help="without live; 0: leave that out")
    parser.add_argument("--model", default="base")
    parser.add_argument("--diarize", action="store_true", help="tell speakers apart")
    asked = parser.parse_args()
    settings = {
        "LOCAL_MODEL": asked.model,
        "LIVE_HOSTS": str(os.cpu_count()),
        "SECRET_KEY": secrets.token_urlsafe(50),
        # The copies are begun long after the recording's last chunk.
        "ABANDONED_AFTER_S": "86400",
    }
    what = f"model {asked.model}" + ", speakers" * asked.diarize
    print(f"{what}, load {os.getloadavg()[0]:.1f} before anything was started")
    print(
        f"{'seconds from stop, p50/p95':34}{'words':>15}{'done':>15}{'completed':>15}{'most':>8}{'goal':>6}"
    )
    for minutes in asked.minutes:
        whole, _ = read_aloud(minutes)
        n = max(at for at in cuts(len(whole)) if at <= len(whole) - LAST_S * SAMPLE_RATE)
        with prepared(whole[:n], settings, diarize=asked.diarize) as (data, session_id, job_id):
            for live, repeats in ((True, asked.repeats), (False, asked.repeats_without)):
                if not repeats:
                    continue
                found = []
                for repeat in range(repeats):
                    samples = whole[: n + int((LAST_S - repeat * EARLIER_S) * SAMPLE_RATE)]
                    with Server(workers=2, data=data, **settings) as server:
                        server.wait_for_live_host()
                        if live:
                            found.append(with_live(server, session_id, job_id, samples))
                        else:
                            found.append(without_live(server, session_id, job_id, samples, n))
                columns = [list(column) for column in zip(*found, strict=True)]
                name = f"{len(whole) / SAMPLE_RATE / 60:.0f} minutes, live {'on' if live else 'off'}"
                figures = "".join(f"{quantiles(column):>15}" for column in columns).rjust(45)
                print(
                    f"{f'{name} ({repeats})':34}{figures}{max(columns[-1]):8.2f}{GOAL_S if live else '':>6}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
