"""Listening to a recording through the REST API."""

from __future__ import annotations

import pytest
from django.core.files.base import ContentFile
from django.db import transaction

from jobs_app.lifecycle.choices import cancel_job
from jobs_app.lifecycle.joining import begin_joining
from jobs_app.models import (
    TranscriptionJob,
)
from sessions_app.models import RecordingSession
from tests.sessions.conftest import sound
from tests.sessions.recording import PARTS, SESSIONS, finish, send_chunk
from tests.sessions.uploads import refused

pytestmark = pytest.mark.django_db


def listen(api, session_id, **headers):
    return api.get(f"{SESSIONS}{session_id}/audio/", headers=headers)


def test_a_recording_of_one_chunk_is_served_as_it_came(api, session_id):
    send_chunk(api, session_id, 0, PARTS[0])
    assert refused(listen(api, session_id), 409, "not_ready")
    finish(api, session_id)
    assert b"".join(listen(api, session_id)) == PARTS[0]


def test_a_recording_in_chunks_is_served_once_it_is_joined(api, session_id, storage):
    for number in range(2):
        send_chunk(api, session_id, number, PARTS[number])
    finish(api, session_id)
    assert refused(listen(api, session_id), 409, "not_ready")

    session = RecordingSession.objects.get()
    joined = sound(2.5, "FLAC")
    session.title = 'Team/"Talk"\n1'
    heard = session.sound_tracks.get()
    heard.joined.save(f"{session.pk}/joined-1.flac", ContentFile(joined), save=False)
    heard.joined_bytes = len(joined)
    session.save(update_fields=["title"])
    heard.save()
    response = listen(api, session_id)
    assert b"".join(response) == joined
    assert (response["Content-Type"], response["Content-Length"]) == ("audio/flac", str(len(joined)))
    assert "\n" not in response["Content-Disposition"]
    assert listen(api, session_id, **{"If-None-Match": response["ETag"]}).status_code == 304
    part = listen(api, session_id, Range="bytes=10-19")
    assert (part.status_code, b"".join(part)) == (206, joined[10:20])

    heard.joined.save(f"{session.pk}/joined-2.flac", ContentFile(joined), save=True)
    assert listen(api, session_id)["ETag"] != response["ETag"]


def test_a_recording_that_nobody_will_join_says_so(api, session_id):
    for number in range(2):
        send_chunk(api, session_id, number, PARTS[number])
    finish(api, session_id)
    job = TranscriptionJob.objects.get()
    cancel_job(job.pk)
    assert refused(listen(api, session_id), 404, "audio_missing")
    with transaction.atomic():
        begin_joining(job.sound, job, owner_id=job.session.owner_id)
    assert refused(listen(api, session_id), 409, "not_ready")


def test_a_recording_of_nothing_has_nothing_to_listen_to(api, session_id):
    finish(api, session_id)
    assert refused(listen(api, session_id), 404, "audio_missing")
