"""The pages of a recording: while it goes on, with gaps, and while its parts are put together."""

from __future__ import annotations

import io
import re
from datetime import timedelta

import pytest
import soundfile
from django.contrib.messages import get_messages
from django.core.files.base import ContentFile
from django.urls import reverse
from django.utils import timezone

from jobs_app.models import JobStep, StepKind, TranscriptionJob, WorkStatus
from jobs_app.work import guard, unit
from sessions_app.models import AudioChunk
from speech.engines.fake import make_numbered_audio
from speech.types import SAMPLE_RATE
from tests.samples import SENTENCES, add_segments, completed_job, make_job, words_on
from tests.sessions.conftest import sound
from tests.sessions.pages.conftest import show
from tests.sessions.recording import begin, finish, send_chunk

pytestmark = pytest.mark.django_db
GOES_ON = "It is finished where it is recorded"
JOINING = "The recording is being put together for listening."


def has_player(response) -> bool:
    return "<audio" in response.content.decode()


def recorded_now(owner, **columns) -> TranscriptionJob:
    """The job of a recording that goes on, with some text already."""
    job = make_job(
        owner, **{"status": "processing", "stage": "transcribing", "duration_ms": 30_000, **columns}
    )
    job.session.source = "recorder"
    job.session.finished_at = None
    job.session.save()
    add_segments(job, SENTENCES)
    return job


def recorded(owner, *, chunks: int = 2, **columns) -> TranscriptionJob:
    """The completed job of a recording that came in chunks."""
    job = completed_job(owner, **columns)
    job.session.source = "recorder"
    job.session.save()
    content = sound(1.0)
    for number in range(chunks):
        AudioChunk.objects.create(
            session=job.session,
            number=number,
            file=ContentFile(content, name="part.wav"),
            size_bytes=len(content),
            sha256="0" * 64,
        )
    return job


def join_step(job: TranscriptionJob, status: WorkStatus) -> JobStep:
    running = {"lease_token": "a worker's", "lease_until": timezone.now() + timedelta(minutes=1)}
    return JobStep.objects.create(
        sound=job.sound,
        owner=job.session.owner,
        rank=0,
        queued_at=timezone.now(),
        kind=StepKind.JOIN,
        status=status,
        **(running if status == WorkStatus.RUNNING else {}),
    )


# --- While it goes on ----------------------------------------------------------------------------


def test_a_recording_that_goes_on_says_so_and_shows_its_text_so_far(page, alice):
    answer = show(page, recorded_now(alice))
    said = words_on(answer)
    assert GOES_ON in said
    assert "30 s have arrived" in said
    assert f"Heard last {' '.join(SENTENCES)}" in said
    assert not has_player(answer)
    assert "Transcribe again" not in said


def test_before_any_sound_has_come_it_is_recording_and_not_waiting_for_a_worker(page, alice):
    job = make_job(alice, status="pending", stage="waiting")
    job.session.finished_at = None
    job.session.save()
    said = words_on(show(page, job))
    assert GOES_ON in said
    assert "have arrived" not in said
    assert "No worker" not in said
    assert "in the queue" not in said


def test_the_page_learns_of_more_text_and_of_the_end(page, alice):
    job = recorded_now(alice)
    url = reverse("job-progress", args=[job.pk])

    def version() -> str:
        return re.search(r'data-version="([^"]+)"', page.get(url).content.decode())[1]

    seen = version()
    assert page.get(url, {"seen": seen}).status_code == 204
    job.windows.update(corrected_text="And one thing more.")
    answer = page.get(url, {"seen": seen})
    assert "And one thing more." in words_on(answer)
    seen = version()
    job.session.finished_at = timezone.now()
    job.session.save()
    answer = page.get(url, {"seen": seen})
    assert GOES_ON not in words_on(answer)
    assert "Finishing" in words_on(answer)


@pytest.mark.parametrize("status", ["processing", "failed", "cancelled"])
def test_a_recording_that_goes_on_is_not_transcribed_again(page, alice, status):
    job = recorded_now(alice, status=status)
    answer = page.post(reverse("transcribe-again", args=[job.pk]), {"priority": "normal"})
    assert answer.url == reverse("job", args=[job.pk])
    assert [str(m) for m in get_messages(answer.wsgi_request)] == [
        "This recording still goes on. Finish it first, then transcribe it again."
    ]
    assert job.session.jobs.count() == 1


def test_the_list_of_transcripts_has_the_recording_that_goes_on(page, alice):
    job = recorded_now(alice, title="Monday's meeting")
    answer = page.get(reverse("home"))
    said = words_on(answer)
    assert "Monday&#x27;s meeting" in said
    (badge,) = re.findall(r'<span class="badge.*?</span>', answer.content.decode(), re.DOTALL)
    assert badge.endswith("Recording</span>")
    assert "0 %" not in said
    assert "0:30" in said
    assert reverse("job", args=[job.pk]) in answer.content.decode()
    assert 'data-final="no"' in answer.content.decode()


# --- Gaps ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("missing", "did not arrive"),
        ("damaged", "could not be read"),
        ("unreadable", "could not be read"),
    ],
)
def test_where_a_part_is_missing_the_transcript_says_so_at_its_time(page, alice, reason, said):
    gap = {"start_ms": 3000, "end_ms": 6000, "samples": 48_000, "chunk": 1, "reason": reason}
    job = recorded(alice, gaps=[gap])
    job.segments.filter(number=1).delete()
    transcript = words_on(show(page, job)).partition("Copy text")[2]
    assert f"0:00 {SENTENCES[0]} 0:03 [This part of the recording {said}.] 0:06 {SENTENCES[2]}" in transcript


def test_a_short_gap_is_named_where_it_is_and_not_behind_the_paragraph(page, alice):
    gap = {"start_ms": 2800, "end_ms": 3400, "samples": 9600, "chunk": 1, "reason": "damaged"}
    transcript = words_on(show(page, recorded(alice, gaps=[gap]))).partition("Copy text")[2]
    first, second, _ = SENTENCES
    assert f"0:00 {first} 0:02 [This part of the recording could not be read.] 0:03 {second}" in transcript


def test_a_transcript_without_gaps_speaks_of_none(page, alice):
    assert "[This part" not in words_on(show(page, recorded(alice)))


# --- Its parts are put together ------------------------------------------------------------------


@pytest.mark.parametrize("status", [WorkStatus.WAITING, WorkStatus.RUNNING])
def test_while_its_parts_are_put_together_there_is_the_text_and_no_player_yet(page, alice, status):
    job = recorded(alice)
    join_step(job, status)
    answer = show(page, job)
    assert JOINING in words_on(answer)
    assert SENTENCES[0] in words_on(answer)
    assert not has_player(answer)
    fragment = page.get(reverse("job-progress", args=[job.pk])).content.decode()
    assert 'data-final="no"' in fragment


def test_when_they_are_together_the_page_loads_again_and_has_a_player(page, alice):
    job = recorded(alice)
    step = join_step(job, WorkStatus.RUNNING)
    seen = page.get(reverse("job-progress", args=[job.pk])).content.decode()
    flac = sound(2.0, "FLAC")
    job.sound.joined = ContentFile(flac, name="joined.flac")
    job.sound.joined_bytes = len(flac)
    job.sound.save()
    JobStep.objects.filter(pk=step.pk).update(status=WorkStatus.DONE, lease_token="", lease_until=None)
    version = re.search(r'data-version="([^"]+)"', seen)[1]
    changed = page.get(reverse("job-progress", args=[job.pk]), {"seen": version})
    assert 'data-final="yes"' in changed.content.decode()
    answer = show(page, job)
    assert JOINING not in words_on(answer)
    (source,) = re.findall(r'<audio[^>]* src="([^"]+)"', answer.content.decode())
    assert b"".join(page.get(source)) == flac


def test_parts_that_could_not_be_put_together_are_not_waited_for(page, alice):
    job = recorded(alice)
    join_step(job, WorkStatus.FAILED)
    answer = show(page, job)
    assert JOINING not in words_on(answer)
    assert SENTENCES[0] in words_on(answer)
    assert not has_player(answer)


def test_a_recording_of_one_chunk_can_be_heard_at_once(page, alice):
    assert has_player(show(page, recorded(alice, chunks=1)))


# --- From the first second to the player ---------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_recording_from_its_first_second_to_its_player(page, alice, settings, tmp_path, monkeypatch):
    settings.DEFAULT_ENGINE = "fake"
    settings.MIN_FREE_DISK_BYTES = 0
    for name in ("WORK_DIR", "RUN_DIR", "FILE_UPLOAD_TEMP_DIR"):
        setattr(settings, name, tmp_path / name)
        (tmp_path / name).mkdir()
    monkeypatch.setattr(guard, "TICK_S", 0.02)
    monkeypatch.setattr("jobs_app.leases.queue.wake", lambda n=1: None)

    session = begin(page, title="Numbers")
    job = TranscriptionJob.objects.get(pk=session["job"]["id"])
    assert GOES_ON in words_on(show(page, job))

    for number in range(3):
        wav = io.BytesIO()
        soundfile.write(wav, make_numbered_audio(number * 30, 30), SAMPLE_RATE, format="WAV")
        assert send_chunk(page, session["id"], number, wav.getvalue()).status_code == 201
    while unit.do_next():
        pass
    said = words_on(show(page, job))
    assert GOES_ON in said
    assert "1 min 30 s have arrived" in said
    assert re.search(r"Heard last .*w0080", said)

    finish(page, session["id"], chunks=3)
    while show(page, job).context["job"].status != "completed":
        assert unit.do_next()
    answer = show(page, job)
    assert JOINING in words_on(answer)
    assert "w0000" in words_on(answer)
    assert "w0089" in words_on(answer)
    assert not has_player(answer)

    while unit.do_next():
        pass
    answer = show(page, job)
    assert JOINING not in words_on(answer)
    (source,) = re.findall(r'<audio[^>]* src="([^"]+)"', answer.content.decode())
    heard, rate = soundfile.read(io.BytesIO(b"".join(page.get(source))))
    assert len(heard) / rate == 90
