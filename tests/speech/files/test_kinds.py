"""Kinds of files that recorders and archives have, beside those of which everybody has some.

Each opens no other file, and is known by its content. Not let in: ape, mpc, tak, shn (music), ac4 (without a
decoder), adx (games), g722 and sln (without a signature), sox, nut and wtv (nobody records in them any more).
"""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from imageio_ffmpeg import get_ffmpeg_exe

from speech.errors import UnsupportedMedia
from speech.probing.probe import probe
from tests.speech.sounds import Track, beep_times_ms, beeps, decoded, write_media

TIMES = [500, 1500, 2500, 3500, 4500]


def converted(folder: Path, name: str, *options: str) -> Path:
    """The beeps as ffmpeg's own program writes them, which has more encoders than PyAV."""
    wav = write_media(folder / "source", Track(beeps(5, rate=48_000), 48_000), kind="wav")
    command = [get_ffmpeg_exe(), "-y", "-loglevel", "error", "-i", wav, *options, folder / name]
    subprocess.run(command, check=True, timeout=60)
    return folder / name


PICTURE = ("-f", "lavfi", "-i", "color=black:s=720x576:r=25:d=5", "-map", "1:v", "-map", "0:a")


@pytest.mark.parametrize(
    ("name", "container", "options"),
    [
        ("a.wv", "wv", []),
        ("a.tta", "tta", []),
        ("a.voc", "voc", ["-ar", "22050"]),
        ("a.sf", "ircam", ["-f", "ircam"]),
        ("a.dts", "dts", ["-c:a", "dca", "-strict", "-2"]),
        ("a.loas", "loas", ["-c:a", "aac", "-f", "latm"]),
        ("a.rm", "rm", ["-c:a", "ac3"]),
        ("14.4.rm", "rm", ["-c:a", "real_144", "-ar", "8000"]),
        ("a.dv", "dv", [*PICTURE, "-target", "pal-dv", "-ac", "2"]),
        ("a.mxf", "mxf", [*PICTURE, "-c:v", "mpeg2video"]),
    ],
)
def test_it_reads_what_ffmpeg_writes(tmp_path: Path, name: str, container: str, options: list[str]) -> None:
    samples, report = decoded(converted(tmp_path, name, *options))
    assert report.container == container
    assert beep_times_ms(samples) == pytest.approx(TIMES, abs=70)
    assert len(samples) == pytest.approx(80_000, abs=1500)
    assert (report.bad_packets, report.bad_reads, report.dropped_samples) == (0, 0, 0)


def nist_sphere() -> bytes:
    head = "NIST_1A\n   1024\nchannel_count -i 1\nsample_rate -i 16000\nsample_n_bytes -i 2\n"
    head += "sample_byte_format -s2 01\nsample_sig_bits -i 16\nsample_coding -s3 pcm\nend_head\n"
    return head.encode().ljust(1024, b"\n") + beeps(5).tobytes()


def sony_oma() -> bytes:
    tag = b"ea3\x03" + bytes(6)
    linear_pcm = b"EA3\x01\x00\x60\xff\xff".ljust(32, b"\0") + b"\x04"
    stereo = np.repeat(beeps(5, rate=44_100), 2)
    return tag + linear_pcm.ljust(96, b"\0") + stereo.astype(">i2").tobytes()


def test_it_reads_speech_corpora_and_minidiscs() -> None:
    for data in (nist_sphere(), sony_oma()):
        assert beep_times_ms(decoded(data)[0]) == pytest.approx(TIMES, abs=5)


def dictation() -> bytes:
    head = bytearray(1024)
    head[:4] = b"\x02dss"
    head[0x26:0x3E] = b"260101120000260101120010"
    return bytes(head) + bytes(512 * 40)


def gsm() -> bytes:
    silence = b"\xd8\x20\xa2\xe1\x5a" + b"\x50\x00\x49\x24\x92\x49\x24" * 4
    return silence * 250


def dsf() -> bytes:
    data = b"\x69" * (352_800 * 2 // 4096 * 4096)  # two seconds of ones and zeros in turn, which is silence
    form = struct.pack("<QIIIIIIQII", 52, 1, 0, 1, 1, 2_822_400, 1, len(data) * 8, 4096, 0)
    head = b"DSD " + struct.pack("<QQQ", 28, 92 + len(data), 0) + b"fmt " + form
    return head + b"data" + struct.pack("<Q", 12 + len(data)) + data


@pytest.mark.parametrize(
    ("make", "container", "seconds"), [(dictation, "dss", 11.8), (gsm, "gsm", 5.0), (dsf, "dsf", 2.0)]
)
def test_it_knows_what_has_no_encoder_here(make: Callable[[], bytes], container: str, seconds: float) -> None:
    samples, report = decoded(make())
    assert report.container == container
    assert len(samples) / 16_000 == pytest.approx(seconds, abs=0.05)
    assert not report.damaged


def test_a_master_of_dts_is_read(tmp_path: Path) -> None:
    frames = converted(tmp_path, "a.dts", "-c:a", "dca", "-strict", "-2").read_bytes()
    head = b"DTSHDHDR" + struct.pack(">Q", 16) + bytes(16)
    (tmp_path / "a.dtshd").write_bytes(head + b"STRMDATA" + struct.pack(">Q", len(frames)) + frames)
    samples, report = decoded(tmp_path / "a.dtshd")
    assert report.container == "dtshd"
    assert beep_times_ms(samples) == pytest.approx(TIMES, abs=70)


@pytest.mark.parametrize(
    ("head", "software"), [(b"\x03ds2", "Olympus"), (b"\x03enc", "Olympus"), (b"MS_VOICE", "Sony")]
)
def test_dictation_that_only_its_maker_reads_is_named(tmp_path: Path, head: bytes, software: str) -> None:
    (tmp_path / "a").write_bytes(head + bytes(2000))
    with pytest.raises(UnsupportedMedia, match=f"{software}.*software"):
        probe(tmp_path / "a")
