"""Each way in which a socket is ended, provoked: the code that is said, and the one of the close."""

from __future__ import annotations

import errno
import time

import pytest
from django.db import InterfaceError, OperationalError, connection
from django.db.models.functions import Now

from jobs_app.leases import claims
from jobs_app.models import LiveHost, LiveText
from rest.disk import StorageFull
from sessions_app.arrival import finishing
from sessions_app.live import sending, storing
from sessions_app.models import LivePiece
from sessions_app.sweeping import abandoned
from tests.sessions.live.client import noise, within
from tests.sessions.recording import finish

pytestmark = pytest.mark.django_db(transaction=True)

START = '{"type": "start", "sample_rate": 16000}'


def ended(socket) -> tuple[str, int | None]:
    said = socket.hear_all()
    assert said[-1]["type"] == "error"
    assert said[-1]["detail"]
    return said[-1]["code"], socket.closed


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("garbage", "bad_message"),
        ("[]", "bad_message"),
        ("[" * 50_000, "bad_message"),
        ("{}", "bad_message"),
        ('{"type": "sing"}', "bad_message"),
        ('{"type": ["start"]}', "bad_message"),
        ('{"type": "stop"}', "bad_message"),
        ('{"type": "start", "sample_rate": 16000, "resume": "yes"}', "bad_message"),
        ('{"type": "start", "sample_rate": 16000, "have": "6"}', "bad_message"),
        ('{"type": "watch", "have": 6}', "bad_message"),
        ('{"type": "watch", "have": "u6", "job": "mine"}', "bad_message"),
        ('{"type": "watch", "job": 6}', "bad_message"),
        ('{"type": "start"}', "bad_rate"),
        ('{"type": "start", "sample_rate": 7000}', "bad_rate"),
        ('{"type": "start", "sample_rate": 48001}', "bad_rate"),
        ('{"type": "start", "sample_rate": "16000"}', "bad_rate"),
        ('{"type": "start", "sample_rate": true}', "bad_rate"),
        ('{"type": "start", "sample_rate": 16000.0}', "bad_rate"),
    ],
)
def test_garbage(connect, said, code):
    socket = connect()
    socket.give(text=said)
    assert ended(socket) == (code, 4400)


@pytest.mark.parametrize("again", [START, '{"type": "watch"}'])
@pytest.mark.parametrize("first", [START, '{"type": "watch"}'])
def test_a_socket_begins_once(connect, first, again):
    socket = connect()
    socket.give(text=first)
    socket.give(text=again)
    assert ended(socket) == ("bad_message", 4400)


@pytest.mark.parametrize("frame", [b"", b"odd", bytes(64 * 1024 + 2)])
def test_frames_that_are_no_samples(connect, recording, frame):
    socket = connect()
    socket.start()
    socket.send(noise(0.5))
    socket.give(bytes=frame)
    assert ended(socket) == ("bad_frame", 4400)
    # What came before is kept, and the recording goes on.
    recording.refresh_from_db()
    assert recording.finished_at is None
    assert connect().start()["received_ms"] == 500


@pytest.mark.parametrize("first", [None, "watch"])
def test_audio_of_who_does_not_send(connect, first):
    socket = connect()
    if first:
        socket.say(type=first)
    socket.give(bytes=bytes(3200))
    assert ended(socket) == ("bad_frame", 4400)


@pytest.mark.parametrize("already", [True, False])
def test_a_finished_recording(connect, recording, api, already):
    socket = connect()
    if already:
        finish(api, recording.pk)
        socket.give(text=START)
    else:
        socket.start()
        socket.send_until_saved(noise(0.5), 500)
        finish(api, recording.pk)
        socket.send(noise(0.5))
    assert ended(socket) == ("session_finished", 4409)


def test_audio_after_stop(connect):
    socket = connect()
    socket.start()
    socket.say(type="stop")
    socket.give(bytes=bytes(3200))
    assert ended(socket) == ("session_finished", 4409)


@pytest.mark.parametrize(("resume", "taken_s"), [(False, 30), (True, 60)])
def test_audio_that_nobody_can_have_spoken_by_now(connect, recording, resume, taken_s):
    socket = connect()
    socket.start(resume=resume)
    began = time.monotonic()
    second = noise(1)
    for _ in range(taken_s):
        socket.send(second, frame=16_000)
    socket.hear_until("saved", received_ms=taken_s * 1000)
    for _ in range(int(time.monotonic() - began) + 3):
        socket.send(second, frame=16_000)
    assert ended(socket) == ("too_fast", 4413)
    assert connect().start()["received_ms"] >= taken_s * 1000


def test_more_than_a_recording_may_have(connect, settings):
    settings.MAX_AUDIO_S = 2
    socket = connect()
    socket.start()
    socket.send(noise(2.4))
    assert ended(socket) == ("audio_too_long", 4422)


@pytest.mark.parametrize("first", [START, None])
def test_nothing_for_long(connect, settings, first):
    settings.LIVE_IDLE_S = 0.5
    socket = connect()
    if first:
        socket.give(text=first)
    assert ended(socket) == ("idle", 4408)


def test_who_pauses_or_watches_is_not_idle_or_abandoned(connect, recording, settings):
    settings.LIVE_IDLE_S, settings.ABANDONED_AFTER_S = 0.6, 1
    watching, pausing = connect(), connect()
    watching.say(type="watch")
    pausing.start()
    for _ in range(8):
        time.sleep(0.2)
        pausing.say(type="keep_alive")
    abandoned.sweep()
    recording.refresh_from_db()
    assert recording.finished_at is None
    pausing.send_until_saved(noise(0.5), 500)
    watching.say(type="sing")
    assert ended(watching) == ("bad_message", 4400)


@pytest.mark.parametrize("at", ["the start", "a piece", "a chunk", "the end"])
def test_a_full_disk(connect, recording, monkeypatch, settings, at):
    settings.RECORDER_CUTS_S = (1,)
    socket = connect()

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "full") if at == "a piece" else StorageFull

    if at == "the start":
        monkeypatch.setattr(storing, "check_disk", full)
        socket.give(text=START)
        assert ended(socket) == ("storage_full", 4507)
        return
    socket.start()
    if at == "a piece":
        monkeypatch.setattr(storing, "insert_pieces", full)
    monkeypatch.setattr(finishing, "check_disk", full)
    socket.send(noise(1.2 if at == "a chunk" else 0.9))
    if at == "the end":
        socket.say(type="stop")
    assert ended(socket) == ("storage_full", 4507)
    monkeypatch.undo()
    settings.RECORDER_CUTS_S = (1,)
    recording.refresh_from_db()
    assert recording.finished_at is None
    # Whatever was in the database before is still there.
    kept_ms = {"a piece": 0, "a chunk": 1000, "the end": 900}[at]
    assert connect().start()["received_ms"] >= kept_ms


def test_a_database_that_is_away_for_a_while(connect, recording, monkeypatch):
    socket = connect()
    socket.start()
    really_store = storing.store
    times = iter([OperationalError("away"), InterfaceError("closed")])

    def store(pieces):
        if error := next(times, None):
            raise error
        return really_store(pieces)

    monkeypatch.setattr(storing, "store", store)
    samples = noise(1)
    socket.send_until_saved(samples, 1000)
    assert b"".join(bytes(p.pcm) for p in LivePiece.objects.order_by("first_sample")) == samples.tobytes()


def test_a_database_that_stays_away(connect, monkeypatch):
    monkeypatch.setattr(sending, "KEEP_TRYING_S", 0.3)

    def away(pieces):
        raise OperationalError("away")

    socket = connect()
    socket.start()
    monkeypatch.setattr(storing, "store", away)
    socket.send(noise(0.5))
    assert ended(socket) == ("try_again", 1013)


def test_a_piece_that_cannot_be_stored_does_not_hold_up_the_others(recording, api):
    """Two sockets cannot have the same place; here, somebody has written it by hand."""
    from tests.sessions.live.client import loop

    LivePiece.objects.create(session=recording, first_sample=0, pcm=bytes(2))
    piece = storing.Piece(recording.pk, sending.uuid.uuid4(), 0, bytes(2), 0, False)
    storing.LiveSender.objects.create(session=recording, sender=piece.sender)
    store = storing.Store()

    async def both() -> list[object]:
        import asyncio
        from dataclasses import replace

        others = replace(piece, first_sample=1)
        return await asyncio.gather(store.add(piece), store.add(others), return_exceptions=True)

    with loop() as running:
        failed, stored = running.run(both())
    assert type(failed).__name__ == "IntegrityError"
    assert stored is storing.Outcome.STORED


def test_a_client_that_does_not_read(connect, settings):
    settings.LIVE_UNREAD_S = 0.3
    socket = connect()
    socket.start()
    socket.stop_reading()
    socket.send(noise(0.5))
    socket._loop.run(socket._ended())
    connect().start()  # its place is free


def test_a_bug_is_said_to_be_one(connect, monkeypatch, caplog):
    def bug(*_: object) -> None:
        raise ZeroDivisionError

    socket = connect()
    socket.start()
    monkeypatch.setattr(storing, "store", bug)
    socket.send(noise(0.5))
    assert ended(socket) == ("internal_error", 4500)
    assert "ZeroDivisionError" in caplog.text


# --- Not heard live ------------------------------------------------------------------------------


def test_without_a_live_host_the_recording_goes_on_all_the_same(connect, job):
    socket = connect()
    socket.start()
    unavailable = socket.hear_until("error")[-1]
    assert unavailable["code"] == "live_unavailable"
    assert socket.send_until_saved(noise(0.5), 500)["received_ms"] == 500
    assert not LiveText.objects.exists()
    assert not job.steps.exists()


def test_with_one_it_is_heard_again_after_a_pause(connect, job, settings):
    LiveHost.objects.create(name="here:1", beat_at=Now())
    settings.LIVE_IDLE_S = 1
    settings.ENGINES = ["fake", "local"]
    socket = connect()
    socket.start()
    socket.send_until_saved(noise(0.5), 500)
    step = job.steps.get()
    assert step.status == "waiting"
    job.steps.update(status="done")
    for _ in range(4):
        time.sleep(0.2)
        socket.say(type="keep_alive")
    socket.send_until_saved(noise(0.5), 1000)
    step.refresh_from_db()
    assert step.status == "waiting"


@pytest.mark.parametrize("pause", [True, False])
def test_it_is_heard_also_if_the_live_host_gives_it_up_just_when_more_comes(
    connect, job, settings, monkeypatch, pause
):
    """The host has not seen what comes, and the step is still its own when the first frame comes."""
    LiveHost.objects.create(name="here:1", beat_at=Now())
    settings.LIVE_IDLE_S = 1
    socket = connect()
    socket.start()
    if pause:
        socket.send_until_saved(noise(0.5), 500)
    within(10, job.steps.exists)
    assert claims.claim_live() is not None
    really_store = storing.store

    def store(pieces):
        job.steps.update(status="done", lease_token="", lease_until=None)
        return really_store(pieces)

    monkeypatch.setattr(storing, "store", store)
    for _ in range(4 if pause else 0):
        time.sleep(0.2)
        socket.say(type="keep_alive")
    socket.send_until_saved(noise(0.5), 1000 if pause else 500)
    within(10, lambda: job.steps.get().status == "waiting")


def test_no_connection_is_left_in_a_transaction(connect):
    socket = connect()
    socket.start()
    socket.send_until_saved(noise(0.5), 500)
    assert connection.get_autocommit()
