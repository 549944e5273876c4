from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from speech.files.frames import LONGEST_LOOK, begins_with_frames
from tests.speech.sounds import Track, tone, write_media

BARE_MP3 = {"id3v2_version": "0", "write_xing": "0"}


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 32_000, 44_100, 48_000])
@pytest.mark.parametrize(("kind", "codec"), [("mp3", "libmp3lame"), ("adts", "aac")])
def test_mp3_and_aac_of_every_rate_are_known_at_any_of_their_frames(
    tmp_path: Path, rate: int, kind: str, codec: str
) -> None:
    options = BARE_MP3 if kind == "mp3" else {}
    data = write_media(
        tmp_path / "a", Track(tone(2, rate=rate), rate, codec), kind=kind, **options
    ).read_bytes()
    assert begins_with_frames(data[:LONGEST_LOOK])
    assert not begins_with_frames(data[1:][:LONGEST_LOOK])
    # A file of less than four frames says too little.
    assert not begins_with_frames(data[:100])


def test_the_sign_of_a_frame_alone_is_not_enough() -> None:
    rng = np.random.default_rng(1)
    for sign in (b"\xff\xfb\x90\x00", b"\xff\xf1\x50\x80\x2e\x7f\xfc", b"\xff\xf3\x40\xc0"):
        for _ in range(2_000):
            assert not begins_with_frames(sign + rng.bytes(LONGEST_LOOK))


def test_short_and_empty_files_are_no_frames() -> None:
    assert not begins_with_frames(b"")
    assert not begins_with_frames(b"\xff\xfb")
