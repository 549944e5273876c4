"""A recording that grows: chunks in any order, windows over their seams."""

from __future__ import annotations

from itertools import accumulate, pairwise

import numpy as np
import pytest
import soundfile
from faster_whisper import decode_audio

from jobs_app.engines.resolving import resolve_options
from jobs_app.lifecycle import failing
from jobs_app.lifecycle.choices import cancel_job, retry_job
from jobs_app.lifecycle.starting import start_job
from jobs_app.models import JobStatus, StepKind, WorkStatus
from jobs_app.storage import working_copies
from jobs_app.work import preparation, timeline, unit
from speech.engines.base import Capabilities
from speech.engines.fake import make_numbered_audio
from speech.samples import Samples
from speech.types import SAMPLE_RATE
from tests.jobs.conftest import expire, take, take_all
from tests.jobs.work.growing import Recording, numbers, opus_stream
from tests.services import ROOT

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("fast")]


@pytest.mark.parametrize(("chunk_s", "seconds"), [(30, 100), (7.3, 100), (0.9, 40), (95.1, 100)])
def test_a_recording_becomes_one_transcript_wherever_it_was_cut(alice, wakes, chunk_s, seconds):
    recording = Recording(alice, seconds=seconds, chunk_s=chunk_s)
    for number in range(len(recording.pieces)):
        recording.send(number)
        recording.work()
        assert recording.job.status in (JobStatus.PENDING, JobStatus.PROCESSING)
    recording.finish()
    recording.work()
    assert (recording.job.status, recording.job.error) == (JobStatus.COMPLETED, "")
    assert recording.job.transcript.text == numbers(range(seconds))
    assert recording.job.sound.gaps == []
    assert recording.job.duration_ms == seconds * 1000


def test_the_report_has_the_loudest_peak_of_all_chunks_and_the_largest_gain(alice, wakes):
    recording = Recording(alice, seconds=60)
    recording.pieces = [piece * level for piece, level in zip(recording.pieces, (0.5, 0.001), strict=True)]
    loudest = max(float(np.abs(piece).max()) for piece in recording.pieces)
    recording.send(0)
    recording.work()
    recording.send(1)
    recording.finish()
    recording.work()
    assert recording.job.sound.report["peak_dbfs"] == pytest.approx(20 * np.log10(loudest), abs=0.2)
    assert recording.job.sound.report["raised_db"] >= 0
    assert recording.job.status == JobStatus.COMPLETED


def test_while_it_is_recorded_no_more_than_one_chunk_is_not_transcribed(alice, wakes):
    recording = Recording(alice, seconds=300)
    for number in range(10):
        recording.send(number)
        recording.work()
        heard_ms, done_ms = (number + 1) * 30_000, recording.windows[-1][1] if recording.windows else 0
        assert heard_ms - done_ms <= 30_000
        assert recording.job.segments.last().end_ms == done_ms
    before = recording.windows
    recording.finish()
    recording.work()
    # Nothing was transcribed twice.
    assert recording.windows[: len(before)] == before
    assert recording.job.transcript.text == numbers(range(300))
    assert {w.attempt for w in recording.job.windows.all()} == {1}


def test_windows_of_a_recording_are_short_so_that_its_end_is_near(alice, wakes):
    recording = Recording(alice, seconds=300)
    recording.send(*range(10))
    recording.finish()
    recording.work()
    assert all(end - start <= 29_000 for start, end in recording.windows)


def test_chunks_may_come_in_any_order(alice, wakes):
    recording = Recording(alice, seconds=100, chunk_s=10)
    for number in (3, 0, 9, 1, 2, 8, 7, 5, 6, 4):
        recording.send(number)
        recording.work()
    recording.finish()
    recording.work()
    assert recording.job.transcript.text == numbers(range(100))


def test_a_recording_without_a_chunk_fails_when_it_ends(alice, wakes):
    recording = Recording(alice, seconds=1)
    recording.work()
    assert recording.job.status == JobStatus.PENDING
    recording.finish()
    recording.work()
    assert (recording.job.status, recording.job.error_code) == (JobStatus.FAILED, "no_audio")


def test_audio_that_comes_while_a_worker_prepares_is_not_forgotten(alice, wakes, monkeypatch):
    recording = Recording(alice, seconds=90)
    recording.send(0)
    prepare_chunk = timeline.prepare_chunk

    def and_meanwhile(piece, *args, **options):
        if piece.chunk.number == 0:
            recording.send(1, 2)
            recording.finish()
        return prepare_chunk(piece, *args, **options)

    monkeypatch.setattr(timeline, "prepare_chunk", and_meanwhile)
    recording.work()
    assert recording.job.transcript.text == numbers(range(90))


def test_a_worker_killed_while_it_prepares_costs_nothing(alice, wakes):
    recording = Recording(alice, seconds=60)
    recording.send(0)
    step = take(recording.job.steps.get())
    expire(step)
    assert failing.expire_lease(step)
    recording.send(1)
    recording.finish()
    recording.work()
    assert recording.job.transcript.text == numbers(range(60))


def test_a_job_that_failed_while_it_was_recorded_loses_nothing(alice, wakes, settings, monkeypatch):
    settings.MAX_ATTEMPTS = 1
    recording = Recording(alice, seconds=120)
    recording.send(0, 1)
    with monkeypatch.context() as broken:
        broken.setattr(unit, "prepare", lambda *args, **options: 1 / 0)
        recording.work()
    assert recording.job.status == JobStatus.FAILED
    recording.send(2)
    assert retry_job(recording.job.pk)
    recording.work()
    recording.send(3)
    recording.finish()
    recording.work()
    assert recording.job.transcript.text == numbers(range(120))


def test_a_cancelled_job_leaves_the_recording_which_can_be_transcribed_when_it_has_ended(alice, wakes):
    recording = Recording(alice, seconds=90)
    recording.send(0)
    assert cancel_job(recording.job.pk)
    recording.send(1, 2)
    recording.finish()
    recording.work()
    assert recording.job.status == JobStatus.CANCELLED
    recording.job = start_job(recording.session, resolve_options(engine="fake"))
    recording.work()
    assert recording.job.transcript.text == numbers(range(90))


def test_the_chunks_are_joined_into_one_file_and_their_copies_deleted(alice, wakes):
    recording = Recording(alice, seconds=100, chunk_s=12.34)
    recording.send(*(n for n in range(len(recording.pieces)) if n != 3))
    recording.finish()
    recording.work()
    sound, rate = soundfile.read(recording.job.sound.joined.path, dtype="int16")
    assert rate == SAMPLE_RATE
    assert len(sound) == 100 * SAMPLE_RATE
    gap = range(3 * 197_440, 4 * 197_440)
    expected = (make_numbered_audio(0, 100) * 32768).round()
    expected[gap.start : gap.stop] = 0
    assert np.abs(sound - expected).max() <= 1
    assert recording.job.sound.joined_bytes == recording.job.sound.joined.size
    assert recording.job.sound.steps.get(kind=StepKind.JOIN).status == WorkStatus.DONE
    assert not any(working_copies.working_copy_path(c.pk).exists() for c in recording.session.chunks.all())


def test_text_that_somebody_waits_for_comes_before_joining_and_joining_before_uploads(alice, wakes, new_job):
    recording = Recording(alice, seconds=60)
    recording.send(0, 1)
    recording.finish()
    while recording.job.status != JobStatus.COMPLETED:
        recording.work(most=1)
    upload = new_job(alice, priority="high")
    other = Recording(alice, seconds=30)
    other.send(0)
    assert take_all() == [
        f"prepare of job {other.job.pk}",
        f"join of sound {recording.job.sound_id}",
        f"prepare of job {upload.pk}",
    ]


def test_statistics_come_from_the_segments(alice, wakes):
    recording = Recording(alice, seconds=90)
    recording.pieces[0][: 5 * SAMPLE_RATE] = 0
    recording.send(0, 1, 2)
    recording.finish()
    recording.work()
    job = recording.job
    assert job.transcript.total_segments == job.segments.count()
    assert job.transcript.total_words == 85
    assert job.transcript.average_confidence == 1
    assert (job.transcript.speech_span_ms, job.transcript.speaking_ms) == (85_000, 85_000)


def test_progress_is_told_only_of_a_recording_that_has_ended(alice, wakes):
    recording = Recording(alice, seconds=120)
    recording.send(0, 1)
    recording.work()
    assert recording.job.progress == 0
    recording.send(2, 3)
    recording.finish()
    recording.work()
    assert recording.job.progress == 100


@pytest.mark.parametrize("lost", [(), (4,), (2, 5)])
@pytest.mark.parametrize("container", ["webm", "ogg"])
def test_pieces_of_a_browsers_stream_are_one_recording_whatever_is_lost(
    alice, wakes, tmp_path, container, lost
):
    whole = opus_stream(tmp_path / f"stream.{container}", container, 70)
    name = {"webm": "matroska,webm", "ogg": "ogg"}[container]
    recording = Recording(alice, seconds=1)
    size = len(whole) // 7 + 3
    for number, at in enumerate(range(0, len(whole), size)):
        if number in lost:
            continue
        piece = whole[at : at + size]
        recording.send(number, content=piece, container=name, continues=number > 0)
        recording.give_up_waiting()
        recording.work()
    recording.finish()
    recording.work()
    assert recording.job.status == JobStatus.COMPLETED
    assert recording.job.duration_ms == pytest.approx(70_000, abs=60)
    assert [gap["chunk"] for gap in recording.job.sound.gaps] == [n + 1 for n in lost]
    heard = {w.text: w.start_ms for s in recording.job.segments.all() for w in s.words}
    if not lost:
        assert recording.job.transcript.text == numbers(range(70))
    else:
        assert len(heard) >= 70 - 13 * len(lost)
        # A word cut by the loss may be read as another.
        right = [at for word, at in heard.items() if abs(int(word[1:]) * 1000 - at) <= 1000]
        assert len(right) >= len(heard) - 2 * len(lost)


# Text that comes early


@pytest.fixture(scope="module")
def talk() -> Samples:
    """A minute of two voices."""
    return decode_audio(str(ROOT / "tests" / "audio" / "sample.mp3"))


@pytest.fixture
def listening_engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that listens for speech, and to which short windows cost little; or much, if asked."""
    able = Capabilities(short_windows=getattr(request, "param", True))
    monkeypatch.setattr(preparation, "capabilities_of", lambda engine, model: able)


def recording_in(alice, talk: Samples, lengths_s: list[int]) -> Recording:
    recording = Recording(alice, seconds=1)
    ends = [length * SAMPLE_RATE for length in accumulate(lengths_s)]
    recording.pieces = [piece for piece in np.split(talk, ends) if len(piece)]
    return recording


@pytest.mark.usefixtures("listening_engine", "wakes")
def test_the_first_window_ends_at_a_pause_as_soon_as_one_is_long_enough(alice, talk):
    recording = recording_in(alice, talk, [5, 5, 10, 20])
    recording.send(0, 1)
    recording.work()
    assert recording.windows == []
    recording.send(2)
    recording.work()
    # Between 15,008 and 15,424 ms nobody speaks.
    assert recording.windows == [(0, 15_216)]
    for number in range(3, len(recording.pieces)):
        recording.send(number)
    recording.finish()
    recording.work()
    assert recording.job.status == JobStatus.COMPLETED
    assert recording.windows[0] == (0, 15_216)
    assert all(a[1] == b[0] for a, b in pairwise(recording.windows))
    assert recording.windows[-1][1] == recording.job.duration_ms


@pytest.mark.parametrize(
    ("listening_engine", "piece_s", "early"),
    [(True, 5, True), (False, 5, False), (True, 10, False)],
    indirect=["listening_engine"],
)
@pytest.mark.usefixtures("listening_engine", "wakes")
def test_later_windows_end_early_only_in_short_pieces_and_if_the_engine_is_fast_on_them(
    alice, talk, piece_s, early
):
    recording = recording_in(alice, np.concatenate([talk, talk]), [piece_s] * (110 // piece_s))
    for number in range(110 // piece_s):
        recording.send(number)
        recording.work()
    later = [end - start for start, end in recording.windows if start >= 40_000]
    assert later
    assert any(length_ms < 18_000 for length_ms in later) is early
    assert any(end - start < 18_000 for start, end in recording.windows)


@pytest.mark.usefixtures("listening_engine", "wakes")
def test_what_has_ended_is_not_cut_early(alice, talk):
    recording = recording_in(alice, talk[: 29 * SAMPLE_RATE], [5, 5, 10])
    recording.send(*range(len(recording.pieces)))
    recording.finish()
    recording.work()
    assert recording.windows == [(0, 29_000)]
