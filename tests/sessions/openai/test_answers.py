"""What a job that has ended becomes, and what becomes of a job whose client leaves."""

from __future__ import annotations

import asyncio
import io
import json

import pytest
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse
from django.utils import timezone

from jobs_app.models import ChunkTranscription, JobStatus, TranscriptionJob, WorkStatus
from rest.scope import CLIENT_GONE
from sessions_app.openai import events
from sessions_app.openai import wait as openai_wait
from sessions_app.openai.answers import Wanted, answer
from tests.job_rows import change_job, create_segment
from tests.sessions.conftest import storage, stored_job, wav  # noqa: F401  a job of Alice's

pytestmark = pytest.mark.django_db(transaction=True)


def ended(job, status=JobStatus.COMPLETED, **columns) -> TranscriptionJob:
    change_job(job, **{"status": status, "ended_at": timezone.now(), **columns})
    return job


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("unreadable_audio", 400),
        ("no_audio", 400),
        ("audio_too_long", 400),
        ("not_supported", 400),
        ("crashed", 500),
        ("timed_out", 500),
        ("engine_failed", 500),
        ("model_unavailable", 500),
        ("provider_refused", 500),
        ("provider_failed", 500),
        ("provider_busy", 503),
        ("provider_unavailable", 503),
        ("storage_full", 507),
    ],
)
def test_a_job_that_failed_says_why(stored_job, code, status):  # noqa: F811
    job = ended(stored_job, JobStatus.FAILED, error_code=code, error="This is why.")
    answered = answer(job.pk, Wanted())
    assert answered.status_code == status
    # Its client sends the file again only where that can help.
    assert ("Retry-After" in answered) == (status == 503)
    assert (answered.get("x-should-retry") == "false") == (status != 503)


def test_a_job_that_was_deleted_is_answered_as_a_cancelled_one(stored_job):  # noqa: F811
    pk = stored_job.pk
    stored_job.delete()
    answered = answer(pk, Wanted())
    assert answered.status_code == 400
    assert b'"cancelled"' in answered.content


def window_of(job: TranscriptionJob, number: int, **columns) -> ChunkTranscription:
    """Forty-five seconds of it."""
    return ChunkTranscription.objects.create(
        job=job,
        owner=job.session.owner,
        rank=0,
        queued_at=job.created_at,
        number=number,
        start_ms=number * 45_000,
        end_ms=(number + 1) * 45_000,
        speech_ms=1000,
        **columns,
    )


def test_segments_know_their_window_and_how_sure_the_engine_was(stored_job):  # noqa: F811
    job = ended(stored_job, transcript="Ja. Nein.", detected_language="de", duration_ms=90_000)
    for number, (text, confidence) in enumerate([("Ja.", 0.5), ("Nein.", None)]):
        window = window_of(job, number, status=WorkStatus.DONE)
        start_ms = window.start_ms + 500
        create_segment(
            job,
            window=window,
            start_ms=start_ms,
            end_ms=start_ms + 400,
            text=text,
            confidence=confidence,
        )
    body = json.loads(answer(job.pk, Wanted(response_format="verbose_json")).content)
    assert (body["task"], body["language"], body["duration"]) == ("transcribe", "german", 90.0)
    first, second = body["segments"]
    assert (first["start"], first["end"], first["seek"]) == (0.5, 0.9, 0)
    assert (second["start"], second["end"], second["seek"]) == (45.5, 45.9, 4500)
    assert first["avg_logprob"] == pytest.approx(-0.6931, abs=1e-4)
    assert second["avg_logprob"] == 0.0


def test_a_translation_is_english(stored_job):  # noqa: F811
    job = ended(
        stored_job,
        transcript="Yes.",
        detected_language="de",
        stored_options={"translate_to": "en"},
        duration_ms=1000,
    )
    body = json.loads(answer(job.pk, Wanted(response_format="verbose_json")).content)
    assert (body["task"], body["language"]) == ("translate", "english")


def test_a_stream_says_no_window_before_those_that_come_before_it(stored_job):  # noqa: F811
    first = window_of(stored_job, 0, status=WorkStatus.WAITING)
    window_of(stored_job, 1, status=WorkStatus.DONE, corrected_text="two")
    window_of(stored_job, 2, status=WorkStatus.WAITING)
    assert events.news(stored_job.pk, "", 0) == (JobStatus.PENDING, "", 0)
    ChunkTranscription.objects.filter(pk=first.pk).update(status=WorkStatus.DONE, corrected_text="one")
    assert events.news(stored_job.pk, "", 0) == (JobStatus.PENDING, "one two", 90_000)
    assert events.news(stored_job.pk, "one two", 90_000) == (JobStatus.PENDING, "", 90_000)


@pytest.mark.parametrize(("gone", "status"), [(True, JobStatus.CANCELLED), (False, JobStatus.PENDING)])
def test_a_job_is_cancelled_when_its_client_leaves_before_it_was_started(stored_job, gone, status):  # noqa: F811
    # Without the mark of a client that is gone it is the server that stops: the job goes on.
    scope = {"type": "http", "method": "POST", "path": "/v1/audio/transcriptions", "headers": []}
    request = ASGIRequest(scope, io.BytesIO())

    async def leave() -> None:
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def view() -> HttpResponse:
            begun.set()
            await go_on.wait()
            return openai_wait.JobResponse(stored_job.pk, Wanted())

        task = asyncio.create_task(openai_wait.answered(request, view()))
        await begun.wait()
        if gone:
            scope[CLIENT_GONE] = True
        task.cancel()
        await asyncio.sleep(0)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(leave())
    stored_job.refresh_from_db()
    assert stored_job.status == status
