"""Measure live words by the clock: a real site, the real model, recordings that are streamed as they are
spoken.

    python -m benchmarks.live_site [--sessions 1 4 8 20] [--seconds 120] [--model base] [--away-s 20]

`make bench-live` measures the same in virtual time, of one recording on a free core; these figures are of
this machine with all that runs on it. `busy` says how much of it was.

one         each recording with a text is streamed alone, in its language: when its words appear, what they
            cost, and their errors beside those of the whole file, and of the text after it was heard again
many        so many sessions at once, each with the English recordings in another order, for --seconds
resume      one session whose network is away for --away-s in the middle

first       from the end of a word to the first text on the client that shows it
final       from the end of a word to the final that holds it; `end` is that of the last words of utterances
interims    of those that were due, one for each second of speech, so many came
CPU         processor seconds of the live hosts per second of audio; `web` in percent of a core

Recordings on which the pauses of utterances were chosen are left out.
"""

from __future__ import annotations

import argparse
import os
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import numpy as np
from faster_whisper import decode_audio

from benchmarks.chunked_recording import in_own_process
from benchmarks.live import Figures
from benchmarks.long_recordings import FOLDER, manifest
from benchmarks.server import MODELS, Server
from benchmarks.speaking import Costs, Spoken, ends_of, interims_share, quantiles, site_of, speak
from sessions_app.management.live_client import Message
from speech.engines import load_engine
from speech.engines.base import EngineSettings, TranscribeOptions
from speech.engines.models import model_path
from speech.live.listening import Final, Interim
from speech.samples import Samples
from speech.types import SAMPLE_RATE, SpeechSegment, Word
from tests.acceptance.tus.slow_line import SlowLine
from tests.speech.wer import errors, spoken_words

CHOSEN_ON = {"en_jfk_11s.flac", "en_two_cities_44s.m4a"}
SETTINGS = {
    "LIVE_HOSTS": str(os.cpu_count()),
    "LIVE_SOCKETS_PER_USER": "1000",
    "MAX_OPEN_RECORDINGS": "1000",
    "LIVE_SESSIONS": "20",
}
TOGETHER_S = 0.25
"""Finals that come within this time are of one utterance."""


def figures_of(server: Server, spoken: Spoken) -> Figures:
    """Return when words appeared and how they changed. Their times are from the transcript."""
    figures = Figures(audio_s=spoken.audio_s)
    server.wait(spoken.job_id)
    transcript = server.client.get(f"/api/jobs/{spoken.job_id}/transcript.json").raise_for_status().json()
    words = {
        segment["start_ms"]: [Word(w["start_ms"], w["end_ms"], w["word"], 1.0) for w in segment["words"]]
        for segment in transcript["segments"]
    }
    shown: list[tuple[float, Interim | Final]] = []
    finals: list[Message] = []
    last_s = 0.0

    def utterance() -> None:
        segments = tuple(
            SpeechSegment(f["start_ms"], f["end_ms"], f["text"], None, tuple(words.get(f["start_ms"], ())))
            for f in finals
        )
        if any(segment.words for segment in segments):
            shown.append((last_s, Final(0, 0, segments, "", None)))
        finals.clear()

    for at_s, message in spoken.events:
        if message["type"] != "segment":
            continue
        if finals and (message["kind"] == "interim" or at_s - last_s > TOGETHER_S):
            utterance()
        if message["kind"] == "final":
            finals.append(message)
            last_s = at_s
        elif message["text"]:
            interim = Interim(message["start_ms"], message["end_ms"], message["text"], message["firm"])
            shown.append((at_s, interim))
    utterance()
    figures.add_events(shown)
    return figures


HEADINGS = (
    f"{'':38}{'first':>15}{'final':>15}{'end':>15}{'interims':>9}{'flicker':>8}{'firm':>6}"
    f"{'lag':>6}{'CPU':>7}{'web %':>7}{'refused':>8}{'busy':>6}"
)


def row(name: str, figures: Figures, spoken: list[Spoken], costs: Costs) -> str:
    per_100 = 100 / max(figures.words, 1)
    heard = [one for one in spoken if not one.is_refused]
    interims = sum(map(interims_share, heard)) / max(len(heard), 1)
    return (
        f"{name:38}  {quantiles(figures.first_s)}  {quantiles(figures.final_s)}"
        f"  {quantiles([end for one in heard for end in ends_of(one)])}"
        f"{interims:8.0%} {figures.flicker * per_100:8.1f}{figures.firm_changed * per_100:6.1f}"
        f"{max((one.most_lag_s for one in spoken), default=0):6.1f}"
        f"{costs.hosts_s / max(sum(one.audio_s for one in heard), 1):7.3f}"
        f"{100 * costs.web_s / costs.seconds:7.1f}{len(spoken) - len(heard):8}{costs.machine:5.0f}%"
    )


GOALS = f"""
{"goals, of 2 free cores":38}{"first":>15}{"final":>15}{"end":>15}
{"1 session":38}    1.30/  2.90    4.20/ 12.00      - /  2.20
{"  of languages other than English in ( )":38}  flicker 18 (35), firm 5 (10), CPU 0.35
{"4 sessions":38}    1.70/  3.20
{"20 sessions":38}       - /   -    6.00/ 18.00"""


def whole_texts(model: str, recordings: list[tuple[str, Samples, str]]) -> list[str]:
    """Return what the product's engine hears in the whole files."""
    engine = load_engine("local", EngineSettings(model=model, model_dir=model_path(model, MODELS)))
    return [
        " ".join(s.text for s in engine.transcribe(samples, TranscribeOptions(language=language)).segments)
        for _, samples, language in recordings
    ]


def refined_text(server: Server, spoken: Spoken, within_s: float = 120) -> str | None:
    """Return the text after the recording was heard again; None where that did not come."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        job = server.client.get(f"/api/sessions/{spoken.session_id}/").raise_for_status().json()["job"]
        if job["id"] != spoken.job_id and job["status"] == "completed":
            return str(server.client.get(f"/api/jobs/{job['id']}/transcript.txt").raise_for_status().text)
        time.sleep(0.5)
    return None


def alone(
    server: Server, recordings: list[tuple[str, Samples, str]], texts: dict[str, str], model: str
) -> None:
    """Stream each recording alone, and print a row of each."""
    wholes = in_own_process(whole_texts, model, recordings)
    everything, all_spoken = Figures(), []
    found = np.zeros(4, int)
    print("\n" + HEADINGS)
    with Costs(server) as all_costs:
        for (name, samples, language), whole in zip(recordings, wholes, strict=True):
            with Costs(server) as costs:
                spoken = speak(site_of(server), samples, language)
            figures = figures_of(server, spoken)
            print(row(name, figures, [spoken], costs), flush=True)
            everything.add(figures)
            all_spoken.append(spoken)
            said = spoken_words(texts[name], language)
            again = refined_text(server, spoken)
            found += [len(said)] + [
                errors(said, spoken_words(text, language)) if text is not None else 0
                for text in (spoken.text, whole, again)
            ]
            if again is None:
                print(f"{name}: was not heard again within two minutes", flush=True)
    print(row("all", everything, all_spoken, all_costs))
    words, finals, whole_errors, refined = found
    points = 100 * (finals - whole_errors) / words
    print(
        f"\nerrors in {words} words: finals {finals} ({finals / words:.1%}), whole file {whole_errors} "
        f"({whole_errors / words:.1%}), heard again {refined} ({refined / words:.1%}); "
        f"finals behind by {points:.1f} points, goal 1.5"
    )


def many(server: Server, n: int, recordings: list[tuple[str, Samples, str]], seconds: float) -> None:
    """Stream `n` recordings at once, and print a row of all."""
    english = [samples for _, samples, language in recordings if language == "en"]
    pause = np.zeros(SAMPLE_RATE // 2, np.float32)
    sounds: list[Samples] = []
    for first in range(n):
        order = [english[(first + k) % len(english)] for k in range(len(english))]
        sound = np.concatenate([part for samples in order for part in (samples, pause)])
        sounds.append(np.resize(sound, int(seconds * SAMPLE_RATE)))
    with Costs(server) as costs, ThreadPoolExecutor(n) as pool:
        spoken = list(pool.map(lambda sound: speak(site_of(server), sound, "en"), sounds))
    everything = Figures()
    for one in spoken:
        if not one.is_refused:
            everything.add(figures_of(server, one))
    print(row(f"{n} sessions, {seconds:g} s each", everything, spoken, costs), flush=True)


def resume(server: Server, sound: Samples, away_s: float) -> None:
    """Stream one recording whose network goes away, and one whose does not. Print what it cost."""
    line = SlowLine(int(urlsplit(server.url).port or 0))
    try:
        spoken = speak(site_of(server, line.port), sound, "en", line, away_s)
    finally:
        line.close()
    whole = speak(site_of(server), sound, "en")
    again_s, ready = next((at, m) for at, m in reversed(spoken.events) if m["type"] == "ready")
    lost_s = next(at for at, m in spoken.events if m["type"] == "lost")
    caught_up_s = next(
        (
            at
            for at, m in spoken.events
            if at >= again_s and m["type"] == "segment" and at - m["end_ms"] / 1000 < 3
        ),
        float("nan"),
    )
    before, after = spoken_words(whole.text), spoken_words(spoken.text)
    to_send_s = again_s - ready["received_ms"] / 1000
    print(
        f"\nnetwork away for {again_s - lost_s:.1f} s: {to_send_s:.1f} s of audio were to be sent; "
        f"words were again less than 3 s late {caught_up_s - again_s:.1f} s after `ready`, goal 6; "
        f"{errors(before, after)} of {len(before)} words differ from a session without a drop"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sessions", type=int, nargs="*", default=[1, 4, 8, 20])
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--away-s", type=float, default=20, help="0: leave that out")
    parser.add_argument("--model", default="base")
    parser.add_argument(
        "names", nargs="*", help="recordings to stream alone; without any, all that have a text"
    )
    asked = parser.parse_args()
    chosen = [r for r in manifest() if r.get("expect") == "transcript" and r["file"] not in CHOSEN_ON]
    texts = {r["file"]: r["text"] for r in chosen}
    recordings = [
        (r["file"], decode_audio(str(FOLDER / r["file"])), r.get("language") or "en") for r in chosen
    ]
    named = [one for one in recordings if not asked.names or one[0] in asked.names]
    load = f"load {os.getloadavg()[0]:.1f} before anything was started"
    print(f"model {asked.model}, {os.cpu_count()} cores, {load}")
    with Server(workers=2, LOCAL_MODEL=asked.model, **SETTINGS) as server:
        server.wait_for_live_host()
        # The first session loads the model.
        speak(site_of(server), recordings[0][1][: 5 * SAMPLE_RATE], "en")
        if 1 in asked.sessions:
            alone(server, named, texts, asked.model)
        print("\n" + HEADINGS)
        for n in asked.sessions:
            if n > 1:
                many(server, n, recordings, asked.seconds)
        if asked.away_s:
            sound = np.concatenate([samples for _, samples, language in recordings if language == "en"])
            resume(server, sound[: int((asked.away_s + 50) * SAMPLE_RATE)], asked.away_s)
    print(GOALS)


if __name__ == "__main__":
    main()
