"""Opening what people upload, and a bounded look at its header.

Uploads are hostile until decoded. ffmpeg's playlist demuxers (concat, hls, ...) open whatever file or address
the upload names, whatever the upload is called. So there are two walls: an allow-list of demuxers, none of
which opens a second file, and a nameless Python file object with every protocol refused, so that there is
nothing to open one with. The name of a file never decides anything; its content does.

What cannot be opened is told apart by its first bytes. A known signature of an audio or video container (or
the frame sync of a raw stream) that cannot be opened is damaged: `UnreadableAudio`. Text, archives, images,
documents and bytes that nobody knows are `UnsupportedMedia`. An empty file is `UnreadableAudio` with a
sentence of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import BinaryIO

import av
from av.audio.stream import AudioStream
from av.container import InputContainer

from speech.errors import AudioTooLong, NoAudio, UnreadableAudio, UnsupportedMedia
from speech.mp4_index import index_length
from speech.types import MediaInfo

# None of these opens a second file. Never add concat, hls, dash, imf, sdp, rtsp, lavfi, image2 or tee.
_DEMUXERS = (
    "aac,ac3,aiff,amr,amrnb,amrwb,asf,au,avi,caf,eac3,flac,flv,matroska,mov,mp3,mpeg,mpegts,ogg,w64,wav"
)
_WALLS = {
    "format_whitelist": _DEMUXERS,
    "protocol_whitelist": "none",
    "enable_drefs": "0",
    "max_streams": "64",
}


@dataclass(frozen=True)
class _Bounds:
    """What opening a file may cost."""

    header_bytes: int | None
    mp4_index: int
    mp4_atoms: int
    options: dict[str, str]


# The index of an m4a has 170 000 entries an hour, and takes up to 70 bytes of memory each.
_LOOK = _Bounds(4 << 20, 500_000, 20_000, {"probesize": str(1 << 20), "analyzeduration": "2000000"})
_DECODE = _Bounds(None, 8_000_000, 3_000_000, {})

_HEAD_BYTES = 512

_SIGNATURES = (
    b"fLaC", b"OggS", b"ID3\x02", b"ID3\x03", b"ID3\x04", b"#!AMR", b"caff", b".snd", b"FLV\x01",
    b"riff\x2e\x91\xcf\x11",  # w64
    b"\x1a\x45\xdf\xa3",  # matroska, webm
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # asf: wma, wmv
    b"\x00\x00\x01\xba",  # mpeg program stream
    b"\x0b\x77",  # ac3, eac3
)  # fmt: skip
# A stored archive or a document may carry an mp3 whose frames a demuxer finds. It is refused all the same.
_FOREIGN = (
    b"PK\x03\x04", b"PK\x05\x06", b"%PDF", b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"\x1f\x8b",
    b"7z\xbc\xaf\x27\x1c", b"Rar!", b"\x7fELF", b"MZ", b"SQLite format 3",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",  # doc, xls, msi
)  # fmt: skip
_MOV_ATOMS = {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"styp", b"moof", b"sidx"}
_STILL_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis"}
_IFF_FORMS = {b"WAVE", b"AVI ", b"AIFF", b"AIFC"}
_CONTROL = frozenset(range(32)) - frozenset(b"\t\n\r\f\x1b") | {127}


class _Kind(Enum):
    MEDIA = "a known signature of audio or video"
    FOREIGN = "certainly something else"
    UNKNOWN = "for the demuxers to say"


def _kind(head: bytes) -> _Kind:
    if head.startswith(_SIGNATURES):
        return _Kind.MEDIA
    if head.startswith((b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM")):
        return _Kind.MEDIA if head[8:12] in _IFF_FORMS or len(head) < 12 else _Kind.FOREIGN
    if head.startswith(_FOREIGN) or head[257:262] == b"ustar" or _is_text(head):
        return _Kind.FOREIGN
    if head[4:8] in _MOV_ATOMS:
        # HEIC and AVIF images are mov files too, and open as video without sound.
        return _Kind.FOREIGN if head[8:12] in _STILL_BRANDS else _Kind.MEDIA
    frame_sync = head[0] == 0xFF and head[1:2] >= b"\xe0"  # mp3, aac; UTF-16 text is ruled out above
    transport_stream = head[0:189:188] == b"GG" or head[4:197:192] == b"GG"
    return _Kind.MEDIA if frame_sync or transport_stream else _Kind.UNKNOWN


def is_foreign(head: bytes) -> bool:
    """Whether a file that begins with `head` is a text, picture, archive or program for certain.

    Signatures of two bytes are not enough: one of 30,000 pieces of a stream begins with such a one.
    """
    return _is_text(head) or head.startswith(tuple(magic for magic in _FOREIGN if len(magic) > 2))


def _is_text(head: bytes) -> bool:
    """True for text in any encoding with ASCII in it: compressed sound has a control byte in every few."""
    return head.startswith((b"\xff\xfe", b"\xfe\xff")) or _CONTROL.isdisjoint(head)


class _Reader:
    """A seekable file without a name. After `limit` bytes it says that it has ended, and `spent` is True."""

    def __init__(self, file: BinaryIO, limit: int | None = None) -> None:
        self._file = file
        self._left = limit
        self.spent = False
        self.seek = file.seek
        self.tell = file.tell

    def read(self, size: int) -> bytes:
        if self._left is None:
            return self._file.read(size)
        data = self._file.read(min(size, self._left))
        self._left -= len(data)
        self.spent = self._left == 0
        return data


class _TooLong(Exception):
    """Opening the file would cost more than allowed, so nothing is known of it."""


@contextmanager
def _file(source: Path | BinaryIO) -> Iterator[BinaryIO]:
    if isinstance(source, Path):
        with source.open("rb") as file:
            yield file
    else:
        yield source


def _open(file: BinaryIO, bounds: _Bounds) -> InputContainer:
    file.seek(0)
    head = file.read(_HEAD_BYTES)
    file.seek(0)
    if not head:
        raise UnreadableAudio("This file is empty. Check that the recording was saved, then upload it again.")
    kind = _kind(head)
    if kind is _Kind.FOREIGN:
        raise UnsupportedMedia
    length = index_length(file, most_atoms=bounds.mp4_atoms)
    if length is None or length > bounds.mp4_index:
        raise _TooLong
    file.seek(0)
    reader = _Reader(file, bounds.header_bytes)
    try:
        container = av.open(reader, "r", options=_WALLS | bounds.options, metadata_errors="replace")
    except (av.FFmpegError, ValueError) as error:
        if reader.spent:
            raise _TooLong from error
        raise (UnreadableAudio if kind is _Kind.MEDIA else UnsupportedMedia) from error
    if kind is _Kind.UNKNOWN and not container.streams.audio:
        container.close()
        raise UnsupportedMedia
    return container


@contextmanager
def open_media(source: Path | BinaryIO) -> Iterator[InputContainer]:
    """Open `source` for decoding, from its start. A file object must be seekable, and stays open.

    Raises UnreadableAudio or UnsupportedMedia as the module says, AudioTooLong where the index alone would
    fill the memory (47 hours of AAC), and OSError where the disk does.
    """
    with _file(source) as file:
        try:
            container = _open(file, _DECODE)
        except _TooLong as error:
            raise AudioTooLong from error
        with container:
            yield container


def audio_tracks(container: InputContainer) -> list[AudioStream]:
    """The tracks that can be decoded, the one a player would choose first.

    Raises NoAudio where there is no track with sound, UnreadableAudio where no decoder knows any of them.
    """
    if not container.streams.audio:
        raise NoAudio
    # PyAV has no codec context for a codec that it does not know, whatever its stubs say.
    tracks = [s for s in container.streams.audio if getattr(s, "codec_context", None) is not None]
    if not tracks:
        raise UnreadableAudio(
            "The sound in this file is coded in a way that cannot be read here. "
            "Convert it to MP3, M4A or FLAC and upload it again."
        )
    best = container.streams.best("audio")
    return sorted(tracks, key=lambda track: best is None or track.index != best.index)


def probe(source: Path | BinaryIO) -> MediaInfo:
    """What the header of `source` says, at the price of a few MB of reading and of memory.

    Where the header would cost more than that, everything in the answer is '', 0 or None, and `decode` is to
    judge the file. Raises UnreadableAudio, UnsupportedMedia or NoAudio, and OSError where the disk does.
    """
    with _file(source) as file:
        try:
            container = _open(file, _LOOK)
        except _TooLong:
            return MediaInfo("", "", 0, 0, 0, 0)
        with container:
            track = audio_tracks(container)[0]
            return MediaInfo(
                container=container.format.name,
                codec=track.codec_context.codec.canonical_name,
                audio_streams=len(container.streams.audio),
                video_streams=len(container.streams.video),
                sample_rate=track.codec_context.sample_rate,
                channels=track.codec_context.channels,
                duration_ms=container.duration // 1000 if container.duration else None,
            )
