"""The packets of a track, and the frames in them, as far as they can be read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from itertools import chain
from typing import TypeAlias, cast

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet

from speech.sound.timeline import TrackTimeline
from speech.types import SAMPLE_RATE, DecodeReport

AudioPacket: TypeAlias = "Packet[AudioStream]"  # generic only to type checkers

_FAILED_READS = 50
_RATES = range(2_000, 768_001)  # outside of it, one frame of a hostile file could fill the memory
_CHANNELS = range(1, 65)
# This many packets are always decoded. They show what the encoder put in front, and how long AAC frames are.
_HEAD_PACKETS = 50
_OPUS_RATE = 48_000  # the rate of the decoder, whatever the rate of the recording
# ffmpeg's own decoders refuse the pauses of a phone recording (DTX); those of OpenCORE know them.
_BETTER_DECODERS = {"amrnb": "libopencore_amrnb", "amrwb": "libopencore_amrwb"}


def decoder_of(stream: AudioStream) -> AudioCodecContext:
    """Return the decoder that reads the track best here."""
    name = _BETTER_DECODERS.get(stream.codec_context.name, "")
    if name not in av.codecs_available:
        return stream.codec_context
    decoder = cast(AudioCodecContext, av.CodecContext.create(name, "r"))
    decoder.sample_rate = stream.codec_context.sample_rate
    decoder.layout = "mono"
    return decoder


def packets_of(container: InputContainer, stream: AudioStream, report: DecodeReport) -> Iterator[AudioPacket]:
    """Yield the packets of one track.

    The demuxer may fail between two packets and still find the next one.
    """
    failures = 0
    while failures < _FAILED_READS:
        try:
            for packet in container.demux(stream):
                failures = 0
                # An empty packet would tell the decoder that the stream ends.
                if packet.size:
                    yield packet
        except av.FFmpegError:
            failures += 1
            report.bad_reads += 1
        else:
            return


def frames_of(
    packets: Iterable[AudioPacket], decoder: AudioCodecContext, report: DecodeReport
) -> Iterator[tuple[AudioFrame, float, bool]]:
    """Yield each frame with the seconds that could not be decoded just before it, and whether there were any.

    The seconds are right if each packet has one frame. The parser of such a format joins several damaged
    frames in one packet; the size of the packet tells how many.
    """
    mean_size = 0.0
    lost = 0
    for packet in packets:
        try:
            frames = decoder.decode(packet)
        except av.FFmpegError:
            if _is_index(packet):
                continue
            report.bad_packets += 1
            lost += max(1, round(packet.size / mean_size)) if mean_size else 1
            continue
        for frame in frames:
            if frame.sample_rate not in _RATES or frame.layout.nb_channels not in _CHANNELS:
                report.bad_packets += 1
            elif frame.samples:
                yield frame, lost * frame.samples / frame.sample_rate, lost > 0
                lost = 0
        if frames:
            mean_size = 0.98 * mean_size + 0.02 * packet.size if mean_size else packet.size
    try:
        rest = decoder.decode(None)
    except av.FFmpegError:
        return  # it had nothing left
    for frame in rest:
        yield frame, 0.0, lost > 0


def _is_index(packet: AudioPacket) -> bool:
    """Whether the packet is the index before the sound of an MP3 file.

    Between two joined files there is one.
    """
    head = bytes(memoryview(packet)[:40])
    return head[:1] == b"\xff" and any(
        head[at : at + 4] in (b"Xing", b"Info", b"VBRI") for at in (13, 21, 36)
    )


@cache
def opus_samples(head: bytes) -> int:
    """Return the length of an Opus packet, in samples at 48 kHz, from its first two bytes (RFC 6716, 3.1)."""
    mode, count = head[0] >> 3, head[0] & 3
    if mode < 12:  # SILK
        length = (480, 960, 1920, 2880)[mode & 3]
    elif mode < 16:  # hybrid
        length = (480, 960)[mode & 1]
    else:  # CELT
        length = 120 << (mode & 3)
    return length * ((1, 2, 2)[count] if count < 3 else head[-1] & 63)


def start_s_of(timed: AudioPacket | AudioFrame) -> float | None:
    """Return the time stamp of a packet or frame in seconds; None if it has none."""
    tick = timed.time_base  # a new Fraction each time
    if timed.pts is None or not tick:
        return None
    # This is the same number as with fractions, which would take a tenth of all decoding time.
    return timed.pts * tick.numerator / tick.denominator


def packets_after(
    packets: Iterator[AudioPacket], decoder: AudioCodecContext, timeline: TrackTimeline, lead_in: int
) -> Iterator[AudioPacket]:
    """Yield the packets that end after the sample `lead_in`, and tell `timeline` of those before it.

    It yields all packets of codecs whose lengths only decoding shows. An earlier packet that cannot be
    decoded counts as a good one; then the first samples may be off by the jitter of the time stamps.
    """
    opus = decoder.name in ("opus", "libopus")
    before_s = (lead_in - timeline.end) / SAMPLE_RATE
    if before_s <= 0 or not (opus or decoder.name == "aac"):
        yield from packets
        return
    head: list[AudioPacket] = []
    for packet in packets:
        elapsed_s = (start_s_of(packet) or 0.0) - (start_s_of(head[0]) or 0.0) if head else 0.0
        if len(head) == _HEAD_PACKETS or elapsed_s > before_s:
            packets = chain([packet], packets)
            break
        head.append(packet)
    samples = rate = 0
    for frame, _, exact in frames_of(head, decoder, DecodeReport()):
        samples, rate = frame.samples, frame.sample_rate
        timeline.pass_over(start_s_of(frame), samples, rate, exact=exact)
    decoder.flush_buffers()
    # A Fraction for each of the 180 000 packets of an hour would take as long as reading them.
    tick_s = float(head[0].time_base) if head and head[0].time_base else 0.0
    for packet in packets:
        if opus:
            samples, rate = opus_samples(bytes(memoryview(packet)[:2])), _OPUS_RATE
        start_s = packet.pts * tick_s if packet.pts is not None and tick_s else None
        if not samples or not timeline.pass_over(start_s, samples, rate, until=lead_in):
            yield packet
            break
    yield from packets
