"""A live host that is driven by hand: what people see of a recording while it is spoken, and afterwards."""

from __future__ import annotations

import pytest

from jobs_app.leases import claims
from jobs_app.lifecycle.choices import cancel_job
from jobs_app.models import JobStatus, LiveHost, LiveText, WorkStatus
from jobs_app.work.live import Hearing
from tests.jobs.conftest import expire
from tests.jobs.speaking import RunningHost, words


def test_words_appear_while_they_are_spoken_and_stay(new_speaker, host, alice):
    speaker = new_speaker(alice).open()
    speaker.say(3)
    host.run()
    assert speaker.live.interim["text"] == words(0, 2)  # the last word is held back
    assert speaker.shown() == []
    speaker.say(4)
    host.run()
    assert speaker.shown() == [(0, words(0, 5))]
    assert speaker.live.interim["text"] == words(5, 6)
    assert (speaker.live.received_ms, speaker.live.heard_ms) == (7000, 7000)


def test_finals_become_segments_with_the_same_numbers(new_speaker, host, alice, settings):
    settings.LIVE_BATCH_FINALS = 2
    speaker = new_speaker(alice).open()
    speaker.say(11)
    host.run()
    assert speaker.stored() == [(0, words(0, 5)), (1, words(5, 10))]
    assert speaker.live.finals == []
    window = speaker.job.windows.get()
    assert (window.start_ms, window.end_ms, window.status) == (0, 10_000, WorkStatus.DONE)
    assert window.raw_text == words(0, 10)
    assert speaker.now().planned_ms == 10_000


def test_a_few_finals_become_segments_after_a_while(new_speaker, host, alice, settings):
    speaker = new_speaker(alice).open()
    speaker.say(6)
    host.run(settings.LIVE_BATCH_S - 1)
    assert speaker.stored() == []
    host.run(2)
    assert speaker.stored() == [(0, words(0, 5))]


def test_after_stop_the_job_is_finished_without_another_preparation(new_speaker, host, alice, work_until):
    speaker = new_speaker(alice).open()
    speaker.say(7)
    host.run()
    speaker.cut_chunk()
    work_until(lambda: speaker.session.sound_tracks.get().places.exists())
    speaker.say(5)
    speaker.stop()
    work_until(lambda: speaker.job.steps.get(kind="prepare").status == WorkStatus.DONE)
    assert not speaker.now().planned
    host.run()
    assert speaker.step.status == WorkStatus.DONE
    assert list(speaker.job.steps.values_list("kind", "status").order_by("kind")) == [
        ("finish", "waiting"),
        ("live", "done"),
        ("prepare", "done"),
    ]
    work_until(lambda: speaker.now().status == JobStatus.COMPLETED)
    assert speaker.stored() == [(0, words(0, 5)), (1, words(5, 10)), (2, words(10, 12))]
    assert speaker.job.transcript.text == words(0, 12)
    assert speaker.job.transcript.total_segments == 3
    assert not LiveText.objects.exists()


def test_it_is_finished_too_if_the_last_chunk_is_decoded_last(new_speaker, host, alice, work_until):
    speaker = new_speaker(alice).open()
    speaker.say(7)
    speaker.stop()
    host.run()
    assert speaker.step.status == WorkStatus.DONE
    work_until(lambda: speaker.now().status == JobStatus.COMPLETED)
    assert speaker.stored() == [(0, words(0, 5)), (1, words(5, 7))]
    assert speaker.job.windows.count() == 1


def test_nothing_is_planned_while_live_hosts_hear(new_speaker, host, alice, work_until):
    speaker = new_speaker(alice).open()
    speaker.say(60)
    speaker.cut_chunk()
    work_until(lambda: speaker.session.sound_tracks.get().places.exists())
    assert not speaker.job.windows.exists()
    host.run()
    assert speaker.shown()[-1] == (11, words(55, 60))
    assert set(speaker.job.windows.values_list("status", flat=True)) == {WorkStatus.DONE}


def test_a_host_that_is_killed_is_followed_by_another(new_speaker, host, alice):
    speaker = new_speaker(alice).open()
    speaker.say(8)
    host.run()
    seen = speaker.shown()
    expire(speaker.step)
    speaker.say(4)
    other = RunningHost()
    other.run(1.5)
    assert speaker.shown() == [*seen, (1, words(5, 10))]
    # The first one finds out, and writes nothing more.
    host.run()
    assert not host.host.hearings
    speaker.say(3)
    other.run()
    assert speaker.shown() == [*seen, (1, words(5, 10)), (2, words(10, 15))]


def test_what_came_in_several_chunks_meanwhile_is_heard_without_a_cut_between_them(new_speaker, host, alice):
    speaker = new_speaker(alice).open()
    for seconds in (3, 4, 6):
        speaker.say(seconds)
        speaker.cut_chunk()
    speaker.say(1)
    host.run(0.5)
    assert speaker.shown() == [(0, words(0, 5)), (1, words(5, 10))]
    assert speaker.live.heard_ms == 14_000


def test_what_had_ended_before_a_host_took_it_is_heard_to_its_end(new_speaker, host, alice):
    speaker = new_speaker(alice).open()
    for seconds in (3, 4, 5):
        speaker.say(seconds)
        speaker.cut_chunk()
    speaker.stop()
    host.run(1)
    assert speaker.step.status == WorkStatus.DONE
    assert speaker.stored() == [(0, words(0, 5)), (1, words(5, 10)), (2, words(10, 12))]
    assert speaker.job.windows.get().end_ms == 12_000


def test_a_host_that_is_stopped_gives_its_recordings_back(new_speaker, host, alice):
    speaker = new_speaker(alice).open()
    speaker.say(6)
    host.run()
    host.host.sign_off()
    assert speaker.stored() == [(0, words(0, 5))]
    assert (speaker.step.status, speaker.step.attempt) == (WorkStatus.WAITING, 0)
    other = RunningHost()
    speaker.say(4)
    other.run(1)
    assert speaker.shown() == [(0, words(0, 5)), (1, words(5, 10))]


def test_what_is_in_chunks_already_is_heard_from_them(new_speaker, host, alice):
    speaker = new_speaker(alice).open()
    speaker.say(12)
    speaker.cut_chunk(7)
    host.run()
    speaker.say(5)
    speaker.cut_chunk(17)
    host.run()
    assert speaker.shown() == [(0, words(0, 5)), (1, words(5, 10)), (2, words(10, 15))]


def test_chunks_of_another_kind_are_heard_when_they_are_decoded(new_speaker, host, alice, work_until):
    speaker = new_speaker(alice).open()
    speaker.say(6)
    speaker.cut_chunk()
    speaker.session.chunks.update(container="flac")  # so it must be decoded first
    host.run(2)
    assert speaker.shown() == []
    work_until(lambda: speaker.session.sound_tracks.get().places.exists())
    host.run(2)
    assert speaker.shown() == [(0, words(0, 5))]


def test_a_recording_that_nothing_comes_of_is_left_until_more_comes(
    new_speaker, host, alice, settings, work_until
):
    speaker = new_speaker(alice).open()
    speaker.say(7)
    host.run(settings.LIVE_IDLE_S + 2)
    assert speaker.step.status == WorkStatus.DONE
    assert speaker.stored() == [(0, words(0, 5)), (1, words(5, 7))]
    assert (speaker.live.finals, speaker.live.interim) == ([], None)
    speaker.open().say(5)
    host.run(1)
    assert speaker.shown()[2:] == [(2, words(7, 10))]


def test_what_comes_just_while_a_recording_is_given_up_is_heard(
    new_speaker, host, alice, settings, monkeypatch
):
    speaker = new_speaker(alice).open()
    speaker.say(7)
    really_end = Hearing.end

    def end(hearing):
        speaker.say(5)
        # The socket's question comes too early: the step is not over.
        speaker.open()
        return really_end(hearing)

    monkeypatch.setattr(Hearing, "end", end)
    host.run(settings.LIVE_IDLE_S + 2)
    assert speaker.shown() == [(0, words(0, 5)), (1, words(5, 7)), (2, words(7, 10))]


def test_an_utterance_that_fails_three_times_is_left_to_workers(new_speaker, host, alice, work_until):
    speaker = new_speaker(alice, prompt="fake:fail=utterance").open()
    speaker.say(5)
    host.run()
    window = speaker.job.windows.get()
    assert (window.start_ms, window.end_ms, window.status) == (0, 5000, WorkStatus.WAITING)
    assert not window.segments.exists()
    # Its sound cannot be read yet.
    work_until(lambda: speaker.session.sound_tracks.exists())
    assert speaker.job.windows.get().status == WorkStatus.WAITING
    speaker.stop()
    host.run()
    work_until(lambda: speaker.now().status == JobStatus.COMPLETED)
    assert speaker.stored() == [(0, words(0, 5))]


def test_an_utterance_that_fails_once_is_heard_again(new_speaker, host, alice, tmp_path):
    speaker = new_speaker(alice, prompt=f"fake:once={tmp_path}/failed fake:fail").open()
    speaker.say(5)
    host.run()
    assert speaker.shown() == [(0, words(0, 5))]


def test_an_utterance_that_ends_the_process_each_time_is_left_to_workers(new_speaker, alice):
    speaker = new_speaker(alice).open()
    for _ in range(3):
        killed = RunningHost()
        killed.run(0.1)
        assert killed.host.hearings
        expire(speaker.step)
    speaker.say(6)
    last = RunningHost()
    last.run(1)
    assert speaker.job.windows.get().status == WorkStatus.WAITING
    speaker.say(4)
    last.run()
    assert speaker.shown() == [(0, words(5, 10))]


def test_a_cancelled_recording_keeps_what_was_heard(new_speaker, host, alice):
    speaker = new_speaker(alice).open()
    speaker.say(6)
    host.run()
    cancel_job(speaker.job.pk)
    speaker.say(5)
    host.run()
    assert not host.host.hearings
    assert speaker.stored() == [(0, words(0, 5))]
    assert speaker.now().status == JobStatus.CANCELLED


def test_a_deleted_recording_is_dropped(new_speaker, host, alice):
    speaker = new_speaker(alice).open()
    speaker.say(6)
    host.run()
    speaker.session.delete()
    host.run()
    assert not host.host.hearings


def test_several_recordings_are_heard_side_by_side(new_speaker, host, alice, bob):
    speakers = [new_speaker(owner).open() for owner in (alice, bob)]
    LiveHost.objects.exclude(name=claims.worker_name()).delete()
    for _ in range(4):
        for speaker in speakers:
            speaker.say(3)
        host.run(0.6)
    assert [speaker.shown() for speaker in speakers] == [[(0, words(0, 5)), (1, words(5, 10))]] * 2
    host.guard.tick()
    assert LiveHost.objects.get().sessions == 2


def test_a_host_leaves_new_recordings_to_one_that_hears_fewer(new_speaker, host, alice, bob):
    first = new_speaker(alice).open()
    host.run(1)
    second = new_speaker(bob).open()
    host.run(1)
    assert second.step.status == WorkStatus.WAITING
    RunningHost().run(1)
    assert first.step.status == second.step.status == WorkStatus.RUNNING
    assert len(host.host.hearings) == 1


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_away_for_a_while_costs_nothing(new_speaker, host, alice, monkeypatch):
    from django.db import OperationalError

    from jobs_app.work import live

    speaker = new_speaker(alice).open()
    speaker.say(8)
    store, failed = live.store_final, []

    def away(*args, **more):
        if len(failed) < 2:
            failed.append(1)
            raise OperationalError
        return store(*args, **more)

    monkeypatch.setattr(live, "store_final", away)
    monkeypatch.setattr("jobs_app.workers.live.host.DATABASE_PAUSE_S", 0)
    host.run(1)
    assert len(failed) == 2
    assert speaker.shown() == [(0, words(0, 5))]


def test_a_model_that_hangs_ends_the_process(host):
    with host.guard.limit(60):
        host.clock.now_s += 59
        host.guard.tick()
        assert host.ended == []
        host.clock.now_s += 2
        host.guard.tick()
    assert host.ended == [75]
