"""Make the recordings that the repository carries, from the texts below.

    python tests/audio/make_sample.py        (needs Debian's `flite`; run it only to change a text)

It writes, next to itself:

- `sample.mp3`: two voices in turn, about a minute; `make run` sends it through the API.
- `sample.txt`: what they say, one turn a line; the odd lines are the voice slt, the even ones rms.
- `hello_5s.wav`: one voice, 16 kHz mono, for tests that need real speech and no folder of recordings.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import av
import numpy as np
import soundfile

HERE = Path(__file__).resolve().parent
SAMPLE_RATE = 16_000
LEVEL_DBFS = -20.0
EDGE_S = 0.4
VOICES = ("slt", "rms")

HELLO = "Hello. This is a short test recording, with one voice and a clear sentence."

# Each turn, and the pause in seconds after it.
TURNS = (
    ("Hello, and welcome. This is a short recording with two voices. It shows what this service does.", 0.6),
    ("You can speak into your browser, or you can send a file that you already have. "
     "Both audio and video are welcome.", 0.7),
    ("And what happens then?", 0.4),
    ("The recording is cut into small pieces, and every cut is made where nobody speaks. "
     "So no word is lost, and no word is heard twice.", 0.8),
    ("That sounds good. How long do I have to wait for my text?", 0.5),
    ("Not long. The work begins while you are still speaking, "
     "so the transcript is ready a few seconds after you stop.", 0.7),
    ("Can I find a sentence again later?", 0.4),
    ("Yes. Every word has its time. Choose a word, and the player goes to that moment. "
     "You can also download the text, or captions for a video.", 0.9),
    ("And who else can listen to my recording?", 0.5),
    ("Only you. Your recordings stay on your own machine, and nobody else can hear them.", 0.7),
    ("Thank you. I will read this again while I drink my tea.", 0.0),
)  # fmt: skip


def speak(voice: str, text: str) -> np.ndarray:
    """The text in that voice: mono float samples at `SAMPLE_RATE`, without silence at its ends, levelled."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "speech.wav"
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(target)], check=True)
        samples, rate = soundfile.read(target, dtype="float64")
    if rate != SAMPLE_RATE:
        raise SystemExit(f"The voice {voice} speaks at {rate} Hz, not {SAMPLE_RATE} Hz: choose another.")
    loud = np.flatnonzero(np.abs(samples) > 0.01)
    samples = samples[loud[0] : loud[-1] + 1]
    samples *= 10 ** (LEVEL_DBFS / 20) / np.sqrt(np.mean(samples**2))
    return np.clip(samples, -0.99, 0.99)


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * SAMPLE_RATE))


def write_mp3(target: Path, samples: np.ndarray) -> None:
    pcm = (samples * 32767).astype(np.int16)
    with av.open(str(target), "w") as container:
        stream = container.add_stream("libmp3lame", rate=SAMPLE_RATE, layout="mono")
        stream.bit_rate = 48_000
        frame = av.AudioFrame.from_ndarray(pcm[np.newaxis], format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        # The encoder wants planar samples in frames of its own size.
        resampler = av.AudioResampler(
            format="s16p", layout="mono", rate=SAMPLE_RATE, frame_size=stream.frame_size
        )
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))


def main() -> None:
    pieces = [silence(EDGE_S)]
    for number, (text, pause_s) in enumerate(TURNS):
        pieces += [speak(VOICES[number % 2], text), silence(pause_s)]
    pieces.append(silence(EDGE_S))
    write_mp3(HERE / "sample.mp3", np.concatenate(pieces))
    (HERE / "sample.txt").write_text("".join(f"{text}\n" for text, _ in TURNS), encoding="utf-8")

    hello = np.concatenate([silence(EDGE_S), speak(VOICES[0], HELLO), silence(EDGE_S)])
    soundfile.write(HERE / "hello_5s.wav", hello, SAMPLE_RATE, subtype="PCM_16")


if __name__ == "__main__":
    main()
