"""What a socket brings is stored in pieces, and becomes the chunks that the recorder would have sent."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path

import numpy as np
import pytest

from sessions_app.arrival.finishing import finish
from sessions_app.arrival.pieces import wav_of
from sessions_app.arrival.probing import probe
from sessions_app.live import sending
from sessions_app.models import AudioChunk, LivePiece, RecordingSession
from sessions_app.sweeping import abandoned
from tests.sessions.live.client import noise
from tests.sessions.recording import send_chunk

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def short_cuts(settings):
    settings.RECORDER_CUTS_S = (1, 2)


def contents(session: RecordingSession) -> list[bytes]:
    return [Path(chunk.file.path).read_bytes() for chunk in session.chunks.order_by("number")]


def pieces_of(session: RecordingSession) -> np.ndarray:
    pieces = list(session.live_pieces.order_by("first_sample"))
    for one, other in itertools.pairwise(pieces):
        assert one.first_sample + len(one.pcm) // 2 == other.first_sample
    return np.frombuffer(b"".join(bytes(piece.pcm) for piece in pieces), dtype="<i2")


def test_what_comes_is_saved_and_said_to_be_saved(connect, recording):
    samples = noise(0.75)
    socket = connect()
    assert socket.start() == {
        "type": "ready",
        "received_ms": 0,
        "saved_ms": 0,
        "cuts_ms": [1000, 3000, 5000, 7000, 9000],
    }
    saved = socket.send_until_saved(samples, 750)
    assert saved == {"type": "saved", "received_ms": 750, "saved_ms": 0}
    assert (pieces_of(recording) == samples).all()
    recording.refresh_from_db()
    assert recording.seen_at is not None


def test_a_client_that_pauses_can_have_the_rest_stored_at_once(connect, recording, monkeypatch):
    monkeypatch.setattr(sending, "PIECE_S", 1000)
    samples = noise(0.75)
    socket = connect()
    socket.start()
    socket.send(samples)
    socket.say(type="keep_alive")
    socket.hear_until("saved", received_ms=750)
    assert (pieces_of(recording) == samples).all()


def test_full_pieces_become_the_chunks_that_the_recorder_makes(connect, recording):
    samples = noise(3.6)
    socket = connect()
    socket.start()
    saved = socket.send_until_saved(samples, 3600)
    assert saved["saved_ms"] == 3000
    assert contents(recording) == [wav_of(samples[a:b].tobytes()) for a, b in ((0, 16_000), (16_000, 48_000))]
    assert (pieces_of(recording) == samples[48_000:]).all()
    for chunk in recording.chunks.all():
        told = probe(Path(chunk.file.path))
        assert (chunk.container, chunk.codec, chunk.duration_ms, chunk.audio_tracks) == (
            told.container,
            told.codec,
            told.duration_ms,
            told.audio_streams,
        )
        assert chunk.sha256 == hashlib.sha256(Path(chunk.file.path).read_bytes()).hexdigest()


def test_the_recorder_page_makes_the_same_file_of_the_same_samples():
    samples = ((np.arange(80_000) * 7919) % 65_536 - 32_768).astype("<i2")
    # This is of what wavOf in static/recorder/sound/wav.js returns for these samples.
    of_the_page = "567c4e45ab6e2c8966b9d2bda83417b6b1d18b38b0cb94a65258cef30f421aba"
    assert hashlib.sha256(wav_of(samples.tobytes())).hexdigest() == of_the_page


def test_stop_makes_the_last_chunk_and_finishes(connect, recording):
    samples = noise(1.3)[:-7]
    socket = connect()
    socket.start()
    socket.send(samples)
    socket.say(type="stop")
    saved = socket.hear_until("saved", received_ms=1299)[-1]
    while saved["saved_ms"] < 1299:
        saved = socket.hear_until("saved")[-1]
    recording.refresh_from_db()
    assert recording.finished_at is not None
    assert b"".join(content[44:] for content in contents(recording)) == samples.tobytes()
    assert not LivePiece.objects.exists()


@pytest.mark.parametrize("how", ["finish", "sweep"])
def test_who_finishes_the_recording_makes_the_last_chunk(connect, recording, api, settings, how):
    samples = noise(1.25)
    socket = connect()
    socket.start()
    socket.send_until_saved(samples, 1250)
    socket.leave()
    if how == "finish":
        assert api.post(f"/api/sessions/{recording.pk}/finish/", {"chunks": 2}).status_code == 202
    else:
        settings.ABANDONED_AFTER_S = 0
        abandoned.sweep()
    recording.refresh_from_db()
    assert recording.finished_at is not None
    assert b"".join(content[44:] for content in contents(recording)) == samples.tobytes()
    assert not LivePiece.objects.exists()


def test_missing_chunks_are_missed_also_beside_pieces(connect, recording, api):
    socket = connect()
    socket.start()
    socket.send_until_saved(noise(0.5), 500)
    answer = api.post(f"/api/sessions/{recording.pk}/finish/", {"chunks": 3})
    assert (answer.status_code, answer.data["missing"]) == (409, [1, 2])
    assert not recording.chunks.exists()


# --- Chunks that come by POST beside it ----------------------------------------------------------


@pytest.mark.parametrize(("posted_ms", "left_ms"), [(500, 300), (1000, 0), (650, 150)])
def test_a_chunk_that_is_posted_replaces_the_pieces_that_it_covers(
    connect, recording, api, posted_ms, left_ms
):
    samples = noise(0.8)
    posted = noise(posted_ms / 1000, seed=2)
    socket = connect()
    socket.start()
    socket.send_until_saved(samples, 800)
    assert send_chunk(api, recording.pk, 0, wav_of(posted.tobytes())).status_code == 201
    assert (pieces_of(recording) == samples[len(samples) - left_ms * 16 :]).all()

    # The socket goes on behind it.
    more = noise(0.7, seed=3)
    end = max(posted_ms, 800)
    saved = socket.send_until_saved(more, 1500)
    assert saved == {"type": "saved", "received_ms": 1500, "saved_ms": posted_ms}
    whole = np.concatenate([posted, samples[posted_ms * 16 :], more[(end - 800) * 16 :]])
    finish(recording)
    assert b"".join(content[44:] for content in contents(recording)) == whole.tobytes()


def test_the_chunk_that_the_socket_has_completed_is_already_there_for_a_post(connect, recording, api):
    samples = noise(1.2)
    socket = connect()
    socket.start()
    socket.send_until_saved(samples, 1200)
    assert send_chunk(api, recording.pk, 0, wav_of(samples[:16_000].tobytes())).status_code == 200
    other = send_chunk(api, recording.pk, 0, wav_of(samples[:15_000].tobytes()))
    assert (other.status_code, other.data["code"]) == (409, "chunk_conflict")


def test_a_chunk_after_the_next_one_is_reached_when_the_hole_is_filled(connect, recording, api):
    later = noise(2, seed=2)
    assert send_chunk(api, recording.pk, 1, wav_of(later.tobytes())).status_code == 201
    samples = noise(3.5)
    socket = connect()
    assert socket.start()["received_ms"] == 0
    saved = socket.send_until_saved(samples, 3500)
    assert saved["saved_ms"] == 3000
    finish(recording)
    whole = np.concatenate([samples[:16_000], later, samples[48_000:]])
    assert b"".join(content[44:] for content in contents(recording)) == whole.tobytes()


def test_a_chunk_is_not_removed_while_a_socket_counts_from_it(connect, recording, api):
    socket = connect()
    socket.start()
    socket.send_until_saved(noise(1.1), 1100)
    answer = api.delete(f"/api/sessions/{recording.pk}/chunks/0/")
    assert (answer.status_code, answer.data["code"]) == (409, "chunk_needed")
    assert recording.chunks.count() == 1


# --- Resuming ------------------------------------------------------------------------------------


def test_a_socket_goes_on_where_another_one_broke_off(connect, recording):
    samples = noise(2.2)
    first = connect()
    first.start()
    first.send(samples[: 1600 * 12 + 5], frame=1600)
    first.leave()  # what had come is stored
    second = connect()
    ready = second.start(resume=True)
    assert ready["received_ms"] == 1200
    assert ready["cuts_ms"][:2] == [1000, 3000]
    # From the last whole millisecond on; five samples more are there already.
    second.send_until_saved(samples[1200 * 16 :], 2200)
    finish(recording)
    assert b"".join(content[44:] for content in contents(recording)) == samples.tobytes()


def test_chunks_that_a_killed_process_has_not_made_are_made_at_the_start(connect, recording):
    samples = noise(3.5)
    for at in range(0, len(samples), 8000):
        LivePiece.objects.create(session=recording, first_sample=at, pcm=samples[at : at + 8000].tobytes())
    assert connect().start()["saved_ms"] == 3000
    assert AudioChunk.objects.count() == 2


def test_the_newer_sender_takes_over(connect, recording):
    samples = noise(1)
    old, new = connect(), connect()
    old.start()
    old.send_until_saved(samples[:8000], 500)
    assert new.start(resume=True)["received_ms"] == 500
    old.send(noise(0.6, seed=5))
    assert old.hear_all()[-1]["code"] == "taken_over"
    assert old.closed == 4409
    new.send_until_saved(samples[8000:], 1000)
    finish(recording)
    assert b"".join(content[44:] for content in contents(recording)) == samples.tobytes()


def test_other_sample_rates_become_16_khz_without_a_seam(connect, recording):
    times = np.arange(48_000 * 2) / 48_000
    tone = (12_000 * np.sin(2 * np.pi * 440 * times)).astype(np.int16)
    socket = connect()
    socket.start(sample_rate=48_000)
    socket.send(tone, frame=4801)
    socket.say(type="stop")
    socket.hear_until("saved", saved_ms=2000)
    heard = np.frombuffer(b"".join(content[44:] for content in contents(recording)), dtype="<i2")
    expected = 12_000 * np.sin(2 * np.pi * 440 * np.arange(len(heard)) / 16_000)
    assert abs(len(heard) - 32_000) <= 1
    # The filter rings at both ends only.
    assert np.abs(heard - expected)[100:-100].max() < 50
