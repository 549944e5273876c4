"""Three people in twenty seconds, with the real engine and the real networks: from the upload to captions."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from django.urls import reverse
from faster_whisper import decode_audio

from jobs_app.models import WindowVoices
from jobs_app.work import unit
from speech.types import SAMPLE_RATE
from tests.sessions.conftest import client_of

pytestmark = [pytest.mark.slow, pytest.mark.recordings, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def transcribed(alice, recordings, settings, tmp_path, monkeypatch):
    """Upload a recording, or a half of one, and transcribe it; a client, and the address of the job."""
    settings.MEDIA_ROOT, settings.WORK_DIR, settings.RUN_DIR = (tmp_path / n for n in ("m", "w", "r"))
    for folder in (settings.MEDIA_ROOT, settings.WORK_DIR, settings.RUN_DIR):
        folder.mkdir()
    monkeypatch.setattr("jobs_app.leases.queue.wake", lambda n=1: None)

    def transcribe(name: str, *, half: int | None = None):
        api, path = client_of(alice), recordings / name
        if half is not None:
            samples = decode_audio(str(path))
            path = tmp_path / f"half_{half}.wav"
            soundfile.write(path, np.array_split(samples, 2)[half], SAMPLE_RATE)
        with path.open("rb") as file:
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


def test_a_saved_voice_is_known_in_another_recording_and_another_reader_is_not(transcribed, alice):
    alice.known_voices = True
    alice.save(update_fields=["known_voices"])
    api, first = transcribed("en_sonnet1_53s.mp3", half=0)
    sent = {"job": first.split("/")[-2], "label": "S1", "name": "The reader"}
    voice = api.post("/api/voices/", sent)
    assert voice.status_code == 201, voice.content

    _, same = transcribed("en_sonnet1_53s.mp3", half=1)
    (speaker,) = api.get(f"{same}speakers/").json()
    assert speaker["name"] == ""
    assert speaker["suggestion"].pop("certainty") > 0.8
    assert speaker["suggestion"] == {"name": "The reader", "voice": voice.json()["id"]}
    confirmed = api.patch(f"{same}speakers/", {"label": "S1", "confirm": voice.json()["id"]})
    assert confirmed.json()[0]["name"] == "The reader"

    _, other = transcribed("en_two_cities_44s.m4a", half=1)
    assert [one["suggestion"] for one in api.get(f"{other}speakers/").json()] == [None]
