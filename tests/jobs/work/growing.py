"""A recording that grows, of one numbered word a second."""

from __future__ import annotations

import io

import av
import numpy as np
import soundfile
from django.core.files.base import ContentFile
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from jobs_app.engines.resolving import resolve_options
from jobs_app.lifecycle.starting import audio_arrived, start_job
from jobs_app.work import unit
from sessions_app.models import AudioChunk, RecordingSession
from speech.engines.fake import make_numbered_audio
from speech.types import SAMPLE_RATE


class Recording:
    """Sound of `seconds` numbered words in chunks of `chunk_s`, which need not be whole seconds."""

    def __init__(self, owner, *, seconds: int, chunk_s: float = 30) -> None:
        audio = make_numbered_audio(0, seconds)
        step = int(chunk_s * SAMPLE_RATE)
        self.pieces = [audio[at : at + step] for at in range(0, len(audio), step)]
        self.session = RecordingSession.objects.create(owner=owner, source="api")
        self.job = start_job(self.session, resolve_options(engine="fake"))

    def send(self, *numbers: int, content: bytes | None = None, **columns) -> None:
        for number in numbers:
            given = self.wav(number) if content is None else content
            with transaction.atomic():
                AudioChunk.objects.create(
                    session=self.session,
                    number=number,
                    file=ContentFile(given, name="chunk.wav"),
                    size_bytes=len(given),
                    sha256="0" * 64,
                    **columns,
                )
                audio_arrived(self.session)

    def wav(self, number: int) -> bytes:
        file = io.BytesIO()
        soundfile.write(file, self.pieces[number], SAMPLE_RATE, format="WAV", subtype="PCM_16")
        return file.getvalue()

    def finish(self) -> None:
        with transaction.atomic():
            self.session.finished_at = timezone.now()
            self.session.save()
            audio_arrived(self.session)

    def work(self, *, most: int = 200) -> None:
        for _ in range(most):
            if not unit.do_next():
                break
        self.job.refresh_from_db()
        self.session.refresh_from_db()

    def give_up_waiting(self) -> None:
        """As if CHUNK_WAIT_S had passed."""
        from datetime import timedelta

        self.session.chunks.update(received_at=F("received_at") - timedelta(minutes=2))
        self.job.steps.update(not_before=F("not_before") - timedelta(minutes=2))

    def windows_text(self) -> str:
        return " ".join(self.job.windows.values_list("raw_text", flat=True))

    @property
    def windows(self) -> list[tuple[int, int]]:
        return list(self.job.windows.order_by("start_ms").values_list("start_ms", "end_ms"))


def numbers(*spans: range) -> str:
    return " ".join(f"w{n:04d}" for span in spans for n in span)


def opus_stream(path, container: str, seconds: int) -> bytes:
    """What a browser's recorder writes: one header, and no length in it."""
    options = {"webm": {"live": "1", "cluster_time_limit": "1000"}, "ogg": {"page_duration": "500000"}}
    with av.open(path, "w", format=container, options=options[container]) as file:
        stream = file.add_stream("libopus", rate=48_000, layout="mono")
        resampler = av.AudioResampler(format="flt", layout="mono", rate=48_000)
        audio = (make_numbered_audio(0, seconds) * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(audio[None], format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        for some in [*resampler.resample(frame), *resampler.resample(None)]:
            file.mux(stream.encode(some))
        file.mux(stream.encode(None))
    return path.read_bytes()
