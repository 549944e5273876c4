"""Decode any audio or video to 16 kHz mono, as a stream, so that memory does not grow with the file.

A damaged recording is read as far as possible. Only what cannot be decoded is lost, and silence takes its
place, so that later times stay what a player shows. Samples are believed, headers are not.

A stream that still grows is decoded in pieces. What lies before a piece is demuxed and not decoded: the
lengths of its packets tell to the sample where the piece begins.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
import numpy.typing as npt
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Discard

from speech.errors import AudioTooLong, NoAudio, SpeechError, UnreadableAudio, UnsupportedMedia
from speech.files.concatenated import layout_of
from speech.files.parts import Part, PartFile
from speech.probing.mp4_index import index_length
from speech.probing.probe import media_file, open_media
from speech.sound.channels import Channels
from speech.sound.level import GainControl
from speech.sound.packets import decoder_of, frames_of, packets_after, packets_of, start_s_of
from speech.sound.timeline import TrackTimeline
from speech.sound.tracks.choice import Choice
from speech.sound.tracks.choosing import choose_tracks
from speech.sound.tracks.mixing import mix_tracks
from speech.sound.tracks.wish import TrackWish
from speech.types import SAMPLE_RATE, DecodeReport
from speech.voice.band import Float

Samples = npt.NDArray[np.int16]

_BLOCK = SAMPLE_RATE
_SAYS_LENGTH = {
    "flac",
    "nistsphere",
    "tta",
    "wv",
}  # formats whose headers state the length in samples, wherever the file is cut off
_SHORT_S = 0.5  # a smaller difference means nothing: headers round, and count padding of the encoder
_MOST_MISSING_S = 48 * 3600.0  # no header is believed beyond this
# All open copies of an mp4 together may have as much as one file.
_INDEX_ENTRIES, _INDEX_ATOMS = 8_000_000, 3_000_000

_SHORTEST_RAISED_S = 8.0  # a shorter piece may be all pause

# In these formats the time stamps only count packets, in units of the first packet's rate. They are no clock.
_COUNTED = {"mp3", "aac", "ac3", "eac3", "loas", "dts"}

# This much is decoded before a piece and thrown away. An Opus decoder needs 80 ms to become independent of
# its start.
_LEAD_IN = SAMPLE_RATE


def decode(
    source: Path | BinaryIO,
    *,
    report: DecodeReport,
    max_duration_s: int,
    start_sample: int | None = None,
    wish: TrackWish | None = None,
    on_channels: Callable[[Channels], None] | None = None,
) -> Iterator[Samples]:
    """Yield the recording as 16 kHz mono int16 blocks of about a second, and fill `report` meanwhile.

    Of several audio tracks it decodes those of the `wish`, as `speech.sound.tracks` says; at the end the
    report tells which. The channels of each track become one, in which the speech of all is heard
    (`speech.sound.channels`), and soft recordings are made louder (`speech.sound.level`). So a block comes
    when the half minute after it has been decoded.

    With a `start_sample`, which may be 0, `source` is a stream as far as it has arrived. The blocks are then
    what lies at or after that sample of the timeline; `report` and `max_duration_s` count only those. A
    packet that is cut off at the end is left for the piece with its rest, and it is no error if there is no
    sound. Only one track is decoded.

    `on_channels` is given the samples of all channels before they become one, or of several tracks side by
    side, of shape (channels, n). It is called before the block with the same sound comes.

    Raises, during the iteration, AudioTooLong if more than `max_duration_s` come out, UnreadableAudio,
    UnsupportedMedia, NoAudio, NoSuchTrack, and OSError if the disk fails.
    """
    gain_control = GainControl(shortest_s=0 if start_sample is None else _SHORTEST_RAISED_S)
    others: list[DecodeReport] = []
    with media_file(source) as file:
        pieces = _all_samples(file, report, others, wish or TrackWish(), start_sample, on_channels)
        for block in gain_control.to_int16(_blocks(pieces)):
            report.samples += len(block)
            report.raised, report.raised_samples = gain_control.raised, gain_control.raised_samples
            # One second more is allowed, because encoders pad the last frame.
            if report.samples > (max_duration_s + 1) * SAMPLE_RATE:
                raise AudioTooLong(
                    f"This recording is longer than {timedelta(seconds=max_duration_s)} (h:mm:ss), "
                    "which is the limit. Split it and upload the parts."
                )
            yield block
    # A track that cannot be read is silence, while another one may be heard.
    heard = any(report.samples > one.filled_samples for one in (report, *others))
    for other in others:
        report.add_track(other)
    if start_sample is None and not heard:
        raise UnreadableAudio if report.damaged else NoAudio


def _all_samples(
    file: BinaryIO,
    report: DecodeReport,
    others: list[DecodeReport],
    wish: TrackWish,
    start_sample: int | None,
    on_channels: Callable[[Channels], None] | None,
) -> Iterator[Float]:
    """Yield the samples of all files that `file` holds one after another, on one timeline.

    If one of several files cannot be read, its bytes count as unread. If none can, this raises the error of
    the first. `others` gets the reports of the tracks that are heard beside the first.
    """
    layout = layout_of(file)
    report.unread_bytes = layout.unread_bytes
    report.parts = 0
    timeline = TrackTimeline(report, start_sample or 0, on_channels)
    first_error: SpeechError | None = None
    for part in layout.parts:
        try:
            choice = _choice(file, part, wish, one=start_sample is not None)
            if choice.count > 1 and not report.audio_tracks:
                report.audio_tracks = choice.as_json()
            if len(choice.heard) > 1:
                yield from _several(file, part, choice, report, others, timeline, on_channels)
            else:
                is_last = part is layout.parts[-1]
                yield from _track(
                    file, part, choice.heard[0], report, timeline, start_sample, is_last=is_last
                )
            report.parts += 1
        except (UnreadableAudio, NoAudio, UnsupportedMedia) as error:
            first_error = first_error or error
            if isinstance(error, UnsupportedMedia) and part is layout.parts[0]:
                break
            report.unread_bytes += part.end - part.start
    if first_error is not None and not report.parts:
        report.unread_bytes = 0
        raise first_error


def _choice(file: BinaryIO, part: Part, wish: TrackWish, *, one: bool) -> Choice:
    """Return the tracks to hear.

    Of a stream only `one` is heard, because its pieces may differ in length between tracks.
    """

    def listen(number: int) -> Iterator[Float]:
        unread = DecodeReport()
        return _track(file, part, number, unread, TrackTimeline(unread))

    with open_media(PartFile(file, part)) as container:
        choice = choose_tracks(container, wish, listen, at_once=_at_once(file, part))
    if one:
        choice.leave_out(choice.heard[1:], "stream")
        choice.heard, choice.gains = choice.heard[:1], [1.0]
    return choice


def _at_once(file: BinaryIO, part: Part) -> int:
    """Return how many times the file can be open at once. Each open copy keeps its index in memory."""
    entries = index_length(PartFile(file, part), most_atoms=_INDEX_ATOMS)
    return 1 if entries is None else _INDEX_ENTRIES // max(1, entries)


def _several(
    file: BinaryIO,
    part: Part,
    choice: Choice,
    report: DecodeReport,
    others: list[DecodeReport],
    timeline: TrackTimeline,
    on_channels: Callable[[Channels], None] | None,
) -> Iterator[Float]:
    """Yield several tracks as one sound. Each has its own clock, which begins where `timeline` ends."""
    beside = [DecodeReport() for _ in choice.heard[1:]]
    others += beside
    tracks = [
        _track(file, part, number, one, TrackTimeline(one))
        for number, one in zip(choice.heard, [report, *beside], strict=True)
    ]
    try:
        for block in mix_tracks(tracks, choice.gains, on_channels):
            timeline.pass_by(len(block))
            yield block
    finally:
        for track in tracks:
            track.close()


def _track(
    file: BinaryIO,
    part: Part,
    number: int,
    report: DecodeReport,
    timeline: TrackTimeline,
    start_sample: int | None = None,
    *,
    is_last: bool = True,
) -> Generator[Float, None, None]:
    """Yield the samples of one track of a part of `file`. Several tracks can be read side by side."""
    with open_media(PartFile(file, part)) as container:
        stream = container.streams.audio[number]
        report.container = report.container or container.format.name
        report.audio_streams = report.audio_streams or len(container.streams.audio)
        began = timeline.end
        yield from _timed_samples(container, stream, report, timeline, start_sample, is_last=is_last)
        if start_sample is None and (part.cut_off or container.format.name in _SAYS_LENGTH):
            read_s = (timeline.end - began) / SAMPLE_RATE
            if part.missing_bytes:
                missing_s = read_s * part.missing_bytes / (part.end - part.start)
            else:
                missing_s = _stated_s(container, stream) - read_s
            if container.format.name == "ogg":  # an ogg page tells only that the last one is not whole
                report.cut_off = True
            elif missing_s > _SHORT_S:
                report.cut_off = True
                report.cut_off_samples += round(min(missing_s, _MOST_MISSING_S) * SAMPLE_RATE)


def _stated_s(container: InputContainer, stream: AudioStream) -> float:
    """Return how long the track is by its header, from the file's zero; 0 if the header does not say it."""
    if stream.duration and stream.time_base:
        late_s = (stream.start_time or 0) * stream.time_base - (container.start_time or 0) / av.time_base
        return float(stream.duration * stream.time_base) + max(0.0, float(late_s))
    return (container.duration or 0) / av.time_base


def _timed_samples(
    container: InputContainer,
    stream: AudioStream,
    report: DecodeReport,
    timeline: TrackTimeline,
    start_sample: int | None = None,
    *,
    is_last: bool = True,
) -> Iterator[Float]:
    """Yield one track as one channel, from the file's zero or from `start_sample` on, as `decode` says.

    In the last file, what lies before `start_sample` is not decoded. In earlier files it is, because only
    decoding shows their end to the sample.
    """
    for other in container.streams:
        if other.index != stream.index:
            other.discard = Discard.all
    decoder = decoder_of(stream)
    report.codec = report.codec or decoder.codec.canonical_name
    counted = container.format.name in _COUNTED
    timeline.begin_file(None if container.start_time is None else container.start_time / av.time_base)
    packets = packets_of(container, stream, report)
    if start_sample is not None and not counted:
        packets = (packet for packet in packets if not packet.is_corrupt)
        if is_last:
            packets = packets_after(packets, decoder, timeline, start_sample - _LEAD_IN)
    last_s: float | None = None
    for frame, lost_s, exact in frames_of(packets, decoder, report):
        start_s = timeline.clock_s + lost_s if counted else start_s_of(frame)
        if start_s == last_s:
            start_s = None  # a clock that stands still, as in old RealAudio
        else:
            last_s = start_s
        yield from timeline.add(frame, start_s, exact=exact)
        if start_sample and timeline.end < start_sample + 1:
            _forget_damage(report)  # an earlier piece has reported it
    yield from timeline.finish()


def _forget_damage(report: DecodeReport) -> None:
    report.bad_packets = report.bad_reads = report.filled_samples = 0
    report.dropped_samples = report.format_changes = report.clock_jumps = 0


def _blocks(pieces: Iterable[Float]) -> Iterator[Float]:
    """Join pieces to blocks of a second or a little more. The last block may be shorter."""
    held: list[Float] = []
    length = 0
    for piece in pieces:
        held.append(piece)
        length += len(piece)
        if length >= _BLOCK:
            yield np.concatenate(held)
            held, length = [], 0
    if length:
        yield np.concatenate(held)
