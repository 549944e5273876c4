"""Whatever bytes are sent, by each of the five ways, the answer is 2xx or 4xx, and the refused ones go."""

from __future__ import annotations

import random
from base64 import b64encode
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest
from django.test import Client

from sessions_app.arrival import probing
from sessions_app.models import ResumableUpload
from speech.errors import NoAudio, SpeechError, UnreadableAudio, UnsupportedMedia
from speech.probing.probe import probe
from tests.sessions.uploads import SESSIONS, UPLOADS
from tests.speech.sounds import Track, decoded, tone, write_media

SEEDS = {
    "wav": ("pcm_s16le", 16_000),
    "w64": ("pcm_s16le", 16_000),
    "aiff": ("pcm_s16be", 16_000),
    "au": ("pcm_s16be", 16_000),
    "caf": ("pcm_s16be", 16_000),
    "avi": ("pcm_s16le", 16_000),
    "asf": ("libmp3lame", 16_000),
    "flv": ("pcm_s16le", 44_100),
    "mp3": ("libmp3lame", 16_000),
    "flac": ("flac", 16_000),
    "ogg": ("libopus", 48_000),
    "matroska": ("libopus", 48_000),
    "mp4": ("aac", 48_000),
    "ipod": ("alac", 16_000),
    "adts": ("aac", 48_000),
    "ac3": ("ac3", 48_000),
    "mpegts": ("aac", 48_000),
    "mpeg": ("mp2", 48_000),
}
MUTATIONS = 24
"""Of each seed. Of 2,439 that were tried once, 42 made ffmpeg seek to a place that cannot be."""


def seed(folder: Path, kind: str) -> bytes:
    codec, rate = SEEDS[kind]
    track = Track(tone(0.5, rate=rate), rate=rate, codec=codec)
    return write_media(folder / "seed", track, kind=kind).read_bytes()


def mutations(data: bytes, chance: random.Random) -> Iterator[bytes]:
    """Mostly of the header, where lengths and places are: other bytes, large and negative numbers, cuts."""
    for _ in range(MUTATIONS):
        mutated = bytearray(data)
        for _ in range(chance.choice((1, 2, 8))):
            at = chance.randrange(min(len(data), chance.choice((64, 512, len(data)))))
            new = chance.choice(
                (b"\xff" * 4, b"\xff" * 8, bytes(4), b"\x7f\xff\xff\xff", chance.randbytes(2))
            )
            mutated[at : at + len(new)] = new
        yield bytes(mutated[: chance.choice((len(mutated), chance.randrange(len(mutated)) + 1))])


@pytest.mark.parametrize("kind", SEEDS)
def test_mutated_files_raise_what_people_can_be_told(tmp_path: Path, kind: str) -> None:
    chance = random.Random(f"{kind} 1")
    refused = 0
    for content in mutations(seed(tmp_path, kind), chance):
        try:
            probe(BytesIO(content))
            decoded(content, max_duration_s=60)
        except (UnreadableAudio, UnsupportedMedia, NoAudio):
            refused += 1
        except SpeechError:
            continue  # too long
        except ValueError as error:
            # Nothing came out of it, which the caller of `decoded` cannot put together.
            assert "at least one array" in str(error)
    assert 0 < refused < MUTATIONS or kind in ("mp3", "adts", "ac3", "mpegts", "mpeg", "ogg", "flac")


# One of them by each way


def upload(api: Client, content: bytes) -> int:
    return api.post(UPLOADS, {"file": named(content)}, format="multipart").status_code


def chunk(api: Client, content: bytes) -> int:
    session = api.post(SESSIONS, {}).data["id"]
    sent = {"number": 0, "file": named(content)}
    return api.post(f"{SESSIONS}{session}/chunks/", sent, format="multipart").status_code


def openai(api: Client, content: bytes) -> int:
    sent = {"model": "whisper-1", "file": named(content)}
    return api.post("/v1/audio/transcriptions", sent, format="multipart").status_code


def tus(api: Client, content: bytes) -> int:
    headers = {"Tus-Resumable": "1.0.0"}
    metadata = "filename " + b64encode(b"a.caf").decode()
    about = {"Upload-Length": str(len(content)), "Upload-Metadata": metadata}
    made = api.post("/api/uploads/tus/", headers=headers | about)
    assert made.status_code == 201
    patched = api.patch(
        made["Location"], content, content_type="application/offset+octet-stream",
        headers=headers | {"Upload-Offset": "0"},
    )  # fmt: skip
    assert not ResumableUpload.objects.exists()
    return patched.status_code


def named(content: bytes) -> BytesIO:
    file = BytesIO(content)
    file.name = "a.caf"
    return file


def leads_nowhere(folder: Path) -> bytes:
    """A CAF with a chunk that is longer than any file can be: the disk says that there is no such place."""
    data = seed(folder, "caf")
    at = data.index(b"data")
    return data[:at] + b"what" + (1 << 62).to_bytes(8, "big") + data[at:]


@pytest.mark.django_db
@pytest.mark.parametrize("way", [upload, chunk, openai, tus])
def test_a_file_that_leads_nowhere_is_refused(
    api: Client, tmp_path: Path, way: Callable[[Client, bytes], int], left_behind: Callable[[], list[str]]
) -> None:
    assert way(api, leads_nowhere(tmp_path)) in (400, 422)
    assert [path for path in left_behind() if Path(path).is_file()] == []


@pytest.mark.django_db
def test_the_page_says_so_too(alice, tmp_path: Path) -> None:
    browser = Client()
    browser.force_login(alice)
    response = browser.post("/upload/", {"file": named(leads_nowhere(tmp_path)), "priority": "normal"})
    assert response.status_code == 422


@pytest.mark.django_db
@pytest.mark.parametrize("way", [upload, chunk, openai, tus])
def test_a_file_that_crashes_its_reader_is_refused(api, tmp_path, wav, monkeypatch, way) -> None:
    def crash(*args: object, **limits: object) -> None:
        raise UnreadableAudio("This file makes the program that reads it fail.")

    monkeypatch.setattr(probing, "probe_safely", crash)
    assert way(api, wav) in (400, 422)
