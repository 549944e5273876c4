"""A recording that grows: chunks in any order, windows over their seams, one numbered word a second."""

from __future__ import annotations

import io
import itertools

import av
import numpy as np
import pytest
import soundfile
from django.core.files.base import ContentFile
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from jobs_app import failures, guard, lifecycle, timeline, work
from jobs_app.models import JobStatus, StepKind, WorkStatus
from jobs_app.options import resolve_options
from sessions_app.models import AudioChunk, RecordingSession
from speech.engines.fake import make_numbered_audio
from speech.types import SAMPLE_RATE
from tests.jobs.conftest import expire, take, take_all

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def fast(monkeypatch, settings):
    monkeypatch.setattr(guard, "TICK_S", 0.02)
    settings.RETRY_BACKOFF_S = 0
    settings.CHUNK_WAIT_S = 60


class Recording:
    """Sound of `seconds` numbered words in chunks of `chunk_s`, which need not be whole seconds."""

    def __init__(self, owner, *, seconds: int, chunk_s: float = 30) -> None:
        audio = make_numbered_audio(0, seconds)
        step = int(chunk_s * SAMPLE_RATE)
        self.pieces = [audio[at : at + step] for at in range(0, len(audio), step)]
        self.session = RecordingSession.objects.create(owner=owner, source="api")
        self.job = lifecycle.start_job(self.session, resolve_options(engine="fake"))

    def send(self, *numbers: int, content: bytes | None = None, **columns) -> None:
        for number in numbers:
            given = self.wav(number) if content is None else content
            with transaction.atomic():
                AudioChunk.objects.create(
                    session=self.session,
                    number=number,
                    file=ContentFile(given, name="chunk.wav"),
                    size_bytes=len(given),
                    sha256="0" * 64,
                    **columns,
                )
                lifecycle.audio_arrived(self.session)

    def wav(self, number: int) -> bytes:
        file = io.BytesIO()
        soundfile.write(file, self.pieces[number], SAMPLE_RATE, format="WAV", subtype="PCM_16")
        return file.getvalue()

    def finish(self) -> None:
        with transaction.atomic():
            self.session.finished_at = timezone.now()
            self.session.save()
            lifecycle.audio_arrived(self.session)

    def work(self, *, most: int = 200) -> None:
        for _ in range(most):
            if not work.run_one():
                break
        self.job.refresh_from_db()
        self.session.refresh_from_db()

    def give_up_waiting(self) -> None:
        """As if CHUNK_WAIT_S had passed."""
        from datetime import timedelta

        self.session.chunks.update(received_at=F("received_at") - timedelta(minutes=2))
        self.job.jobsteps.update(not_before=F("not_before") - timedelta(minutes=2))

    @property
    def windows(self) -> list[tuple[int, int]]:
        return list(self.job.chunktranscriptions.order_by("start_ms").values_list("start_ms", "end_ms"))


def numbers(*spans: range) -> str:
    return " ".join(f"w{n:04d}" for span in spans for n in span)


@pytest.mark.parametrize("chunk_s", [30, 7.3, 0.9, 95.1])
def test_a_recording_becomes_one_transcript_wherever_it_was_cut(alice, wakes, chunk_s):
    recording = Recording(alice, seconds=100, chunk_s=chunk_s)
    for number in range(len(recording.pieces)):
        recording.send(number)
        recording.work()
        assert recording.job.status in (JobStatus.PENDING, JobStatus.PROCESSING)
    recording.finish()
    recording.work()
    assert (recording.job.status, recording.job.error) == (JobStatus.COMPLETED, "")
    assert recording.job.transcript == numbers(range(100))
    assert recording.job.gaps == []
    assert recording.job.duration_ms == 100_000


def test_while_it_is_recorded_no_more_than_one_chunk_is_not_transcribed(alice, wakes):
    recording = Recording(alice, seconds=600)
    for number in range(20):
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
    assert recording.job.transcript == numbers(range(600))
    assert {w.attempt for w in recording.job.chunktranscriptions.all()} == {1}


def test_windows_of_a_recording_are_short_so_that_its_end_is_near(alice, wakes):
    recording = Recording(alice, seconds=600)
    recording.send(*range(20))
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
    assert recording.job.transcript == numbers(range(100))


def test_what_comes_after_a_missing_chunk_waits_for_it_but_not_for_ever(alice, wakes):
    recording = Recording(alice, seconds=120)
    recording.send(0, 2)
    recording.work()
    assert recording.job.duration_ms == 30_000
    recording.give_up_waiting()
    recording.send(3)
    recording.give_up_waiting()
    recording.work()
    assert recording.job.duration_ms == 120_000
    assert [(gap["start_ms"], gap["end_ms"], gap["chunk"]) for gap in recording.job.gaps] == [
        (30_000, 60_000, 1)
    ]


def test_a_chunk_that_never_comes_leaves_a_gap_of_the_usual_length_and_nothing_shifts(alice, wakes):
    recording = Recording(alice, seconds=150)
    recording.send(0, 1, 2, 4)
    recording.finish()
    recording.work()
    assert recording.job.status == JobStatus.COMPLETED
    assert recording.job.transcript == numbers(range(90), range(120, 150))
    (gap,) = recording.job.gaps
    assert (gap["start_ms"], gap["end_ms"], gap["chunk"], gap["reason"]) == (90_000, 120_000, 3, "missing")
    first_after = recording.job.segments.filter(start_ms__gte=90_000).first()
    assert (first_after.start_ms, first_after.text.split()[0]) == (120_000, "w0120")


@pytest.mark.parametrize("seconds", [150, 130])
def test_a_chunk_that_comes_after_it_was_given_up_is_put_into_its_gap(alice, wakes, seconds):
    recording = Recording(alice, seconds=150)
    late = recording.pieces[1]
    if seconds == 130:
        # Shorter than was thought: what comes after it moves.
        recording.pieces[1] = late[: 10 * SAMPLE_RATE]
    recording.send(0, 2, 3)
    recording.give_up_waiting()
    recording.work()
    kept = [w for w in recording.windows if w[0] >= 62_000]
    assert recording.job.gaps
    recording.send(1)
    recording.work()
    assert recording.job.gaps == []
    if seconds == 150:
        assert [w for w in recording.windows if w in kept] == kept
    recording.send(4)
    recording.finish()
    recording.work()
    assert recording.job.status == JobStatus.COMPLETED
    skipped = 150 - seconds
    assert recording.job.transcript == numbers(range(60 - skipped), range(60, 150))
    assert recording.job.duration_ms == seconds * 1000
    times = [(s.start_ms, s.end_ms) for s in recording.job.segments.order_by("start_ms")]
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(times))


def test_a_chunk_that_cannot_be_read_costs_only_itself(alice, wakes):
    recording = Recording(alice, seconds=100, chunk_s=20)
    recording.send(0, 1)
    recording.send(2, content=b"RIFF, but no sound at all", claimed_ms=20_000)
    recording.send(3, 4)
    recording.finish()
    recording.work()
    assert recording.job.status == JobStatus.COMPLETED
    assert recording.job.transcript == numbers(range(40), range(60, 100))
    assert [(g["start_ms"], g["end_ms"], g["reason"]) for g in recording.job.gaps] == [
        (40_000, 60_000, "unreadable")
    ]


def test_a_recording_of_which_nothing_can_be_read_says_why(alice, wakes):
    recording = Recording(alice, seconds=60)
    recording.send(0, content=b"no sound")
    recording.send(1, content=b"no sound either")
    recording.work()
    assert recording.job.status in (JobStatus.PENDING, JobStatus.PROCESSING)
    recording.finish()
    recording.work()
    assert recording.job.status == JobStatus.FAILED
    assert recording.job.error_code in ("unreadable_audio", "unsupported_media")


def test_a_chunk_with_an_absurd_number_does_not_make_days_of_silence(alice, wakes):
    recording = Recording(alice, seconds=60)
    recording.send(0)
    recording.pieces = {9_000: recording.pieces[1]}
    recording.send(9_000)
    recording.finish()
    recording.work()
    assert (recording.job.status, recording.job.error_code) == (JobStatus.FAILED, "audio_too_long")
    assert "Number the chunks" in recording.job.error


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

    def and_meanwhile(chunk, *args, **options):
        if chunk.number == 0:
            recording.send(1, 2)
            recording.finish()
        return prepare_chunk(chunk, *args, **options)

    monkeypatch.setattr(timeline, "prepare_chunk", and_meanwhile)
    recording.work()
    assert recording.job.transcript == numbers(range(90))


def test_a_worker_killed_while_it_prepares_costs_nothing(alice, wakes):
    recording = Recording(alice, seconds=60)
    recording.send(0)
    step = take(recording.job.jobsteps.get())
    expire(step)
    assert failures.expire(step)
    recording.send(1)
    recording.finish()
    recording.work()
    assert recording.job.transcript == numbers(range(60))


def test_a_job_that_failed_while_it_was_recorded_loses_nothing(alice, wakes, settings, monkeypatch):
    settings.MAX_ATTEMPTS = 1
    recording = Recording(alice, seconds=120)
    recording.send(0, 1)
    with monkeypatch.context() as broken:
        broken.setattr(work, "prepare", lambda *args, **options: 1 / 0)
        recording.work()
    assert recording.job.status == JobStatus.FAILED
    recording.send(2)
    assert lifecycle.retry_job(recording.job.pk)
    recording.work()
    recording.send(3)
    recording.finish()
    recording.work()
    assert recording.job.transcript == numbers(range(120))


def test_a_cancelled_job_leaves_the_recording_which_can_be_transcribed_when_it_has_ended(alice, wakes):
    recording = Recording(alice, seconds=90)
    recording.send(0)
    assert lifecycle.cancel_job(recording.job.pk)
    recording.send(1, 2)
    recording.finish()
    recording.work()
    assert recording.job.status == JobStatus.CANCELLED
    recording.job = lifecycle.start_job(recording.session, resolve_options(engine="fake"))
    recording.work()
    assert recording.job.transcript == numbers(range(90))


def test_the_chunks_are_joined_into_one_file_and_their_copies_deleted(alice, wakes):
    recording = Recording(alice, seconds=100, chunk_s=12.34)
    recording.send(*(n for n in range(len(recording.pieces)) if n != 3))
    recording.finish()
    recording.work()
    sound, rate = soundfile.read(recording.session.joined.path, dtype="int16")
    assert rate == SAMPLE_RATE
    assert len(sound) == 100 * SAMPLE_RATE
    gap = range(3 * 197_440, 4 * 197_440)
    expected = (make_numbered_audio(0, 100) * 32768).round()
    expected[gap.start : gap.stop] = 0
    assert np.abs(sound - expected).max() <= 1
    assert recording.session.joined_bytes == recording.session.joined.size
    assert recording.job.jobsteps.get(kind=StepKind.JOIN).status == WorkStatus.DONE
    assert not any(timeline.working_copy_path(c.pk).exists() for c in recording.session.chunks.all())


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
        f"join of job {recording.job.pk}",
        f"prepare of job {upload.pk}",
    ]


def test_statistics_come_from_the_segments(alice, wakes):
    recording = Recording(alice, seconds=90)
    recording.pieces[0][: 5 * SAMPLE_RATE] = 0
    recording.send(0, 1, 2)
    recording.finish()
    recording.work()
    job = recording.job
    assert job.total_segments == job.segments.count()
    assert job.total_words == 85
    assert job.average_confidence == 1
    assert (job.speech_span_ms, job.speaking_ms) == (85_000, 85_000)


def test_progress_is_told_only_of_a_recording_that_has_ended(alice, wakes):
    recording = Recording(alice, seconds=120)
    recording.send(0, 1)
    recording.work()
    assert recording.job.progress == 0
    recording.send(2, 3)
    recording.finish()
    recording.work()
    assert recording.job.progress == 100


def opus_stream(path, container: str, seconds: int) -> bytes:
    """What a browser's recorder writes: one header, and no length in it."""
    options = {"webm": {"live": "1", "cluster_time_limit": "1000"}, "ogg": {"page_duration": "500000"}}
    with av.open(path, "w", format=container, options=options[container]) as file:
        stream = file.add_stream("libopus", rate=48_000, layout="mono")
        resampler = av.AudioResampler(format="flt", layout="mono", rate=48_000)
        audio = (make_numbered_audio(0, seconds) * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(audio[None], format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        for some in [*resampler.resample(frame), *resampler.resample(None)]:
            file.mux(stream.encode(some))
        file.mux(stream.encode(None))
    return path.read_bytes()


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
    assert [gap["chunk"] for gap in recording.job.gaps] == [n + 1 for n in lost]
    heard = {w["word"]: w["start_ms"] for s in recording.job.segments.all() for w in s.words}
    if not lost:
        assert recording.job.transcript == numbers(range(70))
    else:
        assert len(heard) >= 70 - 13 * len(lost)
        # A word cut by the loss may be read as another.
        right = [at for word, at in heard.items() if abs(int(word[1:]) * 1000 - at) <= 1000]
        assert len(right) >= len(heard) - 2 * len(lost)
