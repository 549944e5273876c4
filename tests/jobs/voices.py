"""Two people in the sound of the fake engine: they speak in turn, each for so many seconds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from django.db.models.functions import Now

from jobs_app.models import JobStep, TranscriptionJob, WorkStatus
from jobs_app.work import unit
from speech.errors import UnreadableVoices
from speech.speakers import Count, HeardWindow, Speakers, Turn, Voice
from speech.speakers.hearing.packing import VECTOR, pack_vector

PACKED = b"voices"
IN_TURN = [
    ("S1", "w0000 w0001 w0002"),
    ("S2", "w0003 w0004"),
    ("S2", "w0005"),
    ("S1", "w0006 w0007"),
]
"""What two people say in eight seconds, in turn for three seconds each."""


class FakeVoices:
    """Stands for `speech.speakers`: `heard` are the lengths of the windows, `asked` the numbers of speakers.

    `every_ms` is how long each speaks. `error` is raised by hearing; `hard` voices are hard to tell apart.
    `sounds` are the voices of the first speakers; nothing is known of further ones.
    """

    def __init__(self) -> None:
        self.heard: list[int] = []
        self.asked: list[Count] = []
        self.every_ms = 3000
        self.error: Exception | None = None
        self.unreadable = False
        self.hard = False
        self.sounds: list[Voice] = []

    def hear(self, samples) -> bytes:
        if self.error is not None:
            raise self.error
        self.heard.append(len(samples) // 16)
        return PACKED

    def tell_apart(self, windows: Sequence[HeardWindow], count: Count = Count()) -> Speakers:  # noqa: B008
        if any(window.voices != PACKED for window in windows):
            raise UnreadableVoices
        self.asked.append(count)
        end_ms = max((window.end_ms for window in windows), default=0)
        n = count.exactly or 2
        turns = tuple(
            Turn(start_ms, min(end_ms, start_ms + self.every_ms), start_ms // self.every_ms % n)
            for start_ms in range(0, end_ms, self.every_ms)
        )
        found = max((turn.speaker for turn in turns), default=-1) + 1
        voices = [*self.sounds, *[Voice()] * found][:found]
        return Speakers(turns, (), tuple(voices), self.hard)


def voice_of(person: int, *, other: float = 0.0, clean_s: float = 20.0) -> Voice:
    """What a person sounds like. Different people have nothing in common.

    `other` is how much of what nobody else has is in it, so that the cosine with the person's own voice is
    sqrt(1 - other²).
    """
    vector = np.zeros(VECTOR, dtype=np.float32)
    vector[person], vector[-1 - person] = np.sqrt(1 - other**2), other
    return Voice(pack_vector(vector), clean_s)


def fake_voices(monkeypatch: pytest.MonkeyPatch) -> FakeVoices:
    fake = FakeVoices()
    monkeypatch.setattr("speech.speakers.load_hearing", lambda: fake)
    monkeypatch.setattr("speech.speakers.tell_apart", fake.tell_apart)
    return fake


def do_all_work() -> None:
    JobStep.objects.filter(status=WorkStatus.WAITING).update(not_before=Now())
    while unit.do_next():
        pass


def said(job: TranscriptionJob) -> list[tuple[str, str]]:
    return [(row.speaker, row.text) for row in job.segments.order_by("start_ms")]


def names(job: TranscriptionJob) -> list[tuple[str, str]]:
    return list(job.speakers.values_list("label", "name"))
