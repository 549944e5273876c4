"""Where one thing follows another, no sound is stored twice, and no text is told twice or left out."""

from __future__ import annotations

import pytest
from django.db import OperationalError, transaction
from django.utils import timezone

from jobs_app.models import JobKind
from sessions_app.live import looking, storing
from sessions_app.models import RecordingSession
from tests.job_rows import change_job, create_job, create_segment
from tests.sessions.live.client import noise

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_piece_is_stored_once_if_the_answer_of_the_database_is_lost(connect, recording, monkeypatch):
    store, lost = storing.store, []

    def answer_lost(pieces):
        outcomes = store(pieces)
        if len(lost) < 2:
            lost.append(pieces)
            raise OperationalError("the connection broke after the commit")
        return outcomes

    socket = connect()
    socket.start()
    monkeypatch.setattr(storing, "store", answer_lost)
    samples = noise(1.5)
    socket.send_until_saved(samples, 1500)
    assert len(lost) == 2
    stored = recording.live_pieces.order_by("first_sample").values_list("pcm", flat=True)
    assert b"".join(map(bytes, stored)) == samples.tobytes()


def complete(job, *texts: str) -> None:
    for number, text in enumerate(texts):
        create_segment(job, text=text, start_ms=1000 * number, end_ms=1000 * number + 900)
    change_job(job, status="completed", stage="ended", ended_at=timezone.now(), total_segments=len(texts))
    with transaction.atomic():
        RecordingSession.objects.get(pk=job.session_id).job_completed(job)


def texts_told(socket) -> list[str]:
    return [said["text"] for said in socket.hear_all() if said["type"] == "segment"]


def test_who_comes_back_after_a_second_hearing_is_told_the_rest_of_the_first(connect, recording, job):
    RecordingSession.objects.update(finished_at=timezone.now())
    complete(job, "one", "two", "three")
    recording.refresh_from_db()
    refinement = create_job(session=recording, kind=JobKind.REFINE, engine="fake", model="fake")
    complete(refinement, "one two", "three")
    assert looking.current_job(recording.pk) == refinement.pk

    back = connect()
    back.say(type="watch", have="u1")
    assert texts_told(back) == ["three"]
    new = connect()
    new.say(type="watch")
    assert texts_told(new) == ["one two", "three"]
