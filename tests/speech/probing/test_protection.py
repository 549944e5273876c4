"""What is encrypted for a seller's own programs is called so, and nothing else is."""

from __future__ import annotations

import re
import struct
import subprocess
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from imageio_ffmpeg import get_ffmpeg_exe

from speech.errors import ProtectedMedia
from speech.probing.probe import probe
from speech.probing.protection import is_protected
from tests.speech.sounds import Track, beeps, decoded, tone, write_media


def m4a(folder: Path, *entries: bytes) -> bytes:
    """An m4a with as many tracks, whose sample entries have these names."""
    track = Track(tone(1, rate=44_100), 44_100, "aac")
    data = write_media(folder / "a", *[track] * len(entries), kind="mp4").read_bytes()
    names = iter(entries)
    return re.sub(rb"(?<=stsd.{12})mp4a", lambda _: next(names), data, flags=re.DOTALL)


@pytest.mark.parametrize("entry", [b"enca", b"drms", b"aavd"])
def test_what_a_shop_sold_is_called_protected(tmp_path: Path, entry: bytes) -> None:
    data = m4a(tmp_path, entry)
    with pytest.raises(ProtectedMedia, match="protected by its seller"):
        probe(BytesIO(data))
    with pytest.raises(ProtectedMedia) as raised:
        decoded(data)
    assert raised.value.code == "protected_media"
    assert raised.value.permanent


def test_a_track_that_is_clear_is_enough(tmp_path: Path) -> None:
    assert not is_protected(BytesIO(m4a(tmp_path, b"mp4a", b"enca")))
    assert is_protected(BytesIO(m4a(tmp_path, b"enca", b"drms")))


def test_common_encryption_is_protection(tmp_path: Path) -> None:
    wav = write_media(tmp_path / "a.wav", Track(beeps(3)), kind="wav")
    key = "76a6c65c5ea762046bd749a2e632ccbb"
    scheme = ["-encryption_scheme", "cenc-aes-ctr", "-encryption_key", key, "-encryption_kid", key]
    command = [get_ffmpeg_exe(), "-y", "-loglevel", "error", "-i", wav, *scheme, tmp_path / "a.mp4"]
    subprocess.run(command, check=True, timeout=60)
    with pytest.raises(ProtectedMedia):
        decoded(tmp_path / "a.mp4")


def test_an_audible_book_of_the_old_kind_is_protected() -> None:
    with pytest.raises(ProtectedMedia):
        probe(BytesIO(b"\0\0\x10\0\x57\x90\x75\x36" + bytes(range(256)) * 20))


@pytest.mark.parametrize(
    "guid", ["fbb3112223bdd211b4b700a0c955fc6e", "14e68a292226174cb935dae07ee9289c"], ids=["drm", "new drm"]
)
def test_windows_media_with_a_licence_is_protected(tmp_path: Path, guid: str) -> None:
    wav = write_media(tmp_path / "a.wav", Track(beeps(3)), kind="wav")
    command = [get_ffmpeg_exe(), "-y", "-loglevel", "error", "-i", wav, tmp_path / "a.wma"]
    subprocess.run(command, check=True, timeout=60)
    data = (tmp_path / "a.wma").read_bytes()
    assert not is_protected(BytesIO(data))
    size, count = struct.unpack_from("<QI", data, 16)
    licence = bytes.fromhex(guid) + struct.pack("<Q", 40) + bytes(16)
    sold = data[:16] + struct.pack("<QI", size + 40, count + 1) + data[28:30] + licence + data[30:]
    with pytest.raises(ProtectedMedia):
        probe(BytesIO(sold))


def element(name: str, content: bytes) -> bytes:
    return bytes.fromhex(name) + (1 << 28 | len(content)).to_bytes(4, "big") + content


def webm(*encrypted: bool) -> bytes:
    key = element(
        "6d80", element("6240", element("5033", b"\x01") + element("5035", element("47e1", b"\x05")))
    )
    tracks = b"".join(
        element("ae", element("d7", b"\x01") + element("83", b"\x02") + (key if is_so else b""))
        for is_so in encrypted
    )
    picture = element("ae", element("83", b"\x01") + key)
    head = element("1a45dfa3", element("4282", b"webm"))
    return head + element("18538067", element("1549a966", bytes(9)) + element("1654ae6b", picture + tracks))


def test_webm_with_encryption_is_protected_where_no_sound_is_clear() -> None:
    assert is_protected(BytesIO(webm(True)))
    assert is_protected(BytesIO(webm(True, True)))
    assert not is_protected(BytesIO(webm(False)))
    assert not is_protected(BytesIO(webm(True, False)))
    assert not is_protected(BytesIO(webm()))


@pytest.mark.parametrize(
    ("kind", "codec"),
    [("ipod", "aac"), ("mov", "alac"), ("webm", "libopus"), ("matroska", "aac"), ("wav", "pcm_s16le")],
)
def test_what_is_clear_is_not_protected(tmp_path: Path, kind: str, codec: str) -> None:
    path = write_media(tmp_path / "a", Track(tone(1, rate=48_000), 48_000, codec), kind=kind)
    assert not is_protected(BytesIO(path.read_bytes()))


def test_damaged_headers_are_no_error(tmp_path: Path) -> None:
    random = np.random.default_rng(7)
    asf = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + bytes(40)
    for data in (webm(True), m4a(tmp_path, b"enca"), asf):
        for _ in range(100):
            place = int(random.integers(len(data)))
            is_protected(BytesIO(data[:place] + random.bytes(9) + data[place + 9 :]))
            is_protected(BytesIO(data[:place]))
