"""Storing chunks: all or nothing, whatever comes in whatever order and at the same moment."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from django.db import OperationalError

from jobs_app.engines.resolving import resolve_options
from jobs_app.lifecycle.starting import start_job
from jobs_app.models import JobStep, SoundTrack, StepKind, WorkStatus
from sessions_app.arrival import chunks
from sessions_app.arrival.finishing import finish
from sessions_app.arrival.intake import delete_session
from sessions_app.arrival.refusals import ChunksMissing
from sessions_app.models import AudioChunk, RecordingSession, SessionSource
from speech.errors import AudioTooLong, NoAudio, UnreadableAudio, UnsupportedMedia
from tests.sessions.conftest import sound, upload_of
from tests.sessions.recording import PARTS, at_once, cut, stream, while_storing
from tests.speech.sounds import Track, tone, write_media

pytestmark = pytest.mark.django_db


@pytest.fixture
def session(alice) -> RecordingSession:
    session = RecordingSession.objects.create(owner=alice, source=SessionSource.API)
    start_job(session, resolve_options())
    return session


def store(session, content: bytes, number: int, name: str = "part.wav", **more) -> tuple[AudioChunk, bool]:
    session = RecordingSession.objects.get(pk=session.pk)
    with closing(upload_of(content, name)) as upload:
        return chunks.store_chunk(session, upload, number=number, **more)


def files(left_behind) -> list[str]:
    return [path for path in left_behind() if Path(path).is_file()]


# --- What is stored ------------------------------------------------------------------------------


def test_a_chunk_is_stored_as_it_came_and_its_job_has_something_to_do(session, left_behind):
    chunk, is_new = store(session, PARTS[1], 3, claimed_ms=1400)
    assert is_new
    chunk.refresh_from_db()
    assert chunk.file.read() == PARTS[1]
    assert (chunk.session, chunk.number, chunk.continues) == (session, 3, False)
    assert (chunk.container, chunk.codec, chunk.filename) == ("wav", "pcm_s16le", "part.wav")
    assert (chunk.duration_ms, chunk.claimed_ms, chunk.size_bytes) == (1500, 1400, len(PARTS[1]))
    assert files(left_behind) == [chunk.file.path]
    step = JobStep.objects.get()
    assert (step.kind, step.status) == (StepKind.PREPARE, WorkStatus.WAITING)


def test_chunks_may_come_in_any_order(session):
    for number in (2, 0, 1):
        store(session, PARTS[number], number)
    assert [chunk.file.read() for chunk in session.chunks.all()] == PARTS


def test_the_same_chunk_again_is_the_stored_one(session, left_behind):
    first, _ = store(session, PARTS[0], 0)
    again, is_new = store(session, PARTS[0], 0, name="other.wav")
    assert (again, is_new) == (first, False)
    assert len(files(left_behind)) == 1


def test_the_same_chunk_again_is_the_stored_one_after_the_end_too(session):
    first, _ = store(session, PARTS[0], 0)
    finish(session)
    assert store(session, PARTS[0], 0) == (first, False)


def test_the_same_content_under_two_numbers_is_two_chunks(session):
    store(session, PARTS[0], 0)
    assert store(session, PARTS[0], 1)[1]
    assert session.chunks.count() == 2


# --- What is refused -----------------------------------------------------------------------------


def test_other_content_under_the_same_number_is_refused(session, left_behind):
    store(session, PARTS[0], 0)
    with pytest.raises(chunks.ChunkConflict):
        store(session, PARTS[1], 0)
    assert session.chunks.get().file.read() == PARTS[0]
    assert len(files(left_behind)) == 1


def test_a_finished_recording_takes_nothing_more(session, left_behind):
    finish(session)
    with pytest.raises(chunks.SessionFinished):
        store(session, PARTS[0], 0)
    assert left_behind() == []


def test_what_arrives_damaged_is_not_stored(session, left_behind):
    with pytest.raises(chunks.ChecksumMismatch):
        store(session, PARTS[0], 0, sha256="0" * 64)
    assert left_behind() == []
    with closing(upload_of(PARTS[0])) as upload:
        assert store(session, PARTS[0], 0, sha256=upload.sha256.upper())[1]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", UnreadableAudio),
        (b"Dear diary, today I named a text wav.\n" * 50, UnsupportedMedia),
        (b"RIFF\x00\x00\x00\x00WAVE", UnreadableAudio),
        (b"\x00" * 4000, UnsupportedMedia),
    ],
)
def test_what_is_not_audio_leaves_nothing(session, left_behind, content, error):
    with pytest.raises(error):
        store(session, content, 0)
    assert not session.chunks.exists()
    assert left_behind() == []


def test_a_picture_without_sound_is_refused(session, silent_video):
    with pytest.raises(NoAudio):
        store(session, silent_video, 0)


def test_a_chunk_that_is_too_large_is_refused(session, settings, left_behind):
    settings.MAX_CHUNK_BYTES = len(PARTS[0]) - 1
    with pytest.raises(chunks.ChunkTooLarge, match="larger than"):
        store(session, PARTS[0], 0)
    assert left_behind() == []


def test_a_recording_may_not_become_longer_than_allowed(session, settings):
    settings.MAX_AUDIO_S = 3
    store(session, PARTS[0], 0)
    store(session, PARTS[1], 1)
    with pytest.raises(AudioTooLong):
        store(session, PARTS[0], 2)
    assert session.chunks.count() == 2


def test_a_chunk_is_not_refused_for_what_the_clock_of_its_sender_says(session, settings):
    settings.MAX_AUDIO_S = 10
    first, second, third, *_ = cut(stream())
    store(session, first, 0)
    store(session, second, 1, claimed_ms=10**12)
    store(session, third, 2)
    assert session.chunks.get(number=1).claimed_ms == 10**12


def test_what_the_database_does_not_take_leaves_no_file(session, left_behind, monkeypatch):
    def away(*_: object) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr(chunks, "audio_arrived", away)
    with pytest.raises(OperationalError):
        store(session, PARTS[0], 0)
    assert not session.chunks.exists()
    assert files(left_behind) == []


# --- Pieces of one stream ------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "marker"), [("webm", b"\x1f\x43\xb6\x75"), ("ogg", b"OggS")])
def test_pieces_of_a_stream_are_taken_though_only_the_first_can_be_opened(session, kind, marker):
    pieces = cut(stream(kind=kind), marker)
    assert len(pieces) > 3
    for number, piece in enumerate(pieces):
        store(session, piece, number)
    assert [chunk.continues for chunk in session.chunks.all()] == [False] + [True] * (len(pieces) - 1)
    assert b"".join(chunk.file.read() for chunk in session.chunks.all()) == b"".join(pieces)


def test_a_stream_may_be_cut_anywhere(session):
    content = stream()
    for number, start in enumerate(range(0, len(content), 7001)):
        store(session, content[start : start + 7001], number)
    assert [chunk.continues for chunk in session.chunks.all()][:3] == [False, True, True]


def test_a_piece_may_come_before_the_one_with_the_header(session):
    first, second, *_ = cut(stream())
    store(session, second, 1)
    store(session, first, 0)
    assert [chunk.continues for chunk in session.chunks.all()] == [False, True]


def test_the_first_piece_must_have_a_header(session):
    with pytest.raises(UnsupportedMedia):
        store(session, cut(stream())[1], 0)


def test_no_piece_continues_a_file_that_is_complete(session):
    store(session, PARTS[0], 0)
    with pytest.raises(UnsupportedMedia):
        store(session, cut(stream())[1], 1)


@pytest.mark.parametrize(("kind", "codec"), [("mp3", "libmp3lame"), ("adts", "aac")])
def test_a_whole_file_without_a_header_is_no_piece_of_the_stream_before_it(session, tmp_path, kind, codec):
    options = {"id3v2_version": "0", "write_xing": "0"} if kind == "mp3" else {}
    track = Track(tone(1, rate=44_100), 44_100, codec)
    content = write_media(tmp_path / "a", track, kind=kind, **options).read_bytes()
    assert content[0] == 0xFF
    store(session, cut(stream())[0], 0)
    chunk, _ = store(session, content, 1)
    assert not chunk.continues
    assert chunk.codec in codec


def test_a_whole_file_after_pieces_is_a_whole_file(session):
    first, second, *_ = cut(stream())
    for number, content in enumerate((first, second, sound(kind="FLAC"), first, second)):
        store(session, content, number)
    assert [chunk.continues for chunk in session.chunks.all()] == [False, True, False, False, True]


# --- The end -------------------------------------------------------------------------------------


def test_a_recording_is_finished_once(session):
    store(session, PARTS[0], 0)
    finish(session, chunks=1)
    session.refresh_from_db()
    finished_at = session.finished_at
    assert finished_at is not None
    finish(session, chunks=5)
    session.refresh_from_db()
    assert session.finished_at == finished_at


def test_a_recording_with_holes_is_finished_only_by_force(session):
    store(session, PARTS[1], 1)
    with pytest.raises(ChunksMissing) as refused:
        finish(session, chunks=4)
    assert refused.value.missing == [0, 2, 3]
    session.refresh_from_db()
    assert session.finished_at is None
    finish(session, chunks=4, force=True)
    session.refresh_from_db()
    assert session.finished_at is not None


def test_what_was_deleted_meanwhile_cannot_be_finished_or_added_to(session, left_behind):
    stale = RecordingSession.objects.get(pk=session.pk)
    session.delete()
    with pytest.raises(chunks.SessionGone):
        finish(stale)
    with closing(upload_of(PARTS[0])) as upload, pytest.raises(chunks.SessionGone):
        chunks.store_chunk(stale, upload, number=0)
    assert files(left_behind) == []


@pytest.mark.parametrize(
    ("end", "numbers", "missing"),
    [(0, [], []), (3, [], [0, 1, 2]), (3, [0, 1, 2, 5], []), (5, [4, 0, 2], [1, 3])],
)
def test_what_is_missing(end, numbers, missing):
    assert chunks.missing_below(end, numbers) == missing


# --- At the same moment --------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_of_equal_chunks_at_the_same_moment_one_is_new(session, left_behind):
    results = at_once(*[lambda: store(session, PARTS[0], 0)] * 6)
    assert sorted(is_new for _, is_new in results) == [False] * 5 + [True]
    assert len({chunk.pk for chunk, _ in results}) == 1
    assert files(left_behind) == [session.chunks.get().file.path]


@pytest.mark.django_db(transaction=True)
def test_of_different_chunks_with_one_number_one_is_stored(session, left_behind):
    def attempt(content: bytes) -> bool:
        try:
            return store(session, content, 0)[1]
        except chunks.ChunkConflict:
            return False

    assert sorted(at_once(*[lambda part=part: attempt(part) for part in PARTS])) == [False, False, True]
    assert files(left_behind) == [session.chunks.get().file.path]


@pytest.mark.django_db(transaction=True)
def test_a_chunk_is_part_of_a_recording_or_refused(session, left_behind):
    def attempt(number: int) -> int | None:
        try:
            return store(session, PARTS[0], number)[0].number
        except chunks.SessionFinished:
            return None

    for start in range(0, 30, 5):
        RecordingSession.objects.filter(pk=session.pk).update(finished_at=None)
        before = set(session.chunks.values_list("number", flat=True))
        results = at_once(
            *[lambda number=number: attempt(number) for number in range(start, start + 5)],
            lambda: finish(session),
        )
        accepted = {number for number in results if number is not None}
        assert set(session.chunks.values_list("number", flat=True)) == before | accepted
    assert len(files(left_behind)) == session.chunks.count()


@pytest.mark.django_db(transaction=True)
def test_the_end_waits_for_a_chunk_that_is_being_stored(session, monkeypatch):
    (_, is_new), _ = while_storing(
        monkeypatch,
        lambda: store(session, PARTS[0], 0),
        # Without that it would find the chunk missing.
        lambda: finish(session, chunks=1),
    )
    session.refresh_from_db()
    assert is_new
    assert session.finished_at is not None


@pytest.mark.django_db(transaction=True)
def test_deleting_while_chunks_come_leaves_nothing(session, left_behind):
    def attempt(number: int) -> None:
        for again in range(5):
            try:
                store(session, PARTS[0], number + 10 * again)
            except (chunks.SessionGone, RecordingSession.DoesNotExist):
                return

    at_once(*[lambda number=number: attempt(number) for number in range(4)], lambda: delete_session(session))
    assert not RecordingSession.objects.exists()
    assert files(left_behind) == []


# --- What belongs to a recording in pieces -------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_the_joined_file_goes_with_its_recording(session, storage, left_behind):
    store(session, PARTS[0], 0)
    name = f"audio/{session.pk}/joined.flac"
    (storage / name).write_bytes(sound(kind="FLAC"))
    SoundTrack.objects.filter(session=session).update(joined=name)
    delete_session(session)
    assert files(left_behind) == []


def test_a_recording_is_as_long_as_its_timeline(session):
    for number in (0, 2):
        store(session, PARTS[number], number)
    measured = RecordingSession.objects.with_summary()
    assert measured.get(pk=session.pk).total_ms == 3000
    SoundTrack.objects.filter(session=session).update(duration_ms=32_000)
    assert measured.get(pk=session.pk).total_ms == 32_000
