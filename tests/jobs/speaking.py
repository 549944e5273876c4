"""A recording that somebody speaks numbers into, through a socket, and a live host to drive by hand."""

from __future__ import annotations

import hashlib
import io
import wave

import numpy as np
from django.core.files.base import ContentFile
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from jobs_app.engines.resolving import resolve_options
from jobs_app.lifecycle.live import open_live
from jobs_app.lifecycle.starting import audio_arrived, start_job
from jobs_app.models import JobStep, LiveHost, LiveText, StepKind, TranscriptionJob
from jobs_app.workers.live.guard import Guard
from jobs_app.workers.live.host import Host
from sessions_app.models import AudioChunk, LivePiece, RecordingSession
from speech.engines.fake import make_numbered_audio
from speech.types import SAMPLE_RATE

PIECE = SAMPLE_RATE // 2


class Speaker:
    """Somebody who says the numbers from 0 on, one a second, into a recording of the fake engine."""

    def __init__(self, owner, **options) -> None:
        self.session = RecordingSession.objects.create(owner=owner, source="recorder")
        self.job = start_job(self.session, resolve_options(engine="fake", **options))
        self.said_s = 0
        self.chunked_s = 0

    def open(self) -> Speaker:
        open_live(self.session)
        return self

    def say(self, seconds: int) -> None:
        """Let the socket store so many seconds more, in pieces of half a second."""
        sound = pcm(self.said_s, seconds)
        LivePiece.objects.bulk_create(
            LivePiece(
                session=self.session,
                first_sample=self.said_s * SAMPLE_RATE + first,
                pcm=sound[2 * first : 2 * (first + PIECE)],
            )
            for first in range(0, seconds * SAMPLE_RATE, PIECE)
        )
        self.said_s += seconds

    def cut_chunk(self, until_s: int | None = None) -> None:
        """Make a chunk of what is in no chunk yet, as the socket does."""
        until_s = self.said_s if until_s is None else until_s
        sound = wav(pcm(self.chunked_s, until_s - self.chunked_s))
        with transaction.atomic():
            AudioChunk.objects.create(
                session=self.session,
                number=self.session.chunks.count(),
                file=ContentFile(sound, name="chunk.wav"),
                container="wav",
                codec="pcm_s16le",
                audio_tracks=1,
                duration_ms=(until_s - self.chunked_s) * 1000,
                size_bytes=len(sound),
                sha256=hashlib.sha256(sound).hexdigest(),
            )
            LivePiece.objects.filter(session=self.session, first_sample__lt=until_s * SAMPLE_RATE).delete()
            audio_arrived(self.session)
        self.chunked_s = until_s

    def stop(self) -> None:
        if self.chunked_s < self.said_s:
            self.cut_chunk()
        with transaction.atomic():
            RecordingSession.objects.filter(pk=self.session.pk).update(finished_at=timezone.now())
            self.session.refresh_from_db()
            audio_arrived(self.session)

    @property
    def step(self) -> JobStep:
        return JobStep.objects.get(job=self.job, kind=StepKind.LIVE)

    @property
    def live(self) -> LiveText:
        return LiveText.objects.get(job=self.job)

    def now(self) -> TranscriptionJob:
        self.job.refresh_from_db()
        return self.job

    def stored(self) -> list[tuple[int, str]]:
        """The segments: number and text, in the order of time."""
        return list(self.job.segments.order_by("start_ms").values_list("number", "raw_text"))

    def shown(self) -> list[tuple[int, str]]:
        """What a viewer sees: segments, then finals that are no segments yet."""
        finals = LiveText.objects.filter(job=self.job).values_list("finals", flat=True).first() or []
        return self.stored() + [(final["number"], final["text"]) for final in finals]


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class RunningHost:
    """A live host that is driven by hand."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.ended: list[int] = []
        self.guard = Guard(clock=self.clock, end_process=self.ended.append)
        self.host = Host(clock=self.clock, guard=self.guard)
        self.guard.tick()

    def run(self, seconds: float = 0.2) -> None:
        """Let this time pass, a tenth of a second at once."""
        for _ in range(round(10 * seconds)):
            self.clock.now_s += 0.1
            while self.host.turn():
                pass
        self.guard.tick()


def pcm(first: int, seconds: int) -> bytes:
    return np.rint(make_numbered_audio(first, seconds) * 32767).astype("<i2").tobytes()


def wav(sound: bytes) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE)
        out.writeframes(sound)
    return file.getvalue()


def words(first: int, end: int) -> str:
    return " ".join(f"w{n:04}" for n in range(first, end))


def host_reports(name: str = "there:1", **columns) -> LiveHost:
    """A live host somewhere says that it is there."""
    return LiveHost.objects.create(name=name, beat_at=Now(), **columns)
