"""A recording through the REST API while it is made."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model

from jobs_app.lifecycle.choices import cancel_job
from jobs_app.models import (
    JobStep,
    StepKind,
    WorkStatus,
)
from rest.throttling import ChunkThrottle
from sessions_app.models import AudioChunk, RecordingSession
from tests.sessions.conftest import client_of
from tests.sessions.recording import PARTS, SESSIONS, at_once, begin, cut, finish, send_chunk, stream
from tests.sessions.uploads import refused

pytestmark = pytest.mark.django_db


def numbers_of(session_id) -> list[int]:
    return list(AudioChunk.objects.filter(session=session_id).values_list("number", flat=True))


# --- Sending -------------------------------------------------------------------------------------


def test_a_chunk_is_answered_with_what_is_stored(api, session_id):
    sha256 = hashlib.sha256(PARTS[0]).hexdigest()
    response = send_chunk(api, session_id, 0, PARTS[0], duration_ms=1000, sha256=sha256)
    assert response.status_code == 201, response.data
    chunk = AudioChunk.objects.get()
    assert response.data["id"] == str(chunk.pk)
    assert {name: response.data[name] for name in response.data if name not in ("id", "received_at")} == {
        "number": 0,
        "duration_ms": 1000,
        "size_bytes": len(PARTS[0]),
        "sha256": sha256,
        "continues": False,
    }
    assert response.data["received_at"].endswith("Z")
    assert chunk.file.read() == PARTS[0]

    again = send_chunk(api, session_id, 0, PARTS[0])
    assert (again.status_code, again.data) == (200, response.data)


def test_the_recording_tells_how_long_it_is(api, session_id):
    for number in (0, 1):
        send_chunk(api, session_id, number, PARTS[number])
    session = api.get(f"{SESSIONS}{session_id}/").data
    assert (session["duration_ms"], session["chunk_count"], session["state"]) == (2500, 2, "recording")


def test_pieces_of_a_stream_say_so(api, session_id):
    first, second, *_ = cut(stream())
    assert not send_chunk(api, session_id, 0, first).data["continues"]
    assert send_chunk(api, session_id, 1, second).data["continues"]


def test_what_cannot_be_stored_is_said_in_the_documented_way(api, session_id, settings):
    send_chunk(api, session_id, 0, PARTS[0])
    assert refused(send_chunk(api, session_id, 0, PARTS[1]), 409, "chunk_conflict")
    assert refused(send_chunk(api, session_id, 1, PARTS[1], sha256="0" * 64), 422, "checksum_mismatch")
    assert refused(send_chunk(api, session_id, 1, b""), 422, "unreadable_audio")
    assert refused(send_chunk(api, session_id, 1, b"fLaC but damaged"), 422, "unreadable_audio")
    assert refused(send_chunk(api, session_id, 1, b"Dear diary, " * 99), 415, "unsupported_media")
    settings.MAX_CHUNK_BYTES = 1000
    assert refused(send_chunk(api, session_id, 1, PARTS[1]), 413, "file_too_large")
    settings.MAX_UPLOAD_BYTES = 1000
    assert refused(send_chunk(api, session_id, 1, PARTS[1]), 413, "file_too_large")
    settings.MAX_UPLOAD_BYTES = settings.MAX_CHUNK_BYTES = 10**9
    settings.MAX_AUDIO_S = 2
    assert refused(send_chunk(api, session_id, 1, PARTS[1]), 422, "audio_too_long")
    settings.MIN_FREE_DISK_BYTES = 10**18
    assert refused(send_chunk(api, session_id, 1, PARTS[1]), 507, "storage_full")
    settings.MIN_FREE_DISK_BYTES = 0
    finish(api, session_id)
    assert refused(send_chunk(api, session_id, 1, PARTS[1]), 409, "session_finished")
    assert send_chunk(api, session_id, 0, PARTS[0]).status_code == 200
    assert numbers_of(session_id) == [0]


@pytest.mark.parametrize(
    ("number", "more", "field"),
    [
        (-1, {}, "number"),
        (10**12, {}, "number"),
        ("9" * 5000, {}, "number"),
        (10_000, {}, "number"),
        ("abc", {}, "number"),
        ("", {}, "number"),
        ("1\x00", {}, "number"),
        ("1.5", {}, "number"),
        (0, {"sha256": "abc"}, "sha256"),
        (0, {"sha256": "a" * 64 + "\n\x00"}, "sha256"),
    ],
)
def test_values_that_make_no_sense_are_refused(api, session_id, left_behind, number, more, field):
    response = send_chunk(api, session_id, number, PARTS[0], **more)
    assert refused(response, 400, "invalid")
    assert set(response.data["fields"]) == {field}
    assert left_behind() == []


@pytest.mark.parametrize(
    ("given", "kept"),
    [("4428.57", 4429), ("0", 0), ("1e3", 1000)]
    + [(nonsense, None) for nonsense in (-1, 10**30, "NaN", "inf", "", "null", "4,5", "9" * 5000, "12 s")],
)
def test_a_hint_is_rounded_or_ignored_and_refuses_nothing(api, session_id, given, kept):
    assert send_chunk(api, session_id, 0, PARTS[0], duration_ms=given).status_code == 201
    assert AudioChunk.objects.get().claimed_ms == kept


def test_a_number_whose_gap_could_not_fit_is_refused(api, session_id, left_behind, settings):
    settings.MAX_AUDIO_S = 100
    for number in range(3):
        send_chunk(api, session_id, number, PARTS[2])
    response = send_chunk(api, session_id, 60, PARTS[2])
    assert refused(response, 422, "chunk_number_too_high")
    assert "57 chunks have not come" in response.data["detail"]
    assert send_chunk(api, session_id, 40, PARTS[2]).status_code == 201
    assert numbers_of(session_id) == [0, 1, 2, 40]
    # Nothing is refused where nothing is missing before it.
    assert send_chunk(api, session_id, 3, PARTS[2]).status_code == 201


def test_a_person_has_only_so_many_recordings_open(api, bobs_api, settings):
    settings.MAX_OPEN_RECORDINGS = 2
    first, _ = begin(api), begin(api)
    response = api.post(SESSIONS, {})
    assert refused(response, 429, "too_many_open_recordings")
    assert RecordingSession.objects.count() == 2
    begin(bobs_api)
    finish(api, first["id"])
    begin(api)


def test_a_repeated_beginning_is_answered_though_no_more_may_be_open(api, settings):
    settings.MAX_OPEN_RECORDINGS = 1
    answers = [api.post(SESSIONS, {}, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].data["id"] == answers[1].data["id"]


def test_the_highest_number_is_taken(api, session_id):
    assert send_chunk(api, session_id, 9999, PARTS[0]).status_code == 201


def test_a_chunk_without_its_file_or_number_is_refused(api, session_id):
    response = api.post(f"{SESSIONS}{session_id}/chunks/", {}, format="multipart")
    assert refused(response, 400, "invalid")
    assert set(response.data["fields"]) == {"number", "file"}
    response = api.post(f"{SESSIONS}{session_id}/chunks/", {"number": 0, "file": "text"}, format="multipart")
    assert (response.status_code, set(response.data["fields"])) == (400, {"file"})
    assert api.post(f"{SESSIONS}{session_id}/chunks/", {"number": 0}).status_code == 415


def test_a_name_full_of_nonsense_is_only_a_name(api, session_id):
    assert send_chunk(api, session_id, 0, PARTS[0], name="../../a\x01b.php").status_code == 201
    chunk = AudioChunk.objects.get()
    assert chunk.filename == "ab.php"
    assert chunk.file.name.endswith(".wav")


@pytest.mark.parametrize("call", ["chunks", "finish", "cache", "text"])
def test_the_recordings_of_others_are_not_there(bobs_api, client, session_id, call):
    for address in (session_id, "00000000-0000-0000-0000-000000000000", "nonsense", "%00"):
        url = f"{SESSIONS}{address}/{call}/"
        ask = bobs_api.post if call == "finish" else bobs_api.get
        assert refused(ask(url), 404, "not_found")
        if call == "chunks":
            assert refused(send_chunk(bobs_api, address, 0, PARTS[0]), 404, "not_found")
    assert client.get(f"{SESSIONS}{session_id}/{call}/").status_code == 401
    assert RecordingSession.objects.get().finished_at is None


def test_a_chunk_costs_the_same_few_queries_however_many_there_are(
    api, session_id, django_assert_max_num_queries
):
    for number in range(12):
        with django_assert_max_num_queries(20):
            assert send_chunk(api, session_id, number, PARTS[0]).status_code == 201


def test_the_throttle_of_chunks_is_their_own(api, session_id, monkeypatch):
    monkeypatch.setattr(ChunkThrottle, "rate", "2/min", raising=False)
    assert [send_chunk(api, session_id, number, PARTS[0]).status_code for number in range(3)] == [
        201,
        201,
        429,
    ]
    assert finish(api, session_id).status_code == 202


def test_fifty_recordings_of_one_person_are_not_too_many(api):
    sessions = [begin(api)["id"] for _ in range(50)]
    for number in range(2):
        assert {send_chunk(api, s, number, PARTS[0]).status_code for s in sessions} == {201}
    assert {finish(api, s, chunks=2).status_code for s in sessions} == {202}
    assert AudioChunk.objects.count() == 100


@pytest.mark.django_db(transaction=True)
def test_people_who_record_at_the_same_moment_do_not_disturb_each_other(left_behind):
    people = [get_user_model().objects.create_user(f"person{n}") for n in range(8)]
    clients = [client_of(person) for person in people]

    def record(client) -> list[int]:
        session_id = begin(client)["id"]
        answers = [send_chunk(client, session_id, number, PARTS[number]).status_code for number in range(3)]
        return [*answers, finish(client, session_id, chunks=3).status_code]

    assert at_once(*[lambda client=client: record(client) for client in clients]) == [[201] * 3 + [202]] * 8
    for session in RecordingSession.objects.all():
        assert [chunk.file.read() for chunk in session.chunks.all()] == PARTS
    assert len([path for path in left_behind() if Path(path).is_file()]) == 24


# --- What has come -------------------------------------------------------------------------------


def test_the_list_says_what_is_missing_whatever_the_page(api, session_id):
    for number in (5, 1, 2):
        send_chunk(api, session_id, number, PARTS[0])
    listed = api.get(f"{SESSIONS}{session_id}/chunks/?page_size=2").data
    assert set(listed) == {"count", "next", "previous", "results", "missing"}
    assert [chunk["number"] for chunk in listed["results"]] == [1, 2]
    assert (listed["count"], listed["missing"], listed["previous"]) == (3, [0, 3, 4], None)
    following = api.get(listed["next"]).data
    assert [chunk["number"] for chunk in following["results"]] == [5]
    assert following["missing"] == [0, 3, 4]


def test_of_a_recording_without_chunks_nothing_is_missing(api, session_id):
    listed = api.get(f"{SESSIONS}{session_id}/chunks/").data
    assert (listed["count"], listed["results"], listed["missing"]) == (0, [], [])


def test_a_page_that_is_not_there_is_an_error(api, session_id):
    assert refused(api.get(f"{SESSIONS}{session_id}/chunks/?page=2"), 404, "not_found")


# --- Removing ------------------------------------------------------------------------------------


def remove(client, session_id, number):
    return client.delete(f"{SESSIONS}{session_id}/chunks/{number}/")


@pytest.mark.django_db(transaction=True)
def test_a_chunk_is_removed_with_its_file_and_can_be_sent_anew(api, session_id, left_behind):
    for number in range(3):
        send_chunk(api, session_id, number, PARTS[number])
    JobStep.objects.update(status=WorkStatus.DONE)
    path = AudioChunk.objects.get(number=1).file.path
    assert remove(api, session_id, 1).status_code == 204
    assert numbers_of(session_id) == [0, 2]
    assert path not in left_behind()
    assert JobStep.objects.get().status == WorkStatus.WAITING
    assert remove(api, session_id, 1).status_code == 204
    assert send_chunk(api, session_id, 1, PARTS[0]).status_code == 201


def test_a_chunk_of_a_finished_recording_stays(api, session_id):
    send_chunk(api, session_id, 0, PARTS[0])
    finish(api, session_id)
    for number in (0, 5):
        assert refused(remove(api, session_id, number), 409, "session_finished")
    assert numbers_of(session_id) == [0]


def test_a_chunk_is_removed_by_its_owner_alone(api, bobs_api, client, session_id):
    send_chunk(api, session_id, 0, PARTS[0])
    assert refused(remove(bobs_api, session_id, 0), 404, "not_found")
    assert client.delete(f"{SESSIONS}{session_id}/chunks/0/").status_code == 401
    assert numbers_of(session_id) == [0]


@pytest.mark.parametrize("number", [0, 9999, 10**12, 10**30])
def test_a_number_that_is_not_there_is_removed_already(api, session_id, number):
    assert remove(api, session_id, number).status_code == 204


def test_the_piece_with_the_header_stays_while_others_need_it(api, session_id):
    for number, piece in enumerate(cut(stream())[:3]):
        send_chunk(api, session_id, number, piece)
    assert refused(remove(api, session_id, 0), 409, "chunk_needed")
    for number in (2, 1, 0):
        assert remove(api, session_id, number).status_code == 204


# --- Finishing -----------------------------------------------------------------------------------


def test_finishing_is_answered_with_the_recording_and_again_the_same(api, session_id):
    send_chunk(api, session_id, 0, PARTS[0])
    first = finish(api, session_id, chunks=1)
    assert (first.status_code, first.data["state"]) == (202, "processing")
    assert first.data["finished_at"] is not None
    again = finish(api, session_id)
    assert (again.status_code, again.data) == (202, first.data)


def test_finishing_with_holes_names_them_and_can_be_forced(api, session_id):
    for number in (0, 2):
        send_chunk(api, session_id, number, PARTS[0])
    response = finish(api, session_id, chunks=5)
    assert refused(response, 409, "chunks_missing")
    assert response.data["missing"] == [1, 3, 4]
    assert api.get(f"{SESSIONS}{session_id}/").data["state"] == "recording"
    assert finish(api, session_id, chunks=5, force=True).status_code == 202


def test_a_recording_without_a_chunk_can_be_finished(api, session_id):
    assert finish(api, session_id).status_code == 202
    assert JobStep.objects.get().kind == StepKind.PREPARE


@pytest.mark.parametrize(
    "body", [{"chunks": -1}, {"chunks": 10**9}, {"chunks": "many"}, {"force": "perhaps"}, {"chunks": [1]}]
)
def test_a_finish_that_makes_no_sense_is_refused(api, session_id, body):
    response = finish(api, session_id, **body)
    assert refused(response, 400, "invalid")
    assert set(response.data["fields"]) == set(body)


@pytest.mark.parametrize("body", ["[]", "3", '"text"', "{"])
def test_a_finish_that_is_no_object_is_refused(api, session_id, body):
    response = api.post(f"{SESSIONS}{session_id}/finish/", body, content_type="application/json")
    assert response.status_code == 400


def test_a_recording_that_goes_on_is_not_transcribed_again(api, session_id):
    send_chunk(api, session_id, 0, PARTS[0])
    cancel_job(RecordingSession.objects.get().jobs.get().pk)
    again = f"{SESSIONS}{session_id}/jobs/"
    assert refused(api.post(again, {}), 409, "wrong_state")
    finish(api, session_id)
    assert api.post(again, {}).status_code == 201


def test_a_recording_whose_job_was_cancelled_still_takes_its_chunks(api, session_id):
    cancel_job(RecordingSession.objects.get().jobs.get().pk)
    assert send_chunk(api, session_id, 0, PARTS[0]).status_code == 201
    assert finish(api, session_id).data["state"] == "cancelled"
