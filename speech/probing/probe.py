"""Open what people upload, and read its header at a bounded cost.

Uploads are hostile until they are decoded. ffmpeg's playlist demuxers (concat, hls, ...) open any file or
address that the upload names, whatever the upload itself is called. So there are two walls. The first is an
allow-list of demuxers, none of which opens a second file. The second is a Python file object without a name,
with every protocol refused, so that nothing can be opened. The name of a file never decides anything; only
its content does.

The first bytes tell why a file cannot be opened. A file with a known signature of an audio or video container
(or the frame sync of a raw stream) is damaged: `UnreadableAudio`. Text, archives, images, documents and
unknown bytes are `UnsupportedMedia`. An empty file is `UnreadableAudio` with a sentence of its own.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import av
from av.audio.stream import AudioStream
from av.container import InputContainer

from speech.errors import AudioTooLong, NoAudio, ProtectedMedia, UnreadableAudio, UnsupportedMedia
from speech.probing.codecs import DECODERS
from speech.probing.mp4_index import index_length
from speech.probing.protection import is_protected
from speech.probing.signatures import HEAD_BYTES, MAKERS, Kind, kind_of
from speech.probing.tags import HiddenTags, without_id3
from speech.types import MediaInfo

# None of these opens a second file. Never add concat, hls, dash, imf, sdp, rtsp, lavfi, image2 or tee. People
# have recordings in these containers, and the demuxers know their files by content.
_DEMUXERS = (
    "aac,ac3,aiff,amr,amrnb,amrwb,asf,au,avi,caf,dsf,dss,dts,dtshd,dv,eac3,flac,flv,gsm,ircam,loas,matroska,"
    "mov,mp3,mpeg,mpegts,mxf,nistsphere,ogg,oma,rm,tta,voc,w64,wav,wv"
)
_WALLS = {
    "format_whitelist": _DEMUXERS,
    "protocol_whitelist": "none",
    "codec_whitelist": ",".join(sorted(DECODERS)),
    "enable_drefs": "0",
    "ignore_chapters": "1",
    "max_streams": "64",
}


@dataclass(frozen=True)
class _Bounds:
    """What opening a file may cost."""

    header_bytes: int | None
    mp4_index: int
    mp4_atoms: int
    options: dict[str, str]


# The index of an m4a has 170 000 entries an hour, each of which takes up to 70 bytes of memory.
_LOOK = _Bounds(4 << 20, 500_000, 20_000, {"probesize": str(1 << 20), "analyzeduration": "2000000"})
_DECODE = _Bounds(None, 8_000_000, 3_000_000, {})


class _Reader:
    """A seekable file without a name and without tags.

    After `limit` bytes it behaves as if it had ended, and `spent` is True.
    """

    def __init__(self, file: BinaryIO, tags: HiddenTags, limit: int | None = None) -> None:
        self._file = file
        self._tags = tags
        self._left = limit
        self.spent = False
        self.tell = file.tell

    def read(self, size: int) -> bytes:
        at = self._file.tell()
        if self._left is not None:
            size = min(size, self._left)
        data = self._file.read(size)
        if self._left is not None:
            self._left -= len(data)
            self.spent = self._left == 0
        return self._tags.hide(at, data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Seek.

        A damaged file may name an impossible place; then ffmpeg gets the error number that it expects.
        """
        try:
            return self._file.seek(offset, whence)
        except (ValueError, OverflowError):
            return -errno.EINVAL
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return -errno.EINVAL


class _TooLong(Exception):
    """Opening the file would cost more than is allowed, so nothing is known of it."""


@contextmanager
def media_file(source: Path | BinaryIO) -> Iterator[BinaryIO]:
    """Open a path, or pass on a file object, which stays open."""
    if isinstance(source, Path):
        with source.open("rb") as file:
            yield file
    else:
        yield source


def _open(file: BinaryIO, bounds: _Bounds) -> InputContainer:
    file.seek(0)
    if not file.read(1):
        raise UnreadableAudio("This file is empty. Check that the recording was saved, then upload it again.")
    file = without_id3(file)
    head = file.read(HEAD_BYTES)
    if not head:
        raise UnreadableAudio
    for magic, message in MAKERS.items():
        if head.startswith(magic):
            raise UnsupportedMedia(message)
    kind = kind_of(head)
    if kind is Kind.FOREIGN:
        raise UnsupportedMedia
    if is_protected(file):
        raise ProtectedMedia
    hidden: dict[int, bytes] = {}
    length = index_length(file, most_atoms=bounds.mp4_atoms, hidden=hidden)
    if length is None or length > bounds.mp4_index:
        raise _TooLong
    file.seek(0)
    tags = HiddenTags(file, head, limit=bounds.header_bytes, known=hidden)
    file.seek(0)
    reader = _Reader(file, tags, bounds.header_bytes)
    try:
        container = av.open(reader, "r", options=_WALLS | bounds.options, metadata_errors="replace")
    except (av.FFmpegError, ValueError) as error:
        if reader.spent:
            raise _TooLong from error
        raise (UnreadableAudio if kind is Kind.MEDIA else UnsupportedMedia) from error
    tags.header_ended()
    if reader.spent and not container.streams.audio:
        # The tracks stand later in the header than was read.
        container.close()
        raise _TooLong
    if kind is Kind.UNKNOWN and not container.streams.audio:
        container.close()
        raise UnsupportedMedia
    return container


@contextmanager
def open_media(source: Path | BinaryIO) -> Iterator[InputContainer]:
    """Open `source` for decoding, from its start. A file object must be seekable, and stays open.

    Raises UnreadableAudio or UnsupportedMedia as the module's docstring says, AudioTooLong if the index alone
    would fill the memory (47 hours of AAC), and OSError if the disk fails.
    """
    with media_file(source) as file:
        try:
            container = _open(file, _DECODE)
        except _TooLong as error:
            raise AudioTooLong from error
        with container:
            yield container


def audio_tracks(container: InputContainer) -> list[AudioStream]:
    """Return the tracks that can be decoded, first the one that a player would choose.

    Raises NoAudio if there is no track with sound, and UnreadableAudio if no decoder knows any of them.
    """
    if not container.streams.audio:
        raise NoAudio
    # PyAV has no codec context for an unknown codec, although its stubs say that it has.
    tracks = [
        track
        for track in container.streams.audio
        if getattr(track, "codec_context", None) is not None and track.codec_context.codec.name in DECODERS
    ]
    if not tracks:
        raise UnreadableAudio(
            "The sound in this file is coded in a way that cannot be read here. "
            "Convert it to MP3, M4A or FLAC and upload it again."
        )
    best = container.streams.best("audio")
    return sorted(tracks, key=lambda track: best is None or track.index != best.index)


def probe(source: Path | BinaryIO) -> MediaInfo:
    """Return what the header of `source` says. It costs a few MB of reading and of memory.

    If the header would cost more, everything in the answer is '', 0 or None, and `decode` must judge the
    file. Raises UnreadableAudio, UnsupportedMedia or NoAudio, and OSError if the disk fails.
    """
    with media_file(source) as file:
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
