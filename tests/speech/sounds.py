"""Makes small media files for the tests, with PyAV's encoders."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.stream import Disposition

from speech.sound.decode import decode
from speech.sound.tracks.wish import TrackWish
from speech.types import DecodeReport

Pcm = npt.NDArray[np.int16]


def tone(length_s: float, *, hz: float = 440.0, rate: int = 16_000, level: float = 0.3) -> Pcm:
    time_s = np.arange(round(length_s * rate)) / rate
    return np.rint(32767 * level * np.sin(2 * np.pi * hz * time_s)).astype(np.int16)


def silence(length_s: float, *, rate: int = 16_000) -> Pcm:
    return np.zeros(round(length_s * rate), dtype=np.int16)


def beeps(length_s: int, *, rate: int = 16_000) -> Pcm:
    """A beep of 50 ms half a second after every full one: by their places, shifted times are seen."""
    second = [silence(0.5, rate=rate), tone(0.05, hz=1000.0, rate=rate), silence(0.45, rate=rate)]
    return np.tile(np.concatenate(second), length_s)


def beep_times_ms(samples: Pcm) -> list[int]:
    """When the beeps of `beeps` start in 16 kHz samples."""
    times: list[int] = []
    for index in np.flatnonzero(np.abs(samples.astype(np.int32)) > 800):
        ms = int(index) // 16
        if not times or ms - times[-1] > 200:
            times.append(ms)
    return times


def decoded(
    source: Path | bytes, *, max_duration_s: int = 3600, wish: TrackWish | None = None
) -> tuple[Pcm, DecodeReport]:
    """All of a recording at once, with the report."""
    report = DecodeReport()
    given = BytesIO(source) if isinstance(source, bytes) else source
    blocks = decode(given, report=report, max_duration_s=max_duration_s, wish=wish)
    return np.concatenate(list(blocks)), report


@dataclass
class Track:
    """One track of sound. `pcm` is (n,) or (n, channels). Packets that start within `hole_s` are left out."""

    pcm: Pcm
    rate: int = 16_000
    codec: str = "pcm_s16le"
    start_s: float = 0.0
    default: bool = False
    language: str = ""
    title: str = ""
    hole_s: tuple[float, float] = (0.0, 0.0)


def write_media(target: Path, *tracks: Track, kind: str, video_s: float = 0.0, **options: str) -> Path:
    """Write `target` as a `kind` ("wav", "mp4", "matroska", ...) with these tracks and black video."""
    with av.open(str(target), "w", format=kind, options=options) as out:
        picture = out.add_stream("mpeg4", rate=10) if video_s else None
        streams = []
        for track in tracks:
            stream = out.add_stream(track.codec, rate=track.rate)
            stream.layout = {1: "mono", 2: "stereo", 6: "5.1"}[track.pcm.reshape(len(track.pcm), -1).shape[1]]
            if track.default:
                stream.disposition = Disposition.default
            for name in ("language", "title"):
                if tag := getattr(track, name):
                    stream.metadata[name] = tag
            streams.append(stream)
        if picture:
            picture.width = picture.height = 64
            picture.pix_fmt = "yuv420p"
            for number in range(round(video_s * 10)):
                frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), dtype=np.uint8), format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 10)
                out.mux(picture.encode(frame))
            out.mux(picture.encode(None))
        for track, stream in zip(tracks, streams, strict=True):
            _write_track(out, track, stream)
    return target


def _write_track(out: av.container.OutputContainer, track: Track, stream: av.AudioStream) -> None:
    pcm = track.pcm.reshape(len(track.pcm), -1)
    packets: list[av.Packet] = []
    for start in range(0, len(pcm), track.rate // 50):
        packed = np.ascontiguousarray(pcm[start : start + track.rate // 50]).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, format="s16", layout=stream.layout.name)
        frame.sample_rate = track.rate
        frame.time_base = Fraction(1, track.rate)
        frame.pts = start + round(track.start_s * track.rate)
        packets += stream.encode(frame)
    for packet in packets + stream.encode(None):
        if not track.hole_s[0] <= float(packet.pts * packet.time_base) < track.hole_s[1]:
            out.mux(packet)


class Counting(BytesIO):
    """A file that counts the bytes that are read of it."""

    count = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.count += len(data)
        return data
