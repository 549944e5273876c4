"""Any audio or video to 16 kHz mono, as a stream: memory does not grow with the file.

A recording that is damaged is read as far as it can be. What cannot be decoded costs only itself, and silence
takes its place so that later times stay what a player shows. Samples are believed, headers are not.

A stream that still grows is decoded piece by piece. What lies before a piece is demuxed and not decoded: the
lengths of its packets are enough to know to the sample where the piece begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from functools import cache
from itertools import chain
from math import gcd, inf
from pathlib import Path
from typing import BinaryIO, TypeAlias, cast

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard

from speech.channels import Samples, mean_of_channels, to_mono
from speech.errors import AudioTooLong, NoAudio, UnreadableAudio
from speech.probe import audio_tracks, open_media
from speech.types import SAMPLE_RATE, DecodeReport

_Packet: TypeAlias = "Packet[AudioStream]"  # generic only to type checkers

_BLOCK = SAMPLE_RATE
_GAP_S = 0.060  # time stamps of a sound recording jitter by less
_GAP_AFTER_DAMAGE_S = 0.005
_RESTART_S = 0.5  # a clock that goes back further was set anew: chained ogg, joined files
_LONGEST_GAP_S = 3600.0  # a longer one is a wrong time stamp
_FAILED_READS = 50
_RATES = range(2_000, 768_001)  # outside it, one frame of a hostile file could fill the memory
_CHANNELS = range(1, 65)
_AUDIBLE = 64  # -54 dBFS: above the noise of a muted track, below the peaks of the quietest speech

# In these the time stamps only count packets, so a lost one leaves no gap in them.
_COUNTED = {"mp3", "aac", "ac3", "eac3"}
# ffmpeg's own decoders refuse the pauses of a phone recording (DTX), OpenCORE's know them.
_BETTER_DECODERS = {"amrnb": "libopencore_amrnb", "amrwb": "libopencore_amrwb"}

# Decoded before a piece and thrown away. An Opus decoder needs 80 ms to forget how it was started.
_LEAD_IN = SAMPLE_RATE
# Always decoded: they show what the encoder put in front, and how long the frames of AAC are.
_HEAD_PACKETS = 50
_OPUS_RATE = 48_000  # of the decoder, whatever was recorded


def decode(
    source: Path | BinaryIO, *, report: DecodeReport, max_duration_s: int, start_sample: int | None = None
) -> Iterator[Samples]:
    """Yield the recording as 16 kHz mono int16 blocks of about a second, and fill `report` meanwhile.

    Of several audio tracks it takes the default one, or the first with sound where that one is silent. Where
    the channels of a stereo recording cancel each other out, it takes one of them.

    With a `start_sample`, be it 0, `source` is a stream as far as it has arrived. What lies at or after that
    sample of its timeline comes out, and is what `report` and `max_duration_s` are about. A packet that is
    cut off at the end is left for the piece that brings the rest, and no sound at all is no error.
    Raises, while iterating, AudioTooLong when more than `max_duration_s` come out, UnreadableAudio,
    UnsupportedMedia, NoAudio, and OSError where the disk does.
    """
    track = _track_with_sound(source, max_duration_s)
    with open_media(source) as container:
        stream = audio_tracks(container)[track]
        report.container = container.format.name
        report.audio_streams = len(container.streams.audio)
        if track:
            report.notes.append("The first audio track is silent, so another one was taken.")
        for block in _mono_blocks(_timed_samples(container, stream, report, start_sample)):
            report.samples += len(block)
            # A second of grace: encoders pad the last frame.
            if report.samples > (max_duration_s + 1) * SAMPLE_RATE:
                raise AudioTooLong(
                    f"This recording is longer than {timedelta(seconds=max_duration_s)} (h:mm:ss), "
                    "which is the limit. Split it and upload the parts."
                )
            yield block
    if start_sample is None and report.samples <= report.filled_samples:
        raise UnreadableAudio if report.damaged else NoAudio


def _track_with_sound(source: Path | BinaryIO, max_duration_s: int) -> int:
    """The first of `audio_tracks` in which something can be heard, or 0. A single one is not listened to."""
    with open_media(source) as container:
        count = len(audio_tracks(container))
    for index in range(count) if count > 1 else ():
        with open_media(source) as container:
            heard = 0
            samples = _timed_samples(container, audio_tracks(container)[index], DecodeReport())
            for piece in samples:
                if np.abs(piece.astype(np.int32)).max(initial=0) > _AUDIBLE:
                    return index
                heard += len(piece)
                if heard > max_duration_s * SAMPLE_RATE:
                    break
    return 0


def _timed_samples(
    container: InputContainer, stream: AudioStream, report: DecodeReport, start_sample: int | None = None
) -> Iterator[Samples]:
    """The samples of one track from the file's zero or from `start_sample` on, where `decode` says how.

    They are of shape (n,) for mono and (n, 2) for all else.
    """
    for other in container.streams:
        if other.index != stream.index:
            other.discard = Discard.all
    decoder = _decoder(stream)
    report.codec = decoder.codec.canonical_name
    counted = container.format.name in _COUNTED
    zero_s = None if container.start_time is None else container.start_time / av.time_base
    timeline = _Timeline(zero_s, report, start_sample or 0)
    packets = _packets(container, stream, report)
    if start_sample is not None:
        packets = (packet for packet in packets if not packet.is_corrupt)
        packets = _from_lead_in(packets, decoder, timeline, start_sample - _LEAD_IN)
    for frame, extra_s, exact in _frames(packets, decoder, report, counted=counted):
        yield from timeline.add(frame, _start_s(frame, extra_s), exact=exact)
        if start_sample and timeline.end < start_sample + 1:
            _forget_damage(report)  # which an earlier piece has reported
    yield from timeline.flush()


def _start_s(timed: _Packet | AudioFrame, extra_s: float = 0.0) -> float | None:
    if timed.pts is None or not timed.time_base:
        return None
    return float(timed.pts * timed.time_base) + extra_s


def _forget_damage(report: DecodeReport) -> None:
    report.bad_packets = report.bad_reads = report.filled_samples = 0
    report.dropped_samples = report.format_changes = report.clock_jumps = 0


def _from_lead_in(
    packets: Iterator[_Packet], decoder: AudioCodecContext, timeline: _Timeline, lead_in: int
) -> Iterator[_Packet]:
    """The packets that end after the sample `lead_in`, when `timeline` has been told of those before it.

    All packets where only decoding shows how long they are. A packet before it that cannot be decoded counts
    as a good one: the samples at the start may then be off by the jitter of the time stamps.
    """
    opus = decoder.name in ("opus", "libopus")
    if lead_in <= 0 or not (opus or decoder.name == "aac"):
        yield from packets
        return
    head: list[_Packet] = []
    for packet in packets:
        elapsed_s = (_start_s(packet) or 0.0) - (_start_s(head[0]) or 0.0) if head else 0.0
        if len(head) == _HEAD_PACKETS or elapsed_s > lead_in / SAMPLE_RATE:
            packets = chain([packet], packets)
            break
        head.append(packet)
    samples = rate = 0
    for frame, extra_s, exact in _frames(head, decoder, DecodeReport(), counted=False):
        samples, rate = frame.samples, frame.sample_rate
        timeline.pass_over(_start_s(frame, extra_s), samples, rate, exact=exact)
    decoder.flush_buffers()
    # A fraction for each of the 180 000 packets of an hour would take as long as reading them.
    tick_s = float(head[0].time_base) if head and head[0].time_base else 0.0
    for packet in packets:
        if opus:
            samples, rate = _opus_samples(bytes(memoryview(packet)[:2])), _OPUS_RATE
        start_s = packet.pts * tick_s if packet.pts is not None and tick_s else None
        if not samples or not timeline.pass_over(start_s, samples, rate, until=lead_in):
            yield packet
            break
    yield from packets


@cache
def _opus_samples(head: bytes) -> int:
    """The length that the first two bytes of an Opus packet state (RFC 6716, 3.1), in samples at 48 kHz."""
    mode, count = head[0] >> 3, head[0] & 3
    if mode < 12:  # SILK
        length = (480, 960, 1920, 2880)[mode & 3]
    elif mode < 16:  # hybrid
        length = (480, 960)[mode & 1]
    else:  # CELT
        length = 120 << (mode & 3)
    return length * ((1, 2, 2)[count] if count < 3 else head[-1] & 63)


def _decoder(stream: AudioStream) -> AudioCodecContext:
    name = _BETTER_DECODERS.get(stream.codec_context.name, "")
    if name not in av.codecs_available:
        return stream.codec_context
    decoder = cast(AudioCodecContext, av.CodecContext.create(name, "r"))
    decoder.sample_rate = stream.codec_context.sample_rate
    decoder.layout = "mono"
    return decoder


def _packets(container: InputContainer, stream: AudioStream, report: DecodeReport) -> Iterator[_Packet]:
    """The packets of one track. The demuxer may fail between two of them and still find the next one."""
    failures = 0
    while failures < _FAILED_READS:
        try:
            for packet in container.demux(stream):
                failures = 0
                # An empty packet would tell the decoder that this is the end.
                if packet.size:
                    yield packet
        except av.FFmpegError:
            failures += 1
            report.bad_reads += 1
        else:
            return


def _frames(
    packets: Iterable[_Packet], decoder: AudioCodecContext, report: DecodeReport, *, counted: bool
) -> Iterator[tuple[AudioFrame, float, bool]]:
    """Frames with the seconds by which their time stamps are early, and whether the packet before was bad.

    The parser of a `counted` format joins several damaged frames in one packet and counts it as one. How many
    they were follows from the packet's size.
    """
    mean_size = frame_s = extra_s = 0.0
    damaged = False
    for packet in packets:
        try:
            frames = decoder.decode(packet)
        except av.FFmpegError:
            report.bad_packets += 1
            damaged = True
            if counted and mean_size:
                extra_s += max(0, round(packet.size / mean_size) - 1) * frame_s
            continue
        for frame in frames:
            if frame.sample_rate not in _RATES or frame.layout.nb_channels not in _CHANNELS:
                report.bad_packets += 1
            elif frame.samples:
                yield frame, extra_s, damaged
                damaged = False
                frame_s = frame.samples / frame.sample_rate
        if counted and frames:
            mean_size = 0.98 * mean_size + 0.02 * packet.size if mean_size else packet.size
    try:
        rest = decoder.decode(None)
    except av.FFmpegError:
        return  # it had nothing left
    for frame in rest:
        yield frame, extra_s, damaged


def _is_gap(late_s: float, *, exact: bool) -> bool:
    return late_s > (_GAP_AFTER_DAMAGE_S if exact else _GAP_S)


def _is_repeated(late_s: float, length_s: float) -> bool:
    return late_s < -_GAP_S and late_s + length_s <= 0


class _Timeline:
    """Resamples frames and puts each where its time stamp says, in samples from the file's zero.

    What lies before the sample `keep_from` has its place, and is not given out.
    """

    def __init__(self, zero_s: float | None, report: DecodeReport, keep_from: int = 0) -> None:
        self._zero_s = zero_s
        self._origin_s: float | None = None
        self._report = report
        self._keep_from = keep_from
        self._resampler: AudioResampler | None = None
        self._setup: tuple[str, str, int] | None = None
        self._out = 0  # samples that came out or were passed over
        self._base = 0  # the value of _out at the last gap or change
        self._fed_s = 0.0  # given to the resampler or passed over since
        self._passed = 0  # samples passed over since, at the rate of the frames

    @property
    def end(self) -> float:
        """Where the last frame ends, in samples from the file's zero. The resampler still holds some."""
        return self._base + self._fed_s * SAMPLE_RATE

    def pass_over(
        self, start_s: float | None, samples: int, rate: int, *, exact: bool = False, until: float = inf
    ) -> bool:
        """Do as `add` would with a frame of `samples` at `rate`, but without the samples.

        Does nothing and returns False where the frame would end after `until`, in samples from the zero.
        """
        length_s = samples / rate
        late_s = 0.0 if start_s is None else self._late_s(start_s)
        gap = _is_gap(late_s, exact=exact)
        if self.end + (length_s + (late_s if gap else 0.0)) * SAMPLE_RATE > until:
            return False
        if gap:
            self._base = round(self.end + late_s * SAMPLE_RATE)
            self._fed_s, self._passed = 0.0, 0
        if not _is_repeated(late_s, length_s):
            self._fed_s += length_s
            self._passed += samples
        return True

    def add(self, frame: AudioFrame, start_s: float | None, *, exact: bool) -> Iterator[Samples]:
        """The samples that this frame completes, after silence where there was a gap.

        `exact` says that something was lost just before, so that even a short gap is a real one.
        """
        setup = (frame.format.name, frame.layout.name, frame.sample_rate)
        if setup != self._setup:
            if self._setup is not None:
                self._report.format_changes += 1
            yield from self.flush()
            self._setup = setup
        if frame.layout.nb_channels > 2 and frame.layout.name.endswith("channels"):
            frame = mean_of_channels(frame)
        length_s = frame.samples / frame.sample_rate
        if start_s is not None:
            late_s = self._late_s(start_s)
            if _is_gap(late_s, exact=exact):
                yield from self.flush()
                yield from self._silence(self._late_s(start_s))
            elif _is_repeated(late_s, length_s):
                self._report.dropped_samples += round(length_s * SAMPLE_RATE)
                return
        if self._resampler is None:
            # Both channels are kept until `to_mono` has seen whether they cancel each other out.
            layout = "mono" if frame.layout.nb_channels == 1 else "stereo"
            self._resampler = AudioResampler(format="s16", layout=layout, rate=SAMPLE_RATE)
            if self._passed:
                yield from self._aligned(self._resampler, frame)
        frame.pts = None
        self._fed_s += length_s
        yield from self._resampled(self._resampler, frame)

    def _aligned(self, resampler: AudioResampler, frame: AudioFrame) -> Iterator[Samples]:
        """Zeros before the first `frame` after those passed over.

        With them the resampler begins where a sample that comes out falls on one that goes in.
        """
        rate = frame.sample_rate
        length = self._passed % (rate // gcd(rate, SAMPLE_RATE))
        self._out = self._base + (self._passed - length) * SAMPLE_RATE // rate
        self._passed = 0
        if length:
            zeros = AudioFrame(frame.format.name, frame.layout.name, length)
            zeros.sample_rate = rate
            for plane in zeros.planes:
                plane.update(bytes(plane.buffer_size))
            yield from self._resampled(resampler, zeros)

    def flush(self) -> Iterator[Samples]:
        """What the resampler still holds. The next frame gets a new one."""
        if self._resampler is not None:
            yield from self._resampled(self._resampler, None)
            self._start_anew()

    def _start_anew(self) -> None:
        self._resampler = None
        self._base, self._fed_s, self._passed = self._out, 0.0, 0

    def _late_s(self, start_s: float) -> float:
        """How far `start_s` lies behind the end of what was added; 0 where the clock cannot be believed."""
        if self._origin_s is None:
            # The file's zero, not the track's: video may begin before its sound.
            zero_s = start_s if self._zero_s is None else self._zero_s
            self._origin_s = zero_s if 0 <= start_s - zero_s < _LONGEST_GAP_S else start_s
        late_s = start_s - self._origin_s - self._base / SAMPLE_RATE - self._fed_s
        if -_RESTART_S <= late_s <= _LONGEST_GAP_S:
            return late_s
        self._report.clock_jumps += 1
        self._origin_s += late_s
        return 0.0

    def _silence(self, length_s: float) -> Iterator[Samples]:
        left = max(0, round(length_s * SAMPLE_RATE))
        while left:
            length = min(left, _BLOCK)
            left -= length
            for kept in self._kept(np.zeros(length, dtype=np.int16)):
                self._report.filled_samples += len(kept)
                yield kept
        self._base = self._out

    def _kept(self, samples: Samples) -> Iterator[Samples]:
        first = self._keep_from - self._out
        self._out += len(samples)
        if first < len(samples):
            yield samples[max(0, first) :]

    def _resampled(self, resampler: AudioResampler, frame: AudioFrame | None) -> Iterator[Samples]:
        try:
            parts = resampler.resample(frame)
        except (av.FFmpegError, ValueError):
            self._report.bad_packets += 1
            self._start_anew()
            return
        for part in parts:
            channels = part.layout.nb_channels
            samples = part.to_ndarray().reshape(-1, channels).astype(np.int16, copy=False)
            yield from self._kept(samples[:, 0] if channels == 1 else samples)


def _mono_blocks(pieces: Iterable[Samples]) -> Iterator[Samples]:
    """Pieces joined to blocks of a second or a little more; less at the end and before a change."""
    held: list[Samples] = []
    length = 0
    for piece in pieces:
        if held and piece.ndim != held[0].ndim:
            yield to_mono(np.concatenate(held))
            held, length = [], 0
        held.append(piece)
        length += len(piece)
        if length >= _BLOCK:
            yield to_mono(np.concatenate(held))
            held, length = [], 0
    if held:
        yield to_mono(np.concatenate(held))
