"""What is heard, as those who send and those who watch are told it."""

from __future__ import annotations

import pytest
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from jobs_app.engines.resolving import resolve_options
from jobs_app.lifecycle.choices import delete_job
from jobs_app.lifecycle.starting import start_job
from jobs_app.models import JobStatus, LiveHost, LiveText, TranscriptionJob
from jobs_app.models.transcripts import Segment
from sessions_app.live import looking
from tests.sessions.conftest import sound, upload_of
from tests.sessions.live.client import noise, within

pytestmark = pytest.mark.django_db(transaction=True)


def final(number: int, text: str = "") -> dict:
    return {
        "number": number,
        "start_ms": 1000 * number,
        "end_ms": 1000 * number + 900,
        "text": text or f"w{number}",
        "confidence": 0.9,
        "cut_ms": 1000 * number + 950,
    }


def says(job: TranscriptionJob, **columns) -> None:
    """Write a live text, as a live host does."""
    LiveText.objects.get_or_create(job=job)
    LiveText.objects.filter(job=job).update(version=F("version") + 1, **columns)


@transaction.atomic
def finals(job: TranscriptionJob, *numbers: int, **columns) -> None:
    job.refresh_from_db()
    job.next_segment = max(job.next_segment, *(number + 1 for number in numbers))
    job.save(update_fields=["next_segment"])
    says(job, finals=[final(number) for number in numbers], **columns)


def segments(job: TranscriptionJob, *numbers: int) -> None:
    for number in numbers:
        told = final(number)
        Segment.objects.create(
            job=job,
            number=number,
            start_ms=told["start_ms"],
            end_ms=told["end_ms"],
            confidence=0.9,
            raw_text=told["text"],
        )
    job.refresh_from_db()
    job.next_segment = max(job.next_segment, *(number + 1 for number in numbers))
    job.save(update_fields=["next_segment"])


def end(job: TranscriptionJob, status: str = JobStatus.COMPLETED) -> None:
    TranscriptionJob.objects.filter(pk=job.pk).update(status=status, ended_at=Now(), progress=100)


def ids(heard: list[dict], kind: str = "final") -> list[str]:
    return [said["id"] for said in heard if said["type"] == "segment" and said["kind"] == kind]


@pytest.fixture
def watching(connect):
    def watch(**more):
        socket = connect()
        socket.say(type="watch", **more)
        socket.hear_until("ready")
        return socket

    return watch


def test_finals_and_interims_come_as_they_are_heard(connect, job):
    socket = connect()
    socket.start()
    says(job, interim={"start_ms": 20, "end_ms": 1900, "text": "And so my", "firm": 6})
    assert socket.hear_until("segment")[-1] == {
        "type": "segment",
        "id": "u0",
        "kind": "interim",
        "start_ms": 20,
        "end_ms": 1900,
        "text": "And so my",
        "firm": 6,
        "confidence": None,
    }
    finals(job, 0, 1, interim=None)
    assert socket.hear_until("segment", id="u0")[-1] == {
        "type": "segment",
        "id": "u0",
        "kind": "final",
        "start_ms": 0,
        "end_ms": 900,
        "text": "w0",
        "confidence": 0.9,
    }
    assert ids(socket.hear_until("segment", id="u1")) == ["u1"]
    says(job, interim={"start_ms": 2000, "end_ms": 2900, "text": "mumble", "firm": 0})
    assert socket.hear_until("segment")[-1]["id"] == "u2"
    # It was nothing after all.
    says(job, interim=None)
    taken_back = socket.hear_until("segment")[-1]
    assert (taken_back["id"], taken_back["kind"], taken_back["text"]) == ("u2", "interim", "")


def test_who_comes_late_or_again_is_told_what_is_missing_only(watching, job):
    segments(job, 0, 1, 2)
    finals(job, 3, 4)
    assert ids(watching().hear_until("segment", id="u4")) == ["u0", "u1", "u2", "u3", "u4"]
    assert ids(watching(have="u1").hear_until("segment", id="u4")) == ["u2", "u3", "u4"]
    assert ids(watching(have="u3").hear_until("segment", id="u4")) == ["u4"]


def test_finals_that_become_segments_are_told_once(watching, job):
    finals(job, 0, 1)
    socket = watching()
    assert ids(socket.hear_until("segment", id="u1")) == ["u0", "u1"]
    segments(job, 0, 1)
    says(job, finals=[])
    # These are flushed before anybody could see them as finals, and a window of workers is between them.
    with transaction.atomic():
        segments(job, 2, 4)
        finals(job, 3, 5)
    assert ids(socket.hear_until("segment", id="u5")) == ["u2", "u3", "u4", "u5"]


def test_more_segments_than_are_read_at_once(watching, job, monkeypatch):
    monkeypatch.setattr(looking, "ROWS_AT_ONCE", 3)
    monkeypatch.setattr("sessions_app.live.telling.ROWS_AT_ONCE", 3)
    segments(job, *range(8), 9)
    finals(job, 10)
    assert ids(watching().hear_until("segment", id="u10")) == [f"u{n}" for n in [*range(8), 9, 10]]


def test_how_late_the_words_are(watching, job):
    socket = watching()
    says(job, received_ms=5000, heard_ms=4500)
    says(job, received_ms=9000, heard_ms=4800, interims=False)
    assert socket.hear_until("lag")[-1] == {"type": "lag", "ms": 4200, "interims": False}


def test_stop_is_answered_when_the_job_has_ended(connect, job, recording):
    socket = connect()
    socket.start()
    socket.send(noise(0.6))
    socket.say(type="stop")
    socket.hear_until("saved", saved_ms=600)
    segments(job, 0)
    end(job)
    heard = socket.hear_all()
    assert ids(heard) == ["u0"]
    assert heard[-1] == {"type": "done", "job": str(job.pk), "status": "completed"}
    assert socket.closed == 1000


def test_a_job_that_is_cancelled_does_not_end_the_recording(connect, watching, job):
    socket, other = connect(), watching()
    socket.start()
    end(job, JobStatus.CANCELLED)
    assert other.hear_all()[-1] == {"type": "done", "job": str(job.pk), "status": "cancelled"}
    assert socket.send_until_saved(noise(0.5), 500)["received_ms"] == 500


def test_an_upload_is_watched_to_its_end(connect, alice, stored_job):
    job = stored_job
    socket = connect(job.session_id)
    socket.say(type="watch")
    progress = socket.hear_until("progress")[-1]
    assert progress == {"type": "progress", "status": "pending", "stage": "waiting", "percent": 0}
    segments(job, 0)
    TranscriptionJob.objects.filter(pk=job.pk).update(status="processing", stage="transcribing", progress=40)
    heard = socket.hear_until("segment")
    assert {"type": "progress", "status": "processing", "stage": "transcribing", "percent": 40} in heard
    segments(job, 1)
    end(job)
    heard = socket.hear_all()
    assert ids(heard) == ["u1"]
    assert heard[-1]["type"] == "done"


def test_what_was_edited_is_read_as_edited(watching, job, alice, monkeypatch):
    segments(job, 0, 1)
    monkeypatch.setattr(looking, "changes_in", lambda job_id, numbers: {1: {"text": "what she wrote"}})
    heard = watching().hear_until("segment", id="u1")
    assert [said["text"] for said in heard if said["type"] == "segment"] == ["w0", "what she wrote"]


def test_when_the_job_is_deleted_there_is_nothing_to_watch(watching, job, recording):
    socket = watching()
    socket.hear_until("progress")
    recording.current_job = None
    recording.save()
    job.delete()
    assert socket.hear_all()[-1]["code"] == "not_found"
    assert socket.closed == 4404


def begin_anew(job: TranscriptionJob) -> TranscriptionJob:
    """Delete the job of a recording that goes on, and begin another one, as people can."""
    session = job.session
    delete_job(job.pk)
    session.refresh_from_db()
    return start_job(session, resolve_options(engine="fake"))


def test_who_watches_a_job_that_is_begun_anew_is_told_all_of_the_other_one(watching, job):
    segments(job, 0, 1)
    socket = watching()
    heard = socket.hear_until("segment", id="u1")
    assert [said["job"] for said in heard if said["type"] == "job"] == [str(job.pk)]
    with transaction.atomic():
        other = begin_anew(job)
        segments(other, 0)
    heard = socket.hear_until("segment")
    assert [said["job"] for said in heard if said["type"] == "job"] == [str(other.pk)]
    assert heard[-1]["id"] == "u0"


def test_what_was_shown_of_a_deleted_job_counts_for_nothing(watching, job):
    segments(job, 0, 1, 2)
    shown = {"have": "u1", "job": str(job.pk)}
    assert ids(watching(**shown).hear_until("segment")) == ["u2"]
    other = begin_anew(job)
    segments(other, 0, 1, 2)
    assert ids(watching(**shown).hear_until("segment", id="u2")) == ["u0", "u1", "u2"]
    assert ids(watching(have="u1", job=str(other.pk)).hear_until("segment", id="u2")) == ["u2"]


def test_who_sends_goes_on_without_a_job_and_with_the_next_one(connect, job, recording):
    LiveHost.objects.create(name="here:1", beat_at=Now())
    socket = connect()
    socket.start()
    socket.send_until_saved(noise(0.5), 500)
    delete_job(job.pk)
    socket.send_until_saved(noise(0.5), 1000)
    recording.refresh_from_db()
    other = start_job(recording, resolve_options(engine="fake"))
    assert socket.hear_until("job")[-1]["job"] == str(other.pk)
    socket.send_until_saved(noise(0.5), 1500)
    within(10, other.steps.filter(kind="live", status="waiting").exists)
    end(other)
    socket.say(type="stop")
    assert socket.hear_all()[-1] == {"type": "done", "job": str(other.pk), "status": "completed"}


def test_stop_is_answered_also_without_a_job(connect, job):
    socket = connect()
    socket.start()
    socket.hear_until("progress")
    delete_job(job.pk)
    socket.say(type="stop")
    assert socket.hear_all()[-1] == {"type": "done", "job": None, "status": None}


def test_who_watches_a_silent_recording_can_ask_whether_the_server_is_there(watching):
    socket = watching()
    socket.hear_until("progress")
    for _ in range(2):
        socket.say(type="keep_alive")
        assert socket.hear() == {"type": "alive"}


def test_an_upload_of_another_is_not_watched(connect, bob, recording):
    from sessions_app.arrival.intake import store_upload

    job = store_upload(bob, upload_of(sound()), resolve_options(), source="upload")
    assert connect(job.session_id).status == 404
