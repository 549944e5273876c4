"""A recording's timeline stays the same: transcribed again, tried again, or put right late."""

from __future__ import annotations

import itertools
from datetime import timedelta

import numpy as np
import pytest
import soundfile
from django.utils import timezone

from jobs_app.engines.resolving import resolve_options
from jobs_app.lifecycle.choices import cancel_job, retry_job
from jobs_app.lifecycle.starting import start_job
from jobs_app.models import JobStatus
from jobs_app.work import unit
from speech.types import SAMPLE_RATE
from tests.jobs.work.growing import Recording, numbers, opus_stream

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("fast")]


def again(recording: Recording):
    """Begin another job of the recording, and follow that one."""
    before = recording.job
    recording.job = start_job(recording.session, resolve_options(engine="fake"))
    return before


def assert_tiled(recording: Recording) -> None:
    edges = [0, *itertools.chain(*recording.windows), recording.job.duration_ms]
    assert edges[::2] == edges[1::2]


def test_a_recording_that_runs_again_before_it_was_joined_is_joined_with_its_sound(alice, wakes):
    recording = Recording(alice, seconds=60)
    recording.send(0, 1)
    recording.finish()
    while recording.job.status != JobStatus.COMPLETED:
        recording.work(most=1)
    again(recording)
    recording.work()
    assert recording.job.transcript.text == numbers(range(60))
    sound, _ = soundfile.read(recording.job.sound.joined.path)
    assert np.abs(sound).max() > 0.1


@pytest.mark.parametrize("chunk_s", [90, 30])
def test_a_failed_job_that_is_tried_again_after_another_one_was_cancelled_hears_the_recording(
    alice, wakes, settings, monkeypatch, chunk_s
):
    settings.MAX_ATTEMPTS = 1
    recording = Recording(alice, seconds=90, chunk_s=chunk_s)
    recording.send(*range(len(recording.pieces)))
    recording.finish()
    with monkeypatch.context() as broken:
        broken.setattr(unit, "engine_for", lambda *args: 1 / 0)
        recording.work()
    assert recording.job.status == JobStatus.FAILED
    failed = again(recording)
    cancel_job(recording.job.pk)
    assert retry_job(failed.pk)
    recording.job = failed
    recording.work()
    assert recording.job.transcript.text == numbers(range(90))


def test_a_job_that_failed_while_it_was_recorded_can_be_tried_again_after_another_one(
    alice, wakes, settings, monkeypatch
):
    settings.MAX_ATTEMPTS = 1
    recording = Recording(alice, seconds=150)
    recording.send(0, 2)
    recording.give_up_waiting()
    recording.work()
    with monkeypatch.context() as broken:
        broken.setattr(unit, "prepare", lambda *args, **options: 1 / 0)
        recording.send(3)
        recording.work()
    assert recording.job.status == JobStatus.FAILED
    recording.pieces[1] = recording.pieces[1][: 10 * SAMPLE_RATE]
    recording.send(1)
    recording.send(4, content=b"RIFF, but no sound", claimed_ms=30_000)
    recording.finish()
    failed = again(recording)
    recording.work()
    expected = numbers(range(40), range(60, 120))
    assert recording.job.transcript.text == expected
    assert retry_job(failed.pk)
    recording.job = failed
    recording.work()
    assert (recording.job.status, recording.job.error) == (JobStatus.COMPLETED, "")
    assert recording.job.transcript.text == expected
    assert_tiled(recording)


def test_a_late_chunk_much_shorter_than_its_gap_leaves_no_windows_of_the_old_timeline(alice, wakes):
    recording = Recording(alice, seconds=240, chunk_s=60)
    recording.pieces[1] = recording.pieces[1][:SAMPLE_RATE]
    recording.send(0, 2, 3)
    recording.give_up_waiting()
    recording.work()
    recording.send(1)
    recording.work()
    recording.finish()
    recording.work()
    assert recording.job.transcript.text == numbers(range(61), range(120, 240))
    assert_tiled(recording)


def test_a_late_chunk_moves_the_gaps_behind_it(alice, wakes):
    recording = Recording(alice, seconds=150)
    recording.pieces[1] = recording.pieces[1][: 10 * SAMPLE_RATE]
    recording.send(0, 2, 4)
    recording.send(3, content=b"RIFF, but no sound", claimed_ms=30_000)
    recording.give_up_waiting()
    recording.work()
    recording.send(1)
    recording.finish()
    recording.work()
    assert [(g["chunk"], g["start_ms"], g["end_ms"]) for g in recording.job.sound.gaps] == [
        (3, 70_000, 100_000)
    ]
    assert recording.job.transcript.text == numbers(range(40), range(60, 90), range(120, 150))


@pytest.mark.parametrize("container", ["webm", "ogg"])
@pytest.mark.parametrize("order", [[1, 2, 3, 0], [3, 2, 1, 0], [0, 2, 3, 1], [3, 0, 2, 1]])
def test_pieces_of_a_stream_are_put_right_whenever_what_they_need_comes(
    alice, wakes, tmp_path, container, order
):
    whole = opus_stream(tmp_path / f"stream.{container}", container, 70)
    name = {"webm": "matroska,webm", "ogg": "ogg"}[container]
    recording = Recording(alice, seconds=1)
    size = len(whole) // 4 + 3
    for number in order:
        piece = whole[number * size :][:size]
        recording.send(number, content=piece, container="" if number else name, continues=number > 0)
        recording.give_up_waiting()
        recording.work()
    recording.finish()
    recording.work()
    assert recording.job.transcript.text == numbers(range(70))
    assert recording.job.sound.gaps == []
    assert_tiled(recording)


def test_missing_chunks_of_less_than_half_a_second_keep_their_room(alice, wakes):
    recording = Recording(alice, seconds=100, chunk_s=0.4)
    recording.send(0, *range(2, 100))
    recording.give_up_waiting()
    recording.work()
    starts = dict(recording.job.sound.places.values_list("chunk__number", "start_sample"))
    for n in range(100, 200):
        recording.pieces[n] = recording.pieces[n][: SAMPLE_RATE // 10]
    recording.send(*range(100, 200))
    recording.work()
    recording.send(200)
    recording.work()
    now = dict(
        recording.job.sound.places.filter(chunk__number__lt=100).values_list("chunk__number", "start_sample")
    )
    assert now == starts


def test_a_chunk_of_less_than_half_a_second_that_cannot_be_read_costs_only_itself(alice, wakes):
    recording = Recording(alice, seconds=60)
    recording.send(0)
    recording.work()
    recording.send(1, content=b"RIFF, but no sound", claimed_ms=300)
    recording.finish()
    recording.work()
    assert (recording.job.status, recording.job.error) == (JobStatus.COMPLETED, "")
    assert recording.job.transcript.text == numbers(range(30))


def test_a_chunk_without_a_single_sample_takes_no_time(alice, wakes):
    recording = Recording(alice, seconds=60)
    recording.pieces.append(recording.pieces[0][:0])
    recording.send(0, 1, 2)
    recording.finish()
    recording.work()
    assert (recording.job.duration_ms, recording.job.sound.gaps) == (60_000, [])
    assert recording.job.transcript.text == numbers(range(60))


@pytest.mark.parametrize("hours", [-5, 5])
def test_how_long_a_missing_chunk_is_waited_for_does_not_depend_on_a_workers_clock(
    alice, wakes, monkeypatch, hours
):
    now = timezone.now() + timedelta(hours=hours)
    monkeypatch.setattr(timezone, "now", lambda: now)
    recording = Recording(alice, seconds=90)
    recording.send(0, 2)
    recording.work()
    assert recording.job.duration_ms == 30_000
    recording.give_up_waiting()
    recording.work()
    assert recording.job.duration_ms == 90_000
