"""The option `audio_track`, by every way that a file comes. The fake engine reads a number each second."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from jobs_app.engines.resolving import resolve_options
from jobs_app.lifecycle.choices import cancel_job, retry_job
from jobs_app.lifecycle.starting import start_job
from jobs_app.models import JobStatus, TranscriptionJob
from jobs_app.work import guard, timeline, unit
from sessions_app.options.forms import OptionsForm
from speech.engines.fake import FakeEngine, make_numbered_audio
from speech.sound.tracks.wish import TrackWish
from tests.sessions.recording import begin, cut, finish, send_chunk, session_row
from tests.sessions.tus.client import TusClient
from tests.speech.sounds import Track, write_media

pytestmark = pytest.mark.django_db(transaction=True)

FIRST, SECOND = (0, 6), (100, 4)  # the first number in each track, and how many


@pytest.fixture(autouse=True)
def workplace(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(guard, "TICK_S", 0.02)
    settings.RETRY_BACKOFF_S = 0
    settings.MAX_ATTEMPTS = 1
    settings.WORK_DIR, settings.RUN_DIR = tmp_path / "work", tmp_path / "run"
    for folder in (settings.WORK_DIR, settings.RUN_DIR):
        folder.mkdir()


def film(folder: Path, *spoken: tuple[int, int], **options: str) -> bytes:
    tracks = [Track(np.rint(make_numbered_audio(*one) * 32767).astype(np.int16)) for one in spoken]
    return write_media(folder / "film", *tracks, kind="matroska", **options).read_bytes()


@pytest.fixture
def two_tracks(tmp_path) -> bytes:
    return film(tmp_path, FIRST, SECOND)


def words(first: int, count: int) -> str:
    return " ".join(f"w{n:04d}" for n in range(first, first + count))


def run(job: TranscriptionJob) -> TranscriptionJob:
    while unit.do_next():
        pass
    job.refresh_from_db()
    return job


def heard(job: TranscriptionJob) -> str:
    assert (job.status, job.error) == (JobStatus.COMPLETED, "")
    return job.transcript.text


def by_api(api, browser, content: bytes) -> int:
    form = {"file": SimpleUploadedFile("film.mkv", content), "audio_track": "1"}
    return api.post("/api/uploads/", form, format="multipart").status_code


def by_tus(api, browser, content: bytes) -> int:
    tus = TusClient(api)
    return tus.patch(tus.begun(content, filename="film.mkv", audio_track="1"), 0, content).status_code


def by_page(api, browser, content: bytes) -> int:
    form = {"file": SimpleUploadedFile("film.mkv", content), "audio_track": "1"}
    return browser.post("/upload/", form).status_code


def by_openai(api, browser, content: bytes) -> int:
    """It waits for no worker here: the job is taken, and the answer is that it took too long."""
    form = {"file": SimpleUploadedFile("film.mkv", content), "model": "whisper-1", "audio_track": "1"}
    return api.post("/v1/audio/transcriptions", form, format="multipart").status_code


WAYS = [(by_api, 201, 422), (by_tus, 204, 422), (by_page, 302, 422), (by_openai, 504, 400)]


@pytest.mark.parametrize(("send", "taken", "refused"), WAYS)
def test_the_track_that_was_chosen_is_heard(send, taken, refused, api, client, alice, two_tracks, settings):
    settings.V1_TIMEOUT_S = 0
    client.force_login(alice)
    assert send(api, client, two_tracks) == taken
    job = TranscriptionJob.objects.get()
    assert job.options.audio_track == "1"
    if send is not by_openai:
        assert heard(run(job)) == words(*SECOND)
        assert job.sound.report["audio_tracks"]["heard"] == [1]


@pytest.mark.parametrize(("send", "taken", "refused"), WAYS)
def test_a_track_that_is_not_there_is_refused_at_the_door(send, taken, refused, api, client, alice, wav):
    client.force_login(alice)
    assert send(api, client, wav) == refused
    assert not TranscriptionJob.objects.exists()


def start(session, track: str) -> TranscriptionJob:
    return start_job(session, resolve_options(audio_track=track))


def test_each_job_of_a_recording_hears_its_own_track(api, client, alice, two_tracks):
    """Tracks differ in length, and so do the timelines of the jobs."""
    assert by_api(api, client, two_tracks) == 201
    second = run(TranscriptionJob.objects.get())
    for track, spoken in (("0", FIRST), ("1", SECOND), ("0", FIRST)):
        job = run(start(second.session, track))
        assert (heard(job), job.duration_ms) == (words(*spoken), spoken[1] * 1000)
        assert job.sound.report["audio_tracks"]["heard"] == [int(track)]


def test_a_job_that_is_tried_again_after_another_one_hears_its_own_track(
    api, client, alice, two_tracks, monkeypatch
):
    assert by_api(api, client, two_tracks) == 201
    session = TranscriptionJob.objects.get().session
    cancel_job(session.jobs.get().pk)
    with monkeypatch.context() as broken:
        broken.setattr(FakeEngine, "transcribe", lambda *args, **options: 1 / 0)
        failed = run(start(session, "0"))
    assert (failed.status, failed.planned) == (JobStatus.FAILED, True)
    assert heard(run(start(session, "1"))) == words(*SECOND)
    assert retry_job(failed.pk)
    assert heard(run(failed)) == words(*FIRST)


def test_each_job_of_a_stream_hears_its_own_track(api, tmp_path):
    """The pieces of a recorder that writes two tracks: only the first of them has the header."""
    stream = film(tmp_path, FIRST, (100, 6), cluster_time_limit="500", live="1")
    session = begin(api, audio_track="1")["id"]
    for number, piece in enumerate(pieces := cut(stream)):
        assert send_chunk(api, session, number, piece, name="part.mkv").status_code == 201
    assert len(pieces) > 2
    assert finish(api, session).status_code == 202
    for piece in session_row(session).chunks.all():
        copies = {timeline.copy_of(piece, TrackWish(track=track)) for track in "01"}
        assert (piece.audio_tracks, len(copies)) == (2, 2)
    assert heard(run(TranscriptionJob.objects.get())) == words(100, 6)
    assert heard(run(start(session_row(session), "0"))) == words(*FIRST)


def test_a_chunk_without_the_track_that_is_recorded_is_refused_and_the_others_are_heard(api, two_tracks, wav):
    session = begin(api, audio_track="1")["id"]
    refused = send_chunk(api, session, 0, wav)
    assert (refused.status_code, refused.data["code"]) == (422, "no_such_track")
    assert send_chunk(api, session, 0, two_tracks, name="film.mkv").status_code == 201
    assert finish(api, session).status_code == 202
    assert heard(run(TranscriptionJob.objects.get())) == words(*SECOND)


def test_the_page_offers_the_tracks_that_the_file_has(api, client, alice, tmp_path, wav):
    client.force_login(alice)
    for count in (1, 2, 12):
        content = film(tmp_path, *[(0, 2)] * count) if count > 1 else wav
        api.post("/api/uploads/", {"file": SimpleUploadedFile("a.mkv", content)}, format="multipart")
        job = TranscriptionJob.objects.latest("created_at")
        cancel_job(job.pk)
        page = client.get(f"/jobs/{job.pk}/").content.decode()
        assert page.count(">Only track ") == (count if count > 1 else 0)
    again = client.post(f"/jobs/{job.pk}/again/", {"audio_track": "11"})
    assert again.status_code == 302
    assert TranscriptionJob.objects.latest("created_at").options.audio_track == "11"


def test_a_browser_records_one_track_and_is_offered_no_choice(client, alice):
    client.force_login(alice)
    assert "audio_track" not in client.get("/record/").content.decode()
    assert "audio_track" not in OptionsForm(user=alice, tracks=1).fields
