"""Units of work on real files, done in this process with the fake engine."""

from __future__ import annotations

import io
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.files.base import ContentFile
from django.db import OperationalError
from django.utils import timezone

from jobs_app.lifecycle.choices import cancel_job
from jobs_app.lifecycle.finishing import finish_window
from jobs_app.lifecycle.sound_tracks import pieces_of, sound_of
from jobs_app.models import JobStatus, JobStep, StepKind, TranscriptionJob
from jobs_app.storage import working_copies
from jobs_app.work import guard, timeline, unit
from rest.disk import FULL
from speech.engines.fake import FakeEngine
from speech.sound.tracks.wish import TrackWish
from speech.types import SpeechSegment, Transcription, Word
from tests.jobs.conftest import statuses

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def fast(monkeypatch, settings):
    monkeypatch.setattr(guard, "TICK_S", 0.02)
    settings.RETRY_BACKOFF_S = 0


def test_a_recording_of_unknown_length_has_minutes_to_be_prepared(alice, new_job, settings):
    job = new_job(alice)
    step = JobStep.objects.get(job=job, kind=StepKind.PREPARE)
    expected = {None: settings.PREPARATION_DEADLINE_S, 5_000: settings.UNIT_DEADLINE_S, 36_000_000: 3600}
    for duration_ms, deadline_s in expected.items():
        step.job.sound.duration_ms = duration_ms
        assert unit._deadline_s(step) == deadline_s
    assert settings.PREPARATION_DEADLINE_S <= 30 * 60


def run_to_end(job: TranscriptionJob, *, most: int = 200) -> TranscriptionJob:
    for _ in range(most):
        if not unit.do_next():
            # What failed in this millisecond is waiting for the next one.
            time.sleep(0.005)
            if not unit.do_next():
                break
    job.refresh_from_db()
    return job


def numbers(first: int, count: int) -> str:
    return " ".join(f"w{n:04d}" for n in range(first, first + count))


def test_a_file_becomes_a_transcript(alice, new_job):
    job = run_to_end(new_job(alice, seconds=150))
    assert (job.status, job.error) == (JobStatus.COMPLETED, "")
    assert job.transcript.text == numbers(0, 150)
    assert job.duration_ms == 150_000
    assert job.windows.count() > 1
    assert job.sound.places.get().duration_ms == 150_000
    times = list(job.segments.values_list("start_ms", "end_ms"))
    assert times == sorted(times)
    assert times[-1][1] <= 150_000


def test_a_transcript_is_written_in_the_script_of_the_wish(alice, new_job, monkeypatch):
    def hear(self, samples, options, **_):
        assert options.language == "zh"
        words = tuple(Word(n * 500, n * 500 + 500, word, 1.0) for n, word in enumerate(("這個", "软件")))
        return Transcription((SpeechSegment(0, 1000, "這個软件", 1.0, words),), "zh", 1.0)

    monkeypatch.setattr(FakeEngine, "transcribe", hear)
    job = run_to_end(new_job(alice, seconds=5, language="zh-TW"))
    assert (job.status, job.language, job.options.language_wish) == (JobStatus.COMPLETED, "zh", "zh-TW")
    assert (job.transcript.texts.raw_text, job.transcript.text) == ("這個軟件", "這個軟件")
    segment = job.segments.get()
    assert [word.text for word in segment.words] == ["這個", "軟件"]


def test_the_working_copy_is_deleted_at_the_end(alice, new_job):
    job = new_job(alice, seconds=5)
    unit.do_next()
    copy = working_copies.working_copy_path(job.session.chunks.get().pk)
    assert copy.exists()
    run_to_end(job)
    assert not copy.exists()


def test_a_lost_working_copy_is_made_again(alice, new_job):
    job = new_job(alice, seconds=70)
    unit.do_next()
    working_copies.forget([job.session.chunks.get().pk])
    assert run_to_end(job).transcript.text == numbers(0, 70)


def test_a_lost_working_copy_is_made_by_one_reader_while_the_others_wait(alice, new_job, monkeypatch):
    job = new_job(alice, seconds=20)
    pieces = pieces_of(job.sound)
    timeline.prepare_chunk(pieces[0], pieces, wish=TrackWish(), max_duration_s=60)
    pieces[0].start_sample, pieces[0].sample_count = 0, 16_000
    working_copies.forget([pieces[0].chunk.pk])
    prepare, prepared, asked = timeline.prepare_chunk, [], []

    def slowly(*args, **options):
        prepared.append(1)
        time.sleep(0.5)
        return prepare(*args, **options)

    monkeypatch.setattr(timeline, "prepare_chunk", slowly)
    sound = timeline.Timeline(pieces)
    with ThreadPoolExecutor(4) as threads:
        read = list(
            threads.map(lambda _: len(sound.read(0, 500, on_progress=lambda: asked.append(1))), range(4))
        )
    assert read == [8_000] * 4
    assert len(prepared) == 1
    # Who waits goes on to show that it is alive.
    assert asked


@pytest.mark.parametrize(("finished", "start_sample"), [(True, None), (False, 0)])
def test_a_file_that_was_sent_whole_is_no_piece_of_a_stream(
    alice, new_session, monkeypatch, finished, start_sample
):
    """As one through OpenAI's API: all its tracks are heard, as those of an upload."""
    session = new_session(alice, seconds=2, source="api")
    session.finished_at = timezone.now() if finished else None
    session.save()
    session.chunks.update(container="matroska,webm")
    pieces = pieces_of(sound_of(session, TrackWish()))
    begun = []
    monkeypatch.setattr(
        timeline, "write_working_copy", lambda *args, **options: begun.append(options["start_sample"])
    )
    timeline.prepare_chunk(pieces[0], pieces, wish=TrackWish(), max_duration_s=60)
    assert begun == [start_sample]


def test_chunks_are_one_timeline(alice, new_job, new_session):
    job = new_job(alice, seconds=20)
    second = new_session(alice, seconds=15, first=20).chunks.get()
    job.session.chunks.create(
        number=1, file=ContentFile(second.file.read(), name="b.wav"), size_bytes=1, sha256="1" * 64
    )
    assert run_to_end(job).transcript.text == numbers(0, 35)


def test_a_file_that_cannot_be_read_fails_with_the_remedy(alice, new_job):
    job = run_to_end(new_job(alice))
    assert (job.status, job.error_code) == (JobStatus.FAILED, "unsupported_media")
    assert job.steps.get().attempt == 1


def test_a_recording_over_the_limit_fails(alice, new_job, settings):
    settings.MAX_AUDIO_S = 10
    job = run_to_end(new_job(alice, seconds=12))
    assert (job.status, job.error_code) == (JobStatus.FAILED, "audio_too_long")


def test_a_bug_counts_as_an_attempt_and_does_not_go_round_for_ever(
    alice, new_job, settings, monkeypatch, caplog
):
    settings.MAX_ATTEMPTS = 3
    tried = []

    def broken(*args, **kwargs):
        tried.append(1)
        raise KeyError("a bug")

    monkeypatch.setattr(unit, "prepare", broken)
    job = run_to_end(new_job(alice, seconds=2))
    assert (job.status, len(tried)) == (JobStatus.FAILED, 3)
    assert "KeyError" in caplog.text
    assert "a bug" not in job.error


def test_a_result_is_kept_while_the_database_is_away(alice, new_job, monkeypatch):
    job = new_job(alice, seconds=5)
    finish, failures = finish_window, [OperationalError("away"), OperationalError("still away")]

    def at_last(*args):
        if failures:
            raise failures.pop()
        return finish(*args)

    monkeypatch.setattr(unit, "finish_window", at_last)
    job = run_to_end(job)
    assert (job.status, job.transcript.text) == (JobStatus.COMPLETED, numbers(0, 5))
    assert job.windows.get().attempt == 1


def test_a_window_cancelled_in_the_middle_stores_nothing(alice, new_job, monkeypatch):
    job = new_job(alice, seconds=60)
    unit.do_next()
    step = job.steps.get(kind=StepKind.PREPARE)
    assert step.status == "done"

    def cancel_first(window, watching):
        cancel_job(job.pk)
        while True:
            watching.advance(0)

    monkeypatch.setattr(unit, "_transcribe", cancel_first)
    assert unit.do_next()
    job.refresh_from_db()
    assert job.status == JobStatus.CANCELLED
    assert set(statuses(job)) == {"cancelled"}
    assert not job.segments.exists()


def test_a_failed_window_is_tried_again_and_the_others_are_kept(alice, new_job, monkeypatch):
    job = new_job(alice, seconds=130)
    unit.do_next()
    transcribe, failures = unit._transcribe, [ValueError("once")]

    def stumble(window, watching):
        if window.number == 0 and failures:
            raise failures.pop()
        return transcribe(window, watching)

    monkeypatch.setattr(unit, "_transcribe", stumble)
    job = run_to_end(job)
    assert job.transcript.text == numbers(0, 130)
    assert sorted(job.windows.values_list("attempt", flat=True), reverse=True)[0] == 2


def test_what_decoding_skipped_is_on_the_job(alice, new_job):
    job = run_to_end(new_job(alice, seconds=3))
    assert job.sound.report["container"].startswith("wav")
    assert job.sound.report["bad_packets"] == 0


def test_a_storage_without_paths_is_read_through_a_copy(alice, new_job, monkeypatch):
    from django.db.models.fields.files import FieldFile

    def no_path(self):
        raise NotImplementedError

    job = new_job(alice, seconds=3)
    content = io.BytesIO(job.session.chunks.get().file.read()).getvalue()
    monkeypatch.setattr(FieldFile, "path", property(no_path))
    monkeypatch.setattr(FieldFile, "open", lambda self, mode="rb": io.BytesIO(content))
    assert run_to_end(job).transcript.text == numbers(0, 3)


@pytest.mark.parametrize("damage", [b"", b"not flac at all"])
def test_a_damaged_working_copy_is_made_again(alice, new_job, damage):
    job = new_job(alice, seconds=70)
    unit.do_next()
    part = next(working_copies.working_copy_path(job.session.chunks.get().pk).glob("*.flac"))
    part.write_bytes(damage)
    job = run_to_end(job)
    assert (job.status, job.transcript.text) == (JobStatus.COMPLETED, numbers(0, 70))


def test_lost_audio_is_said_so_at_once(alice, new_job):
    job = new_job(alice, seconds=2)
    job.session.chunks.get().file.storage.delete(job.session.chunks.get().file.name)
    job = run_to_end(job)
    assert (job.status, job.error_code) == (JobStatus.FAILED, "audio_missing")
    assert job.steps.get().attempt == 1


@pytest.mark.parametrize("number", FULL)
def test_a_full_disk_is_said_so(alice, new_job, monkeypatch, settings, number):
    settings.MAX_ATTEMPTS = 2

    def full(*args, **kwargs):
        raise OSError(number, "No room")

    monkeypatch.setattr(timeline, "write_working_copy", full)
    job = run_to_end(new_job(alice, seconds=2))
    assert (job.status, job.error_code) == (JobStatus.FAILED, "storage_full")
    assert "disk is full" in job.error


def test_a_recording_deleted_while_it_is_prepared_leaves_no_trace(alice, new_job, monkeypatch, caplog):
    job = new_job(alice, seconds=2)
    prepare_chunk = timeline.prepare_chunk

    def delete_meanwhile(*args, **options):
        job.session.delete()
        return prepare_chunk(*args, **options)

    monkeypatch.setattr(timeline, "prepare_chunk", delete_meanwhile)
    assert unit.do_next()
    assert not TranscriptionJob.objects.exists()
    assert "Traceback" not in caplog.text
