"""What of a recording does not come, cannot be read, or is taken out again."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import soundfile

from jobs_app.engines.resolving import resolve_options
from jobs_app.lifecycle.starting import start_job
from jobs_app.models import JobStatus
from jobs_app.work import timeline
from sessions_app.arrival import chunks
from speech.types import SAMPLE_RATE
from tests.jobs.work.growing import Recording, numbers

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("fast")]


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
    assert [(gap["start_ms"], gap["end_ms"], gap["chunk"]) for gap in recording.job.sound.gaps] == [
        (30_000, 60_000, 1)
    ]


def test_a_chunk_that_never_comes_leaves_a_gap_of_the_usual_length_and_nothing_shifts(alice, wakes):
    recording = Recording(alice, seconds=150)
    recording.send(0, 1, 2, 4)
    recording.finish()
    recording.work()
    assert recording.job.status == JobStatus.COMPLETED
    assert recording.job.transcript.text == numbers(range(90), range(120, 150))
    (gap,) = recording.job.sound.gaps
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
    assert recording.job.sound.gaps
    recording.send(1)
    recording.work()
    assert recording.job.sound.gaps == []
    if seconds == 150:
        assert [w for w in recording.windows if w in kept] == kept
    recording.send(4)
    recording.finish()
    recording.work()
    assert recording.job.status == JobStatus.COMPLETED
    skipped = 150 - seconds
    assert recording.job.transcript.text == numbers(range(60 - skipped), range(60, 150))
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
    assert recording.job.transcript.text == numbers(range(40), range(60, 100))
    assert [(g["start_ms"], g["end_ms"], g["reason"]) for g in recording.job.sound.gaps] == [
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


def test_a_chunk_with_an_absurd_number_costs_nobody_what_has_come(alice, wakes):
    recording = Recording(alice, seconds=120)
    recording.send(0, 1)
    recording.pieces = [*recording.pieces[:3], *recording.pieces[2:] * 9_000]
    recording.send(9_000)
    recording.give_up_waiting()
    recording.work()
    assert recording.job.status in (JobStatus.PENDING, JobStatus.PROCESSING)
    # It goes on, and what comes has its place.
    recording.send(2)
    recording.finish()
    recording.work()
    assert (recording.job.status, recording.job.error) == (JobStatus.COMPLETED, "")
    assert recording.job.transcript.text == numbers(range(90))
    assert recording.job.duration_ms == 90_000
    (gap,) = recording.job.sound.gaps
    assert (gap["start_ms"], gap["end_ms"], gap["chunk"], gap["reason"]) == (
        90_000,
        90_000,
        9_000,
        "left_out",
    )
    sound, _ = soundfile.read(recording.job.sound.joined.path)
    assert len(sound) == 90 * SAMPLE_RATE
    recording.job = start_job(recording.session, resolve_options(engine="fake"))
    recording.work()
    assert recording.job.transcript.text == numbers(range(90))
    assert [gap["chunk"] for gap in recording.job.sound.gaps] == [9_000]


def test_what_is_longer_than_a_recording_may_be_is_left_out_and_named(alice, wakes, settings):
    settings.MAX_AUDIO_S = 80
    recording = Recording(alice, seconds=150)
    recording.send(0, 1, 2, 3, 4)
    recording.finish()
    recording.work()
    assert recording.job.status == JobStatus.COMPLETED
    assert recording.job.transcript.text == numbers(range(60))
    assert [(gap["chunk"], gap["reason"]) for gap in recording.job.sound.gaps] == [
        (2, "left_out"),
        (3, "left_out"),
        (4, "left_out"),
    ]


def test_a_chunk_that_is_too_long_costs_only_itself(alice, wakes, settings):
    settings.MAX_AUDIO_S = 200
    recording = Recording(alice, seconds=400, chunk_s=20)
    recording.pieces[2] = np.concatenate(recording.pieces[2:18])
    recording.send(0, 1, 2, 3)
    recording.finish()
    recording.work()
    assert recording.job.status == JobStatus.COMPLETED
    assert recording.job.transcript.text == numbers(range(40), range(60, 80))
    assert [(gap["start_ms"], gap["end_ms"], gap["reason"]) for gap in recording.job.sound.gaps] == [
        (40_000, 60_000, "left_out")
    ]


@pytest.mark.parametrize("column", ["duration_ms", "claimed_ms"])
def test_a_first_chunk_that_never_comes_has_the_length_of_the_others(alice, wakes, column):
    recording = Recording(alice, seconds=40, chunk_s=10)
    recording.send(1, 2, 3, **{column: 10_000})
    recording.finish()
    recording.work()
    assert [(gap["start_ms"], gap["end_ms"]) for gap in recording.job.sound.gaps] == [(0, 10_000)]
    assert recording.job.transcript.text == numbers(range(10, 40))


def test_an_absurd_hint_makes_no_gap_of_days(alice, wakes):
    recording = Recording(alice, seconds=20, chunk_s=10)
    recording.send(1, claimed_ms=10**12)
    recording.finish()
    recording.work()
    assert recording.job.transcript.text == numbers(range(10, 20))
    assert recording.job.sound.gaps[0]["end_ms"] == 600_000


def remove(recording, *numbers: int) -> None:
    for number in numbers:
        chunks.delete_chunk(recording.session, number)


@pytest.mark.parametrize("removed", [(2,), (1, 2), (0,), (2, 0)])
def test_a_chunk_that_is_removed_leaves_a_gap_and_takes_its_text_along(alice, wakes, removed):
    recording = Recording(alice, seconds=150)
    recording.send(0, 1, 2, 3)
    recording.work()
    assert "w0075" in recording.windows_text()
    remove(recording, *removed)
    recording.work()
    kept = [range(30 * n, 30 * n + 30) for n in range(5) if n not in removed]
    recording.send(4)
    recording.finish()
    recording.work()
    assert (recording.job.status, recording.job.error) == (JobStatus.COMPLETED, "")
    assert recording.job.transcript.text == numbers(*kept)
    assert recording.job.duration_ms == 150_000
    silent = [(gap["start_ms"], gap["end_ms"]) for gap in recording.job.sound.gaps]
    assert sum(end - start for start, end in silent) == 30_000 * len(removed)
    assert {gap["reason"] for gap in recording.job.sound.gaps} == {"missing"}
    first = recording.job.segments.filter(raw_text__contains="w0120").first()
    assert first.words[[w.text for w in first.words].index("w0120")].start_ms // 1000 == 120


def test_the_last_chunk_is_removed_and_the_recording_is_shorter(alice, wakes):
    recording = Recording(alice, seconds=150)
    recording.send(0, 1, 2, 3)
    recording.work()
    remove(recording, 3, 2)
    recording.work()
    assert recording.job.duration_ms == 60_000
    recording.finish()
    recording.work()
    assert recording.job.transcript.text == numbers(range(60))
    assert recording.job.sound.gaps == []


def test_another_chunk_is_put_into_the_place_of_one_that_was_removed(alice, wakes):
    recording = Recording(alice, seconds=120)
    recording.send(0, 1, 2)
    recording.work()
    remove(recording, 1)
    recording.work()
    recording.send(1)
    recording.send(3)
    recording.finish()
    recording.work()
    assert recording.job.transcript.text == numbers(range(120))
    assert recording.job.sound.gaps == []


def test_a_recording_of_which_everything_was_removed_says_that_nothing_was_recorded(alice, wakes):
    recording = Recording(alice, seconds=60)
    recording.send(0, 1)
    recording.work()
    remove(recording, 0, 1)
    recording.finish()
    recording.work()
    assert (recording.job.status, recording.job.error_code) == (JobStatus.FAILED, "no_audio")


def test_a_chunk_that_is_removed_while_it_is_prepared_and_another_one_stored(alice, wakes, monkeypatch):
    recording = Recording(alice, seconds=90)
    recording.send(0, 1)
    prepare_chunk = timeline.prepare_chunk

    def and_meanwhile(piece, *args, **options):
        if piece.chunk.number == 0 and recording.session.chunks.filter(number=1).exists():
            remove(recording, 1)
            recording.send(2)
        return prepare_chunk(piece, *args, **options)

    monkeypatch.setattr(timeline, "prepare_chunk", and_meanwhile)
    recording.work()
    recording.finish()
    recording.work()
    assert recording.job.status == JobStatus.COMPLETED
    assert recording.job.transcript.text == numbers(range(30), range(60, 90))
