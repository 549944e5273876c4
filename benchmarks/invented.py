"""Count words that nobody said, and check whether hints help with words that are said.

    python -m benchmarks.invented [--model base tiny.en] [--seeds 3] [--table invented]

First table: sounds without words go through the local engine as in a job, without hints and with hints of
three kinds. It shows words per minute that are not a sigh, hum or laugh ("mm", "uh", "ha"). Goal: 0.

Second table: a synthesiser (espeak-ng, else flite) reads sentences with names. The table shows how many names
come out as they are written, without hints and with the names as hints.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from faster_whisper import decode_audio

from benchmarks.long_recordings import FOLDER, manifest
from benchmarks.server import MODELS
from speech.engines import load_engine
from speech.engines.base import Engine, EngineSettings, TranscribeOptions
from speech.engines.hints import compared_words
from speech.engines.models import model_path
from speech.samples import Samples
from speech.types import SAMPLE_RATE
from tests.speech.wordless import SEEDED, WORDLESS

HINTS = {
    "none": "",
    "people": "The participants are Dr. Okonkwo-Whitfield, Siobhan Ng, and Xavier. "
    "Topics: Kubernetes, tachycardia, amoxicillin.",
    "drugs": "amoxicillin, metoprolol, tachycardia, pantoprazole, ramipril",
    "products": "Kubernetes, Grafana, PostgreSQL, Terraform, Ansible",
}
# A person who hums or laughs really said these.
VOCAL = re.compile(r"m+|h+m+|m*h*u+h*[mh]*|[aeo]+h*|a+h+|([hm]?[aeou]*h+[aeou]*)+|mm|um|e+r+m*")
SPOKEN_HUMS = ("mmm. hmm. mmm.", "uh", "ha ha ha ha ha", "ahem")
SENTENCE = Path("tests/audio/hello_5s.wav")
SENTENCE_WORDS = "Hello. This is a short test recording, with one voice and a clear sentence."
ROW = "{:26}" + "{:>10}" * len(HINTS)

# The texts that are read, and the names in each.
READ = (
    ("Good morning. I met Siobhan Ng yesterday, and she will send the report.", ("Siobhan Ng",)),
    ("Please ask Doctor Okonkwo whether the patient can go home.", ("Okonkwo",)),
    ("Xavier and Saoirse are going to present the results.", ("Xavier", "Saoirse")),
    ("We moved the database to PostgreSQL, and Grafana shows the load.", ("PostgreSQL", "Grafana")),
    ("All of it runs on Kubernetes, and Terraform makes the machines.", ("Kubernetes", "Terraform")),
    ("The patient takes metoprolol and ramipril in the morning.", ("metoprolol", "ramipril")),
    ("She was given amoxicillin, and then pantoprazole.", ("amoxicillin", "pantoprazole")),
    ("Her heart was fast, which is called tachycardia.", ("tachycardia",)),
    ("Mister Wojciechowski spoke with Nguyen about the contract.", ("Wojciechowski", "Nguyen")),
    ("Okonkwo, Siobhan Ng, Xavier, Saoirse.", ("Okonkwo", "Siobhan Ng", "Xavier", "Saoirse")),
    ("Kubernetes, Grafana, PostgreSQL, Terraform.", ("Kubernetes", "Grafana", "PostgreSQL", "Terraform")),
    ("Amoxicillin, metoprolol, pantoprazole.", ("Amoxicillin", "metoprolol", "pantoprazole")),
)
VOICES = {"espeak-ng": ("en-us", "en-gb-scotland"), "flite": ("slt", "rms")}


def synthesiser() -> str:
    """Return the name of the installed synthesiser, or ''."""
    return next((name for name in VOICES if shutil.which(name)), "")


def spoken(text: str, voice: str) -> Samples:
    """Return the samples of a text that the synthesiser reads."""
    with tempfile.TemporaryDirectory() as folder:
        target = f"{folder}/speech.wav"
        if synthesiser() == "espeak-ng":
            command = ["espeak-ng", "-v", voice, "-s", "140", "-w", target, text]
        else:
            command = ["flite", "-voice", voice, "-t", text, "-o", target]
        subprocess.run(command, check=True)
        return decode_audio(target)


def wordless(seeds: int) -> Iterator[tuple[str, list[Samples], str]]:
    """Yield each kind of sound: its name, examples, and the words in it, if there are any."""
    sentence = decode_audio(str(SENTENCE))
    gap = np.zeros(2 * SAMPLE_RATE, dtype=np.float32)
    for name, make in WORDLESS.items():
        some = [make(seed=seed) for seed in range(1, seeds + 1)] if name in SEEDED else [make()]
        yield name, some, ""
        if name in ("laughter", "humming", "agreeing", "coughing"):
            yield f"sentence, {name}", [np.concatenate([sentence, gap, one]) for one in some], SENTENCE_WORDS
    if FOLDER.is_dir():
        for recording in manifest():
            if recording["expect"] == "empty":
                yield recording["file"], [decode_audio(str(FOLDER / recording["file"]))], ""
    if voices := VOICES.get(synthesiser()):
        for text in SPOKEN_HUMS:
            yield f'"{text}"', [spoken(text, voice) for voice in voices], ""


def text_of(engine: Engine, sound: Samples, prompt: str) -> str:
    heard = engine.transcribe(sound, TranscribeOptions(prompt=prompt))
    return " ".join(segment.text for segment in heard.segments)


def invented(text: str, said: str) -> list[str]:
    """Return the words of a text that nobody said, without sighs, hums and laughs."""
    known = set(compared_words(said))
    return [word for word in compared_words(text) if word not in known and not VOCAL.fullmatch(word)]


def show_invented(engine: Engine, seeds: int) -> None:
    print("\nInvented words per minute\n" + ROW.format("sound", *HINTS))
    all_words, all_minutes = dict.fromkeys(HINTS, 0), 0.0
    for name, sounds, said in wordless(seeds):
        minutes = sum(map(len, sounds)) / SAMPLE_RATE / 60
        all_minutes += minutes
        rates, texts = [], []
        for kind, prompt in HINTS.items():
            words = 0
            for sound in sounds:
                text = text_of(engine, sound, prompt)
                if found := invented(text, said):
                    texts.append(f"    {kind}: {text}")
                words += len(found)
            all_words[kind] += words
            rates.append(words / minutes)
        print(ROW.format(name, *(f"{rate:.1f}" for rate in rates)), *texts, sep="\n", flush=True)
    print(ROW.format("all", *(f"{words / all_minutes:.1f}" for words in all_words.values())))


def show_names(engine: Engine) -> None:
    voices = VOICES.get(synthesiser())
    if voices is None:
        print("\nNo synthesiser is here: install espeak-ng or flite to see whether hints help.")
        return
    every_name = ", ".join(dict.fromkeys(name for _, names in READ for name in names))
    print(f"\nNames right, of all that {synthesiser()} says in {', '.join(voices)}")
    for kind, hints in (("without hints", ""), ("with hints", every_name)):
        right = total = 0
        wrong = []
        for text, names in READ:
            for voice in voices:
                heard = text_of(engine, spoken(text, voice), hints)
                missing = [name for name in names if not _has(heard, name)]
                total += len(names)
                right += len(names) - len(missing)
                if missing:
                    wrong.append(f"  {', '.join(missing)}: {heard}")
        print(f"{kind:24}{right:4} of {total}", flush=True)
        if hints == every_name:
            print(*wrong, sep="\n")


def _has(text: str, name: str) -> bool:
    heard, wanted = compared_words(text), compared_words(name)
    return any(heard[n : n + len(wanted)] == wanted for n in range(len(heard)))


def main(given: Iterable[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", nargs="+", default=["base", "tiny.en"])
    parser.add_argument("--seeds", type=int, default=3, help="examples of each generated voice")
    parser.add_argument("--table", choices=("invented", "names"), help="only this one")
    options = parser.parse_args(given)
    for model in options.model:
        print(f"\n== {model}")
        engine = load_engine("local", EngineSettings(model=model, model_dir=model_path(model, MODELS)))
        if options.table != "names":
            show_invented(engine, options.seeds)
        if options.table != "invented":
            show_names(engine)


if __name__ == "__main__":
    main()
