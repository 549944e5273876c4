"""What the header of an upload says, and that nothing but the upload is ever opened."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import av
import pytest

from speech.errors import NoAudio, UnreadableAudio, UnsupportedMedia
from speech.probing.codecs import DECODERS
from speech.probing.probe import open_media, probe
from tests.speech.sounds import Counting, Track, decoded, silence, tone, write_media


def test_it_says_what_the_header_of_a_wav_says(tmp_path: Path) -> None:
    info = probe(write_media(tmp_path / "a.wav", Track(tone(2.5, rate=8000), rate=8000), kind="wav"))
    assert (info.container, info.codec, info.sample_rate, info.channels) == ("wav", "pcm_s16le", 8000, 1)
    assert (info.audio_streams, info.video_streams, info.duration_ms) == (1, 0, 2500)


def test_it_sees_video_beside_the_sound(tmp_path: Path) -> None:
    track = Track(tone(2, rate=48000), rate=48000, codec="aac")
    info = probe(write_media(tmp_path / "a.mp4", track, track, kind="mp4", video_s=2))
    assert (info.codec, info.audio_streams, info.video_streams) == ("aac", 2, 1)
    assert info.duration_ms == pytest.approx(2000, abs=100)


def test_it_believes_the_content_and_not_the_name(tmp_path: Path) -> None:
    named = write_media(tmp_path / "a.mp3", Track(tone(1)), kind="wav")
    assert probe(named).container == "wav"
    assert probe(BytesIO(named.read_bytes())).container == "wav"


def test_it_opens_a_name_of_any_letters(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.wav", Track(tone(1)), kind="wav")
    assert probe(path.rename(tmp_path / f"{'ゆき%s ; $(x) 🎙' * 6}.wav")).duration_ms == 1000


def test_it_leaves_a_given_file_open_and_starts_at_its_beginning(tmp_path: Path) -> None:
    file = BytesIO(write_media(tmp_path / "a.wav", Track(tone(1)), kind="wav").read_bytes())
    file.seek(1000)
    assert probe(file).duration_ms == probe(file).duration_ms == 1000
    assert not file.closed


def test_it_reads_tags_that_are_not_utf8(tmp_path: Path) -> None:
    data = write_media(tmp_path / "a.wav", Track(tone(1)), kind="wav").read_bytes()
    tag = b"LIST" + (18).to_bytes(4, "little") + b"INFOINAM" + (6).to_bytes(4, "little") + b"caf\xe9s\x00"
    tagged = data[:36] + tag + data[36:]
    with pytest.raises(UnicodeDecodeError):
        av.open(BytesIO(tagged))
    assert probe(BytesIO(tagged)).duration_ms == 1000


def test_a_video_without_sound_has_no_audio(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.mp4", kind="mp4", video_s=1)
    with pytest.raises(NoAudio):
        probe(path)


def test_an_empty_file_is_called_empty(tmp_path: Path) -> None:
    (tmp_path / "a.mp3").touch()
    for source in (tmp_path / "a.mp3", BytesIO()):
        with pytest.raises(UnreadableAudio, match="empty"):
            probe(source)


def test_an_mp4_that_was_cut_off_is_unreadable(tmp_path: Path) -> None:
    track = Track(tone(5, rate=48000), rate=48000, codec="aac")
    data = write_media(tmp_path / "a.mp4", track, kind="mp4").read_bytes()
    with pytest.raises(UnreadableAudio):
        probe(BytesIO(data[: len(data) // 2]))


@pytest.mark.parametrize(
    "start",
    [
        b"RIFF\x00\x00",
        b"RIFF\x24\x00\x00\x00WAVEfmt \xff\xff\xff\xff\x00",
        b"fLaC" + bytes(40),
        b"OggS",
        b"ID3\x04\x00\x00\x00\x00\x00\x00",
        b"\x1a\x45\xdf\xa3\x01",
        b"\xff\xfb\x90\x64" + bytes(20),
        b"\x00\x00\x00\x20ftypisom",
    ],
)
def test_a_known_signature_with_nothing_behind_it_is_unreadable(start: bytes) -> None:
    with pytest.raises(UnreadableAudio):
        probe(BytesIO(start))


ASF_HEADER = bytes.fromhex("3026B2758E66CF11A6D900AA0062CE6C")
FARTHEST = 2**64 - 1


@pytest.mark.parametrize(
    "content",
    [
        struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 0) + struct.pack(">I4sQ", 1, b"free", FARTHEST),
        struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 0) + struct.pack(">I4sQ", 1, b"free", 2**62),
        # Elements of Matroska: their size has up to 56 bits.
        bytes.fromhex("1A45DFA3 80 18538067 01FFFFFFFFFFFFFE EC 01FFFFFFFFFFFFF0"),
        ASF_HEADER + struct.pack("<QIBB16sQ", 30, 1, 1, 2, b"\1" * 16, 2**63 + 5),
        struct.pack("<4sI4s4sQ", b"RF64", 0xFFFFFFFF, b"WAVE", b"ds64", FARTHEST) + b"\xff" * 40,
    ],
    ids=["mp4", "mp4, less far", "matroska", "asf", "rf64"],
)
def test_a_size_that_no_file_can_have_leads_nowhere(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "hostile"
    path.write_bytes(content + b"x" * 200)
    with path.open("rb") as file, pytest.raises((UnreadableAudio, UnsupportedMedia)):
        probe(file)
    with pytest.raises((UnreadableAudio, UnsupportedMedia)):
        decoded(path)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"Dear diary, today I was free.\n" * 40, id="text"),
        pytest.param(b"I'm free" * 40, id="text with the name of a mov atom at its fifth letter"),
        pytest.param("Grüße, ça va ?\n".encode("latin-1") * 40, id="text in latin-1"),
        pytest.param("Grüße\n".encode("utf-16") * 40, id="text in utf-16"),
        pytest.param(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + bytes(range(256)) * 9, id="pdf"),
        pytest.param(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(90), id="png"),
        pytest.param(b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(90), id="jpeg"),
        pytest.param(b"RIFF\x24\x00\x00\x00WEBPVP8 " + bytes(90), id="webp"),
        pytest.param(b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(90), id="heic"),
        pytest.param(bytes(5000), id="zeros"),
        pytest.param(bytes(range(1, 256)) * 40, id="bytes that nobody knows"),
        pytest.param(b"\x01", id="one byte"),
    ],
)
def test_what_is_neither_audio_nor_video_is_unsupported(content: bytes) -> None:
    with pytest.raises(UnsupportedMedia):
        probe(BytesIO(content))


def test_sound_inside_an_archive_is_unsupported(tmp_path: Path) -> None:
    sound = write_media(tmp_path / "a.mp3", Track(tone(5), codec="libmp3lame"), kind="mp3").read_bytes()
    with pytest.raises(UnsupportedMedia):
        probe(BytesIO(b"PK\x03\x04" + bytes(26) + sound))


def test_sound_after_rubbish_that_nobody_knows_is_still_found(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    write_media(path, Track(tone(5), codec="libmp3lame"), kind="mp3", id3v2_version="0")
    assert probe(BytesIO(bytes(700) + path.read_bytes())).codec == "mp3"


def test_it_reads_a_bounded_part_of_a_file(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.wav", Track(silence(600)), kind="wav")
    file = Counting(path.read_bytes())
    assert probe(file).duration_ms == 600_000
    assert file.count < 2 << 20 < path.stat().st_size


# Codecs


def test_the_decoders_on_the_list_are_decoders_of_sound() -> None:
    assert {av.Codec(name, "r").type for name in DECODERS} == {"audio"}


def test_sound_in_a_codec_that_is_not_on_the_list_is_unreadable(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.mka", Track(tone(1), codec="pcm_s16le"), kind="matroska")
    renamed = path.read_bytes().replace(b"A_PCM/INT/LIT", b"A_QUICKTIME/1")
    assert DECODERS.isdisjoint(
        {"adpcm_thp", "smackaud", "binkaudio_dct", "wavesynth", "h264", "mpeg4", "png"}
    )
    with pytest.raises(UnreadableAudio):
        probe(BytesIO(renamed))


@pytest.mark.parametrize("kind", ["mp4", "matroska", "avi", "mpegts"])
def test_pictures_beside_the_sound_are_not_decoded_and_do_no_harm(tmp_path: Path, kind: str) -> None:
    track = Track(tone(2, rate=48_000), rate=48_000, codec="mp2" if kind != "mp4" else "aac")
    path = write_media(tmp_path / "a", track, kind=kind, video_s=2)
    assert (probe(path).audio_streams, probe(path).video_streams) == (1, 1)
    assert decoded(path)[1].duration_ms == pytest.approx(2000, abs=120)


# Playlists


@contextmanager
def _watched(fifo: Path) -> Iterator[Callable[[], bool]]:
    """Whether somebody has opened `fifo` for reading. Who does so sees an empty file."""
    os.mkfifo(fifo)
    opened, done = threading.Event(), threading.Event()

    def watch() -> None:
        while not done.wait(0.001):
            try:
                os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
            except OSError:
                continue  # nobody is reading
            opened.set()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield opened.is_set
    finally:
        done.set()
        watcher.join()


FFCONCAT = "ffconcat version 1.0\nfile neighbour.ts\n"
HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10.0,\n{}\n#EXT-X-ENDLIST\n"


@pytest.mark.parametrize(
    ("name", "playlist"),
    [
        ("a.mp3", FFCONCAT),
        ("a.m3u8", HLS.format("neighbour.ts")),
    ],
)
def test_without_the_walls_what_a_playlist_names_is_opened(tmp_path: Path, name: str, playlist: str) -> None:
    """Otherwise the tests below would prove nothing."""
    (tmp_path / name).write_text(playlist)
    with _watched(tmp_path / "neighbour.ts") as was_opened:
        with pytest.raises(av.FFmpegError), av.open(str(tmp_path / name)):
            pass
        assert was_opened()


@pytest.mark.parametrize("name", ["a.mp3", "a.m3u8", "a.wav", "a"])
@pytest.mark.parametrize(
    "playlist",
    [
        FFCONCAT,
        "ffconcat version 1.0\nfile {folder}/neighbour.ts\n",
        HLS.format("neighbour.ts"),
        HLS.format("file://{folder}/neighbour.ts"),
        HLS.format("{folder}/neighbour.ts"),
        HLS.format("concat:{folder}/neighbour.ts"),
        HLS.format("{address}/a.ts"),
        "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{address}/a.m3u8\n",
        "ffconcat version 1.0\nfile {address}/a.ts\n",
        "\ufeff" + HLS.format("neighbour.ts"),
        "[playlist]\nFile1={address}/a.mp3\nFile1={folder}/neighbour.ts\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n",
    ],
)
def test_a_playlist_is_refused_and_nothing_that_it_names_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, playlist: str
) -> None:
    monkeypatch.chdir(tmp_path)  # a relative name in a file object would be looked up here
    with socket.create_server(("127.0.0.1", 0)) as server, _watched(tmp_path / "neighbour.ts") as was_opened:
        server.setblocking(False)
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        path = tmp_path / name
        path.write_text(playlist.replace("{folder}", str(tmp_path)).replace("{address}", address))
        with path.open("rb") as file:
            for source in (path, file, BytesIO(path.read_bytes())):
                with pytest.raises(UnsupportedMedia):
                    probe(source)
                with pytest.raises(UnsupportedMedia), open_media(source):
                    pass
        assert not was_opened()
        with pytest.raises(BlockingIOError):
            server.accept()


def test_the_demuxers_refuse_a_playlist_even_if_its_first_bytes_hide_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look at the first bytes is a courtesy to people. The walls stand without it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("speech.probing.signatures.is_text", lambda head: False)
    with _watched(tmp_path / "neighbour.ts") as was_opened:
        for name, playlist in (("a.mp3", FFCONCAT), ("a.m3u8", HLS.format("neighbour.ts"))):
            (tmp_path / name).write_text(playlist)
            for source in (tmp_path / name, BytesIO(playlist.encode())):
                with pytest.raises(UnsupportedMedia):
                    probe(source)
        assert not was_opened()


# Real recordings


@pytest.mark.recordings
@pytest.mark.parametrize(
    ("name", "codec", "duration_ms"),
    [
        ("en_jfk_11s.flac", "flac", 11_000),
        ("en_sonnet1_53s.mp3", "mp3", 53_266),
        ("en_two_cities_44s.m4a", "aac", 44_374),
        ("en_mediarecorder_like_austen_28s.webm", "opus", None),
        ("fr_telephone_8k_29s.wav", "pcm_s16le", 29_218),
        ("music_synth_12s.ogg", "vorbis", 12_000),
    ],
)
def test_it_reads_the_headers_of_recordings(
    recordings: Path, name: str, codec: str, duration_ms: int | None
) -> None:
    info = probe(recordings / name)
    assert (info.codec, info.duration_ms) == (codec, duration_ms)


@pytest.mark.recordings
def test_it_tells_damaged_recordings_from_other_files(recordings: Path) -> None:
    with pytest.raises(UnsupportedMedia):
        probe(recordings / "broken_text_named.mp3")
    with pytest.raises(UnreadableAudio):
        probe(recordings / "broken_truncated_no_moov.mp4")
