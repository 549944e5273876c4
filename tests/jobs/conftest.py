from __future__ import annotations

import io
import time

import pytest
import soundfile
from django.core.files.base import ContentFile
from django.db import connection, transaction
from django.utils import timezone

from jobs_app.engines.resolving import resolve_options
from jobs_app.lifecycle import planning
from jobs_app.lifecycle.starting import audio_arrived, start_job
from jobs_app.models import ChunkTranscription, StepKind
from jobs_app.work.preparation import Preparation
from sessions_app.models import AudioChunk, RecordingSession
from speech.engines.fake import make_numbered_audio
from speech.types import SAMPLE_RATE, DecodeReport, ms_to_samples, samples_to_ms
from speech.windows.cuts import Window


@pytest.fixture
def wakes(monkeypatch):
    """How often the queue was asked to wake workers, instead of a queue."""
    asked: list[int] = []
    monkeypatch.setattr("jobs_app.leases.queue.wake", lambda n=1: asked.append(n))
    return asked


@pytest.fixture
def folders(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.WORK_DIR = tmp_path / "work"
    settings.RUN_DIR = tmp_path / "run"
    for folder in (settings.MEDIA_ROOT, settings.WORK_DIR, settings.RUN_DIR):
        folder.mkdir()


@pytest.fixture
def new_speaker(db, folders, wakes):
    """Start a recording that somebody speaks into through a socket. There is a live host for it."""
    from tests.jobs.speaking import Speaker, host_reports

    host_reports()
    return Speaker


@pytest.fixture
def host(db):
    from tests.jobs.speaking import RunningHost

    return RunningHost()


@pytest.fixture
def new_session(db, folders):
    """Make a session of one chunk; with `seconds`, of audio that the fake engine can read."""

    def make(owner, *, seconds: int = 0, source: str = "upload", first: int = 0) -> RecordingSession:
        session = RecordingSession.objects.create(
            owner=owner,
            source=source,
            title="A talk",
            finished_at=timezone.now() if source == "upload" else None,
        )
        content = b"not decoded in this test"
        if seconds:
            wav = io.BytesIO()
            soundfile.write(wav, make_numbered_audio(first, seconds), SAMPLE_RATE, format="WAV")
            content = wav.getvalue()
        AudioChunk.objects.create(
            session=session,
            number=0,
            file=ContentFile(content, name="talk.wav"),
            size_bytes=len(content),
            sha256="0" * 64,
        )
        return session

    return make


@pytest.fixture
def new_job(new_session, wakes):
    """Start a job with the fake engine, not yet prepared."""

    def make(owner, *, seconds: int = 0, source: str = "upload", **options):
        session = new_session(owner, seconds=seconds, source=source)
        options = {"engine": "fake", **options}
        job = start_job(session, resolve_options(**options), filename="talk.wav")
        with transaction.atomic():
            audio_arrived(session)
        return job

    return make


@pytest.fixture
def providers(settings):
    """Start servers by name: `providers("openai", concurrency=2)` is one, and settings.PROVIDERS knows it."""
    from contextlib import ExitStack

    from speech.engines.providers import Provider
    from tests.speech.scripted_provider import ScriptedProvider

    settings.PROVIDERS = {}
    with ExitStack() as servers:

        def start(name: str, **fields) -> ScriptedProvider:
            server = servers.enter_context(ScriptedProvider())
            given = {"models": ("whisper-1",), "window_s": (10, 12), "container": "flac", **fields}
            settings.PROVIDERS = {
                **settings.PROVIDERS,
                name: Provider(name=name, base_url=server.url, **given),
            }
            return server

        yield start


@pytest.fixture
def new_speech_job(new_session, wakes):
    """Start a job of `utterances` that voice activity hears and that scripted providers understand."""
    from tests.speech.numbered_speech import make_numbered_speech

    def make(owner, utterances: int, **options):
        session = new_session(owner)
        wav = io.BytesIO()
        soundfile.write(wav, make_numbered_speech(0, utterances), SAMPLE_RATE, format="WAV")
        chunk = session.chunks.get()
        chunk.file.save("talk.wav", ContentFile(wav.getvalue()))
        return start_job(session, resolve_options(**{"engine": "openai", **options}))

    return make


@pytest.fixture
def work_until():
    """Do what tokens do, in this process, until something is true."""
    from jobs_app import tasks
    from jobs_app.workers import lost_work

    def run(condition, *, within_s: float = 30) -> None:
        deadline = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < deadline, "it did not happen in time"
            tasks.work_once()
            lost_work.recover()
            time.sleep(0.01)

    return run


def windows_of(n: int, *, length_ms: int = 1000) -> list[Window]:
    return [Window(i * length_ms, (i + 1) * length_ms, speech_ms=length_ms) for i in range(n)]


def prepare(step, windows: list[Window]) -> bool:
    """Finish the preparation of a job with one chunk."""
    duration_ms = windows[-1].end_ms if windows else 0
    found = Preparation(
        windows=windows,
        places={step.job.session.chunks.get().pk: (0, ms_to_samples(duration_ms))},
        report=DecodeReport().as_json(),
        duration_ms=duration_ms,
        planned_ms=duration_ms,
    )
    return planning.finish_preparation(step, found)


@pytest.fixture
def planned_job(new_job):
    """Start a job that is prepared and has `n` windows of a second, without decoding anything."""

    def make(owner, n: int = 2, **options):
        job = new_job(owner, **options)
        step = take(job.steps.get(kind=StepKind.PREPARE))
        assert prepare(step, windows_of(n))
        job.refresh_from_db()
        return job

    return make


def take(work):
    """Claim this very row."""
    from jobs_app.leases import claims

    taken = claims.take(type(work), work.pk)
    if taken is None:
        # SQLite's clock has milliseconds: what was released in this one can be taken in the next.
        time.sleep(0.01)
        taken = claims.take(type(work), work.pk)
    assert taken is not None, f"{work} could not be claimed"
    return taken


def take_all() -> list[str]:
    """Claim until nothing is left; what was claimed, in order."""
    from jobs_app.leases import claims

    claimed = []
    while work := claims.claim():
        claimed.append(str(work))
    return claimed


def expire(work) -> None:
    """Let the lease of `work` be over."""
    from datetime import timedelta

    from django.db.models.functions import Now

    type(work).objects.filter(pk=work.pk).update(lease_until=Now() - timedelta(seconds=1))


def statuses(job) -> list[str]:
    return list(
        ChunkTranscription.objects.filter(job=job).order_by("number").values_list("status", flat=True)
    )


def sent_ms(requests) -> int:
    """How much audio is in requests of a scripted provider."""
    from tests.speech.sounds import decoded

    return sum(samples_to_ms(len(decoded(request.file)[0])) for request in requests)


on_postgres = pytest.mark.skipif("connection.vendor != 'postgresql'")


@pytest.fixture
def threads(transactional_db):
    """Run functions in threads that start together, each with its own connection; what they returned."""
    from concurrent.futures import ThreadPoolExecutor
    from threading import Barrier

    def run(*functions):
        barrier = Barrier(len(functions))

        def one(function):
            try:
                connection.ensure_connection()
                barrier.wait()
                return function()
            finally:
                connection.close()

        with ThreadPoolExecutor(len(functions)) as pool:
            return list(pool.map(one, functions))

    return run
