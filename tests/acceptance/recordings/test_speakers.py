"""Three people in twenty seconds, with the real engine and the real networks: from the upload to captions."""

from __future__ import annotations

import pytest
from django.urls import reverse

from jobs_app.models import WindowVoices
from jobs_app.work import unit
from tests.sessions.conftest import client_of

pytestmark = [pytest.mark.slow, pytest.mark.recordings, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def transcribed(alice, recordings, settings, tmp_path, monkeypatch):
    """Upload a recording and transcribe it; a client, and the address of the job."""
    settings.MEDIA_ROOT, settings.WORK_DIR, settings.RUN_DIR = (tmp_path / n for n in ("m", "w", "r"))
    for folder in (settings.MEDIA_ROOT, settings.WORK_DIR, settings.RUN_DIR):
        folder.mkdir()
    monkeypatch.setattr("jobs_app.leases.queue.wake", lambda n=1: None)

    def transcribe(name: str):
        api = client_of(alice)
        with (recordings / name).open("rb") as file:
            sent = {"file": file, "engine": "local", "model": "tiny.en", "diarize": "true"}
            job = api.post(reverse("uploads"), sent, format="multipart").json()["job"]["id"]
        while unit.do_next():
            pass
        return api, f"/api/jobs/{job}/"

    return transcribe


def test_a_call_is_told_apart_by_its_channels(transcribed, monkeypatch):
    # So what voices say is not asked.
    monkeypatch.setattr("speech.speakers.tell_apart", lambda *_: 1 / 0)
    api, url = transcribed("en_call_2spk_stereo_8k.wav")
    assert [one["label"] for one in api.get(f"{url}speakers/").json()] == ["S1", "S2"]
    assert api.get(url).json()["warnings"] == []


def test_three_people_are_told_apart_and_named(transcribed):
    api, url = transcribed("en_three_speakers_20s.wav")
    assert api.get(url).json()["n_speakers"] == 3
    people = api.get(f"{url}speakers/").json()
    # The second of them speaks for nearly five seconds, and the third most often.
    assert [one["label"] for one in people] == ["S1", "S2", "S3"]
    assert [round(one["speaking_ms"] / 2000) for one in people] == [1, 2, 3]
    data = api.get(f"{url}transcript.json").json()
    who = list(dict.fromkeys(segment["speaker"] for segment in data["segments"]))
    assert who == ["S1", "S2", "S3"]
    assert len(api.get(f"{url}transcript.rttm").content.splitlines()) >= 3

    api.patch(f"{url}speakers/", {"label": "S2", "name": "Ben"})
    captions = api.get(f"{url}transcript.srt").content.decode()
    assert captions.index("Speaker 1: ") < captions.index("Ben: ") < captions.index("Speaker 3: ")

    # One number less: the voices are there, and the name stays with its own.
    api.patch(f"{url}speakers/", {"num_speakers": 2}, format="json")
    while unit.do_next():
        pass
    assert "Ben" in [one["name"] for one in api.get(f"{url}speakers/").json()]
    assert api.get(url).json()["n_speakers"] == 2

    assert WindowVoices.objects.exists()
    api.delete(url)
    assert not WindowVoices.objects.exists()
