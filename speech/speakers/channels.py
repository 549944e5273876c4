"""Calls with a person on each channel, and files with a track for each person: who speaks is who is loud."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from speech.sound.channels import Channels
from speech.sound.decode import decode
from speech.sound.tracks.wish import TrackWish
from speech.speakers.finish.turns import in_order, joined
from speech.speakers.types import Speakers, Turn, Voice
from speech.types import SAMPLE_RATE, DecodeReport, Span, samples_to_ms
from speech.voice.activity import SpeechDetector

_FRAME = SAMPLE_RATE * 30 // 1000
_JUDGED = 120 * SAMPLE_RATE // _FRAME
"""Frames after which it is decided whether the channels are people."""
_MOST = 8
_LOUDER = 10 ** (12 / 10)
_ACTIVE = 0.01
"""The power of a frame in which somebody may speak, relative to that of loud frames."""
_SILENT = 1e-9
_MOST_ALIKE, _LEAST_ONE_SIDED, _LEAST_SHARE = 0.3, 0.5, 0.03


def people_on_channels(
    source: Path | BinaryIO,
    *,
    max_duration_s: int,
    wish: TrackWish | None = None,
    on_progress: Callable[[], None] | None = None,
) -> Speakers | None:
    """Return who speaks when in a file with a person on each channel or track; None if it is no such file.

    Most files that are not are left after two minutes of them. `on_progress` is called after each second of
    sound. Raises what `speech.sound.decode.decode` raises.
    """
    listener = ChannelListener()
    blocks = decode(
        source, report=DecodeReport(), max_duration_s=max_duration_s, wish=wish, on_channels=listener.feed
    )
    for _ in blocks:
        if listener.gave_up:
            return None
        if on_progress is not None:
            on_progress()
    return listener.finish()


class ChannelListener:
    """Finds out whether each channel, or each track, of a recording has a person of its own, and when each
    one speaks. The channels are fed block by block. Of the sound itself, about a second is kept.

    `speech.sound.decode.decode` feeds them, if it is given `feed` as `on_channels`.
    """

    def __init__(self) -> None:
        self._waiting: list[Channels] = []
        self._length = 0
        self._products: list[npt.NDArray[np.float32]] = []
        self._powers: list[npt.NDArray[np.float32]] = []
        self._frames = 0
        self._detectors: list[SpeechDetector] = []
        self._people: list[int] | None = None
        """The channels that are people, when that is decided; none if it is no such recording."""

    def feed(self, channels: Channels) -> None:
        """Take the next samples. A recording whose number of channels changes is not split."""
        if self.gave_up:
            return
        self._detectors = self._detectors or [SpeechDetector() for _ in channels]
        if len(channels) != len(self._detectors) or not 2 <= len(channels) <= _MOST:
            self._give_up()
            return
        self._waiting.append(channels)
        self._length += channels.shape[1]
        if self._length >= SAMPLE_RATE:
            self._take()

    def _take(self) -> None:
        block = np.concatenate(self._waiting, axis=1)
        count = block.shape[1] // _FRAME
        whole, rest = block[:, : count * _FRAME], block[:, count * _FRAME :]
        self._waiting, self._length = [rest.copy()], rest.shape[1]
        for detector, samples in zip(self._detectors, whole, strict=True):
            detector.feed(samples)
        frames = whole.reshape(len(whole), count, _FRAME).transpose(1, 0, 2)
        if self._people is None:
            self._products.append(frames @ frames.transpose(0, 2, 1) / np.float32(_FRAME))
        self._powers.append(np.square(frames).mean(axis=2).astype(np.float32))
        self._frames += count
        if self._people is None and self._frames >= _JUDGED:
            self._judge()

    @property
    def gave_up(self) -> bool:
        """Whether it is already certain that the channels are not people."""
        return self._people == []

    def finish(self) -> Speakers | None:
        """Return who speaks when, without vectors; None if the channels are not people, as in music.

        Nothing can be fed afterwards.
        """
        if self._waiting:
            self._take()
        if self._people is None and self._frames:
            self._judge()
        if not self._people:
            return None
        powers = np.concatenate(self._powers)
        turns: list[Turn] = []
        for channel in self._people:
            others = np.delete(powers, channel, axis=1).max(axis=1)
            drowned = powers[:, channel] * _LOUDER < others
            spans = self._detectors[channel].finish()
            turns += [turn for span in spans for turn in _heard(span, drowned, channel)]
        found, order = in_order(joined(turns))
        return Speakers(found, _overlaps(found), voices=(Voice(),) * len(order))

    def _give_up(self) -> None:
        self._people = []
        self._detectors, self._products, self._powers, self._waiting = [], [], [], []

    def _judge(self) -> None:
        self._people = _people(np.concatenate(self._products))
        self._products = []
        if not self._people:
            self._give_up()


def _people(products: npt.NDArray[np.float32]) -> list[int]:
    """Return the channels that are people, given the products of channels in frames: (frames, n, n)."""
    powers = np.einsum("fcc->fc", products)
    loudest = powers.max(axis=1)
    active = loudest > max(_SILENT, _ACTIVE * float(np.quantile(loudest, 0.95)))
    if not active.any():
        return []
    powers, products = powers[active], products[active]
    second, first = np.sort(powers, axis=1)[:, -2:].T
    alone = np.where(first > second * _LOUDER, powers.argmax(axis=1), -1)
    shares = np.array([(alone == channel).mean() for channel in range(powers.shape[1])])
    people = [int(channel) for channel in np.flatnonzero(shares >= _LEAST_SHARE)]
    if len(people) < 2 or (alone >= 0).mean() <= _LEAST_ONE_SIDED:
        return []
    total = products.sum(axis=0)[np.ix_(people, people)]
    size = np.sqrt(np.diagonal(total))
    alike = np.abs(total / (size[:, None] * size))
    np.fill_diagonal(alike, 0)
    return people if alike.max() < _MOST_ALIKE else []


def _heard(span: Span, drowned: npt.NDArray[np.bool_], channel: int) -> list[Turn]:
    """Return the parts of a channel's speech that are not what another, louder channel says."""
    first, end = (ms * SAMPLE_RATE // 1000 // _FRAME for ms in (span.start_ms, span.end_ms))
    own = ~drowned[first:end]
    edges = np.flatnonzero(np.diff(own, prepend=False, append=False)).reshape(-1, 2) + first
    return [
        Turn(samples_to_ms(int(begin) * _FRAME), samples_to_ms(int(until) * _FRAME), channel)
        for begin, until in edges
    ]


def _overlaps(turns: tuple[Turn, ...]) -> tuple[Span, ...]:
    found: list[Span] = []
    end_ms = 0
    for turn in turns:
        if turn.start_ms < end_ms:
            span = Span(turn.start_ms, min(end_ms, turn.end_ms))
            if found and span.start_ms <= found[-1].end_ms:
                before = found.pop()
                span = Span(before.start_ms, max(before.end_ms, span.end_ms))
            found.append(span)
        end_ms = max(end_ms, turn.end_ms)
    return tuple(found)
