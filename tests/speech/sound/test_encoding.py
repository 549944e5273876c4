"""Encodings of one window."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from speech.sound.encoding import Container, encode_audio
from tests.speech.sounds import decoded, tone


def window(length_s: float, *, level: float = 0.5) -> npt.NDArray[np.float32]:
    return (tone(length_s, level=level) / 32768).astype(np.float32)


def level_dbfs(samples: npt.NDArray[np.float32]) -> float:
    """Return the mean level (RMS) in dB relative to full scale."""
    return float(20 * np.log10(np.sqrt(np.mean(samples.astype(np.float64) ** 2))))


@pytest.mark.parametrize(
    ("container", "format_name", "codec"),
    [
        ("wav", "wav", "pcm_s16le"),
        ("flac", "flac", "flac"),
        ("mp3", "mp3", "mp3"),
        ("ogg", "ogg", "opus"),
    ],
)
def test_it_encodes_a_window(container: Container, format_name: str, codec: str) -> None:
    samples = window(3)
    again, report = decoded(encode_audio(samples, container))
    assert (report.container, report.codec) == (format_name, codec)
    assert report.duration_ms == pytest.approx(3000, abs=1)
    # LAME turns everything down by 5 %.
    assert level_dbfs((again / 32768).astype(np.float32)) == pytest.approx(level_dbfs(samples), abs=0.6)
    if container in ("wav", "flac"):
        assert np.array_equal(again, np.rint(samples * 32768))


def test_too_loud_samples_are_clipped_and_do_not_wrap_around() -> None:
    again, _ = decoded(encode_audio(np.array([1.5, 1.0, -1.0, -1.5] * 400, dtype=np.float32), "wav"))
    assert again[:4].tolist() == [32767, 32767, -32768, -32768]


def test_a_compressed_window_is_small() -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, 160_000).astype(np.float32)
    wav = len(encode_audio(noise, "wav"))
    assert len(encode_audio(noise, "mp3")) < wav / 3
    assert len(encode_audio(noise, "ogg")) < wav / 3


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "always", "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={"PATH": "", "PYTHONPATH": str(Path(__file__).parents[3])},
    )


def test_it_needs_no_ffmpeg_on_the_machine_and_does_not_warn_of_that() -> None:
    done = run(
        "import numpy, speech.sound.encoding as c\n"
        "print(c.encode_audio(numpy.zeros(1600, dtype=numpy.float32), 'ogg')[:4])"
    )
    assert done.stdout == "b'OggS'\n"
    assert done.stderr == ""


def test_pydub_is_not_loaded_before_it_is_needed() -> None:
    assert run("import sys, speech.sound.encoding\nprint('pydub' in sys.modules)").stdout == "False\n"
