"""Place each frame of a track on a timeline. Time stamps are believed as far as they agree with the sound."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import gcd, inf

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from speech.sound.channels import Channels, Mixer, channel_names
from speech.types import SAMPLE_RATE, DecodeReport
from speech.voice.band import Float

_BLOCK = SAMPLE_RATE
_GAP_S = 0.060  # the time stamps of a sound recording jitter by less
_GAP_AFTER_DAMAGE_S = 0.005
_RESTART_S = 0.5  # a clock that goes back further was restarted: chained ogg, joined files
_PAUSE_S = 60.0  # the longest pause between two files of one clock
_LONGEST_GAP_S = 3600.0  # a longer one is a wrong time stamp


def _is_gap(late_s: float, *, exact: bool) -> bool:
    return late_s > (_GAP_AFTER_DAMAGE_S if exact else _GAP_S)


def _is_repeated(late_s: float, length_s: float) -> bool:
    return late_s < -_GAP_S and late_s + length_s <= 0


class TrackTimeline:
    """Resamples and mixes frames, and puts each where its time stamp says, in samples from the file's zero.

    What lies before the sample `keep_from` has its place, but is not returned. `on_channels` is given what is
    mixed, as it was before.
    """

    def __init__(
        self,
        report: DecodeReport,
        keep_from: int = 0,
        on_channels: Callable[[Channels], None] | None = None,
    ) -> None:
        self._on_channels = on_channels
        self._zero_s: float | None = None
        self._begin_s = 0.0  # where this file began, if several were joined
        self._origin_s: float | None = None
        self._report = report
        self._keep_from = keep_from
        self._resampler: AudioResampler | None = None
        self._setup: tuple[str, str, int] | None = None
        self._mixer = Mixer(("FC",))
        self._channels = 1
        self._out = 0  # samples that came out or were passed over
        self._base = 0  # the value of _out at the last gap or change
        self._fed_s = 0.0  # given to the resampler or passed over since
        self._passed = 0  # samples passed over since, at the rate of the frames

    @property
    def end(self) -> float:
        """Where the last frame ends, in samples from the file's zero.

        The resampler still holds some of it.
        """
        return self._base + self._fed_s * SAMPLE_RATE

    def begin_file(self, zero_s: float | None) -> None:
        """Begin another file, whose time stamps begin at `zero_s`.

        It begins where the last file ended, or later if the clock of the last file went on.
        """
        goes_on = zero_s is not None and zero_s > _RESTART_S and -_GAP_S < zero_s - self.clock_s < _PAUSE_S
        self._zero_s = zero_s
        self._setup = None
        if self._origin_s is None or not goes_on:
            self._begin_s = self.end / SAMPLE_RATE
            self._origin_s = None

    @property
    def clock_s(self) -> float:
        """The time stamp of a frame that begins where the last one ends."""
        origin_s = self._origin_s if self._origin_s is not None else (self._zero_s or 0.0) - self._begin_s
        return origin_s + self._base / SAMPLE_RATE + self._fed_s

    def pass_by(self, samples: int) -> None:
        """Move on by `samples` that were not decoded by this object."""
        self._out += samples
        self._base, self._fed_s, self._passed = self._out, 0.0, 0

    def pass_over(
        self, start_s: float | None, samples: int, rate: int, *, exact: bool = False, until: float = inf
    ) -> bool:
        """Do what `add` does with a frame of `samples` at `rate`, but without the samples themselves.

        If the frame would end after `until`, in samples from the zero, do nothing and return False.
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

    def add(self, frame: AudioFrame, start_s: float | None, *, exact: bool) -> Iterator[Float]:
        """Yield the samples that this frame completes, after silence if there was a gap.

        `exact` says that something was lost just before, so that even a short gap is real.
        """
        setup = (frame.format.name, frame.layout.name, frame.sample_rate)
        if setup != self._setup:
            if self._setup is not None:
                self._report.format_changes += 1
            yield from self.finish()
            self._setup = setup
            self._channels = frame.layout.nb_channels
            self._mixer = Mixer(channel_names(frame))
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
            # The layout stays as it is: ffmpeg would mix it as loudspeakers, and it may be microphones. The
            # format is packed, because PyAV reads beyond the end of a frame of more than eight planes.
            self._resampler = AudioResampler(format="flt", rate=SAMPLE_RATE)
            if self._passed:
                yield from self._aligned(self._resampler, frame)
        frame.pts = None
        self._fed_s += length_s
        yield from self._resampled(self._resampler, frame)

    def _aligned(self, resampler: AudioResampler, frame: AudioFrame) -> Iterator[Float]:
        """Feed zeros before the first `frame` after those that were passed over.

        With them, the resampler begins where an output sample falls on an input sample.
        """
        rate = frame.sample_rate
        length = self._passed % (rate // gcd(rate, SAMPLE_RATE))
        self._out = self._base + (self._passed - length) * SAMPLE_RATE // rate
        self._passed = 0
        if length:
            zeros = AudioFrame(frame.format.packed.name, frame.layout.name, length)
            zeros.sample_rate = rate
            zeros.planes[0].update(bytes(zeros.planes[0].buffer_size))
            for same in AudioResampler(format=frame.format).resample(zeros):
                yield from self._resampled(resampler, same)

    def finish(self) -> Iterator[Float]:
        """Yield what is left. The next frame may have other channels."""
        yield from self.flush()
        yield from self._mixed(self._mixer.finish())

    def flush(self) -> Iterator[Float]:
        """Yield what the resampler still holds. The next frame gets a new resampler."""
        if self._resampler is not None:
            yield from self._resampled(self._resampler, None)
            self._start_anew()

    def _start_anew(self) -> None:
        self._resampler = None
        self._base, self._fed_s, self._passed = self._out, 0.0, 0

    def _late_s(self, start_s: float) -> float:
        """Return how far `start_s` lies behind the end of what was added; 0 if the clock cannot be
        believed.
        """
        if self._origin_s is None:
            # The file's zero counts, not the track's: video may begin before its sound.
            zero_s = start_s if self._zero_s is None else self._zero_s
            sane = 0 <= start_s - zero_s < _LONGEST_GAP_S
            self._report.clock_jumps += start_s - zero_s >= _LONGEST_GAP_S
            self._origin_s = (zero_s if sane else start_s) - self._begin_s
        late_s = start_s - self.clock_s
        if -_RESTART_S <= late_s <= _LONGEST_GAP_S:
            return late_s
        self._report.clock_jumps += 1
        self._origin_s += late_s
        return 0.0

    def _silence(self, length_s: float) -> Iterator[Float]:
        left = max(0, round(length_s * SAMPLE_RATE))
        while left:
            length = min(left, _BLOCK)
            left -= length
            silence = self._kept(np.zeros((self._channels, length), dtype=np.float32))
            self._report.filled_samples += silence.shape[1]
            yield from self._fed(silence)
        self._base = self._out

    def _kept(self, samples: Channels) -> Channels:
        first = max(0, self._keep_from - self._out)
        self._out += samples.shape[1]
        return samples[:, first:]

    def _resampled(self, resampler: AudioResampler, frame: AudioFrame | None) -> Iterator[Float]:
        try:
            parts = resampler.resample(frame)
        except (av.FFmpegError, ValueError):
            self._report.bad_packets += 1
            self._start_anew()
            return
        for part in parts:
            channels = part.layout.nb_channels
            # `to_ndarray` joins planes, of which there is only one here, and takes three times as long.
            packed = np.frombuffer(part.planes[0], np.float32, part.samples * channels)  # type: ignore[call-overload]
            yield from self._fed(self._kept(packed.reshape(-1, channels).T))

    def _fed(self, channels: Channels) -> list[Float]:
        if self._on_channels is not None:
            self._on_channels(channels)
        return self._mixed(self._mixer.feed(channels))

    def _mixed(self, blocks: list[Float]) -> list[Float]:
        self._report.peak = max(self._report.peak, self._mixer.peak)
        return blocks
