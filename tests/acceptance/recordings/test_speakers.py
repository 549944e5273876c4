"""Three people in twenty seconds, with the real engine and the real networks: from the upload to captions."""

from __future__ import annotations

import pytest
from django.urls import reverse

from jobs_app.models import WindowVoices
from jobs_app.work import unit
from tests.sessions.conftest import client_of


@pytest.mark.slow
@pytest.mark.recordings
@pytest.mark.django_db(transaction=True)
def test_three_people_are_told_apart_and_named(alice, recordings, settings, tmp_path, monkeypatch):
    settings.MEDIA_ROOT, settings.WORK_DIR, settings.RUN_DIR = (tmp_path / n for n in ("m", "w", "r"))
    for folder in (settings.MEDIA_ROOT, settings.WORK_DIR, settings.RUN_DIR):
        folder.mkdir()
    monkeypatch.setattr("jobs_app.leases.queue.wake", lambda n=1: None)
    api = client_of(alice)
    with (recordings / "en_three_speakers_20s.wav").open("rb") as file:
        sent = {"file": file, "engine": "local", "model": "tiny.en", "diarize": "true"}
        job = api.post(reverse("uploads"), sent, format="multipart").json()["job"]["id"]
    while unit.do_next():
        pass
    url = f"/api/jobs/{job}/"
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
