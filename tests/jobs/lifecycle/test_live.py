"""Who may be heard live, and what becomes of recordings that no live host takes."""

from __future__ import annotations

import time
from datetime import timedelta
from threading import Event

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now

from jobs_app.engines.resolving import resolve_options
from jobs_app.leases import claims
from jobs_app.lifecycle.choices import cancel_job, retry_job
from jobs_app.lifecycle.failing import WorkerLost, give_back, settle_failure
from jobs_app.lifecycle.finishing import end_job
from jobs_app.lifecycle.live import UNHEARD_AFTER, LiveUnavailable, hand_over_unheard, is_live, open_live
from jobs_app.lifecycle.planning import finish_preparation
from jobs_app.lifecycle.starting import start_job
from jobs_app.models import (
    JobStatus,
    JobStep,
    LeasedWork,
    LiveHost,
    LiveText,
    StepKind,
    TranscriptionJob,
    WorkStatus,
)
from jobs_app.vocabulary.vocabulary import Correction
from jobs_app.work import unit
from jobs_app.work.preparation import Preparation
from sessions_app.models import RecordingSession
from speech.engines.fake import FakeEngine
from speech.types import SAMPLE_RATE, DecodeReport
from speech.windows.cuts import Window
from tests.jobs.conftest import take, take_all
from tests.jobs.speaking import host_reports, words


def test_opening_twice_is_opening_once(new_speaker, alice):
    speaker = new_speaker(alice).open().open()
    assert speaker.step.status == WorkStatus.WAITING
    assert LiveText.objects.count() == 1


def test_workers_do_not_take_it(new_speaker, alice):
    speaker = new_speaker(alice).open()
    assert take_all() == []
    assert not claims.anything_claimable()
    assert not any(work.exists() for work in claims.claimable_work())
    assert claims.claim_live() == speaker.step


def test_it_does_not_count_as_work_of_its_owner(new_speaker, planned_job, alice, bob):
    # Of two people, the one with less running work comes first, then the one who has waited longer.
    new_speaker(alice).open()
    assert claims.claim_live()
    first, second = planned_job(alice, n=1), planned_job(bob, n=1)
    assert take_all() == [str(job.windows.get()) for job in (first, second)]


def test_without_a_live_host_it_is_refused(new_speaker, alice):
    speaker = new_speaker(alice)
    LiveHost.objects.update(beat_at=Now() - timedelta(seconds=11))
    with pytest.raises(LiveUnavailable, match="hears nothing live"):
        speaker.open()
    assert not JobStep.objects.filter(kind=StepKind.LIVE).exists()


def test_it_is_refused_while_all_live_hosts_are_full(new_speaker, alice, bob, settings):
    settings.LIVE_SESSIONS = 2
    first = new_speaker(alice)
    LiveHost.objects.update(sessions=1)
    first.open()  # it waits for the only place
    second = new_recording(bob)
    with pytest.raises(LiveUnavailable, match="Too much"):
        open_live(second)
    host_reports("there:2", finals_share=settings.LIVE_FINALS_PERCENT)
    with pytest.raises(LiveUnavailable, match="Too much"):
        open_live(second)
    host_reports("there:3")
    open_live(second)


def new_recording(owner) -> RecordingSession:
    session = RecordingSession.objects.create(owner=owner, source="recorder")
    start_job(session, resolve_options(engine="fake"))
    return session


def test_a_provider_and_a_translation_are_refused(new_speaker, alice, providers):
    speaker = new_speaker(alice)
    providers("openai")
    TranscriptionJob.objects.update(engine="openai", model="whisper-1")
    with pytest.raises(LiveUnavailable, match="The engine openai"):
        speaker.open()
    stored = speaker.now().stored_options
    TranscriptionJob.objects.update(
        engine="local", model="base", stored_options={**stored, "translate_to": "en"}
    )
    with pytest.raises(LiveUnavailable, match="Translations"):
        speaker.open()


def test_a_recording_that_has_ended_is_refused(new_speaker, alice):
    speaker = new_speaker(alice)
    speaker.say(1)
    speaker.stop()
    with pytest.raises(LiveUnavailable, match="has ended"):
        speaker.open()


def test_what_no_live_host_takes_is_planned_in_windows(new_speaker, alice, work_until):
    speaker = new_speaker(alice).open()
    speaker.say(40)
    speaker.cut_chunk()
    work_until(lambda: speaker.session.sound_tracks.get().places.exists())
    assert not speaker.job.windows.exists()
    assert hand_over_unheard() == 0
    JobStep.objects.filter(kind=StepKind.LIVE).update(not_before=Now() - UNHEARD_AFTER)
    work_until(speaker.job.windows.exists)
    assert speaker.step.status == WorkStatus.DONE


def test_a_step_that_fails_for_good_fails_no_job(new_speaker, host, alice, settings, work_until):
    settings.MAX_ATTEMPTS = 1
    speaker = new_speaker(alice).open()
    speaker.say(8)
    host.run()
    # What the guard of a host that died would leave.
    assert settle_failure(host.host.hearings[0].step, WorkerLost())
    assert speaker.step.status == WorkStatus.FAILED
    assert speaker.stored() == [(0, words(0, 5))]
    speaker.stop()
    work_until(lambda: speaker.now().status == JobStatus.COMPLETED)
    assert speaker.job.transcript.text == words(0, 8)


def test_a_retry_of_a_recording_that_goes_on_is_heard_live_again(new_speaker, host, alice):
    speaker = new_speaker(alice).open()
    speaker.say(6)
    host.run()
    end_job(speaker.now(), JobStatus.FAILED, error_code="crashed", error="It crashed.")
    host.run()
    assert retry_job(speaker.job.pk)
    speaker.say(4)
    host.run(1)
    assert speaker.shown() == [(0, words(0, 5)), (1, words(5, 10))]


def test_a_retry_of_a_recording_that_has_ended_needs_no_live_host(new_speaker, host, alice, work_until):
    speaker = new_speaker(alice).open()
    speaker.say(6)
    host.run()
    end_job(speaker.now(), JobStatus.FAILED, error_code="crashed", error="It crashed.")
    speaker.stop()
    assert retry_job(speaker.job.pk)
    assert speaker.step.status == WorkStatus.DONE
    work_until(lambda: speaker.now().status == JobStatus.COMPLETED)
    assert speaker.job.transcript.text == words(0, 6)


def test_corrections_apply_to_finals_as_they_come(new_speaker, host, alice):
    Correction.objects.create(owner=alice, from_text="w0001", to_text="one")
    speaker = new_speaker(alice).open()
    speaker.say(6)
    host.run()
    final = speaker.live.finals[0]
    assert final["text"] == "w0000 one w0002 w0003 w0004"
    assert final["raw_text"] == words(0, 5)
    host.host.sign_off()
    segment = speaker.job.segments.get()
    assert (segment.text, segment.raw_text) == (final["text"], final["raw_text"])
    assert [word.text for word in segment.words] == ["w0000", "one", "w0002", "w0003", "w0004"]
    assert segment.words[1].start_ms == 1000


def test_corrections_apply_to_what_is_being_said(new_speaker, host, alice):
    Correction.objects.create(owner=alice, from_text="w0001", to_text="one")
    speaker = new_speaker(alice).open()
    for _ in range(2):
        speaker.say(2)
        host.run()
    shown, firm = speaker.live.interim["text"], speaker.live.interim["firm"]
    assert (shown, shown[:firm]) == ("w0000 one w0002", "w0000 one")


def test_what_a_correction_replaces_is_firm_as_a_whole(new_speaker, host, alice):
    Correction.objects.create(owner=alice, from_text="w0001 w0002", to_text="one and two")
    speaker = new_speaker(alice).open()
    for _ in range(2):
        speaker.say(2)
        host.run()
    shown, firm = speaker.live.interim["text"], speaker.live.interim["firm"]
    assert (shown, shown[:firm]) == ("w0000 one and two", "w0000")


def test_what_is_being_said_is_written_in_the_script_of_the_wish(new_speaker, host, alice, monkeypatch):
    monkeypatch.setattr(FakeEngine, "draft", lambda *_: ("這個软件為什么", "zh"))
    speaker = new_speaker(alice, language="zh-TW").open()
    speaker.say(2)
    host.run()
    assert speaker.live.interim["text"] == "這個軟件為"  # without the last two characters


def test_live_text_goes_with_the_job(new_speaker, host, alice):
    speaker = new_speaker(alice).open()
    speaker.say(6)
    host.run()
    cancel_job(speaker.job.pk)
    assert not LiveText.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_hosts_that_claim_at_once_get_different_recordings(new_speaker, alice, bob, threads):
    if connection.vendor == "sqlite":
        pytest.skip("SQLite lets one write at a time")
    for owner in (alice, bob):
        new_speaker(owner).open()
    claimed = threads(*[claims.claim_live] * 4)
    assert len({step.pk for step in claimed if step}) == sum(step is not None for step in claimed) == 2


def test_a_recording_is_cancelled_while_an_interim_is_stored(new_speaker, host, alice, threads):
    """On PostgreSQL, each of the two could wait for what the other one has locked."""
    speaker = new_speaker(alice).open()
    speaker.say(6)
    host.run()
    begun = Event()

    def store_slowly() -> int:
        with transaction.atomic():
            # As `store_interim` does.
            JobStep.objects.select_for_update(no_key=True).get(pk=speaker.step.pk)
            begun.set()
            time.sleep(0.5)
            return LiveText.objects.filter(job=speaker.job).update(interim=None)

    assert threads(store_slowly, lambda: begun.wait(10) and cancel_job(speaker.job.pk)) == [1, True]
    assert speaker.step.status == WorkStatus.CANCELLED
    assert speaker.stored() == [(0, words(0, 5))]


def planned_before_live(speaker, *, moved: bool = False) -> tuple[LeasedWork, Preparation]:
    """A preparation that a worker began before anybody asked for live words, and what it has found."""
    step = take(speaker.job.steps.get(kind=StepKind.PREPARE))
    chunk = speaker.session.chunks.get()
    found = Preparation(
        windows=[Window(0, 20_000, speech_ms=20_000)],
        places={chunk.pk: (0, 30 * SAMPLE_RATE)},
        report={**DecodeReport().as_json(), "duration_ms": 30_000},
        duration_ms=30_000,
        planned_ms=20_000,
        complete=False,
        finished_seen=False,
        moved=moved,
    )
    return step, found


def test_nothing_is_planned_twice_if_live_words_come_and_go_during_a_preparation(
    new_speaker, host, alice, work_until
):
    speaker = new_speaker(alice)
    speaker.say(30)
    speaker.cut_chunk()
    step, found = planned_before_live(speaker)
    speaker.open()
    host.run(1)
    speaker.stop()
    host.run(1)
    assert speaker.step.status == WorkStatus.DONE
    assert finish_preparation(step, found)
    work_until(lambda: speaker.now().status == JobStatus.COMPLETED)
    assert speaker.job.transcript.text == words(0, 30)


def test_what_has_been_heard_live_when_a_preparation_begins_is_not_planned_again(
    new_speaker, host, alice, work_until, monkeypatch
):
    """PostgreSQL dates a change by the begin of its transaction, which may have waited for a lock."""
    speaker = new_speaker(alice).open()
    speaker.say(8)
    speaker.stop()

    def ends_meanwhile(job: TranscriptionJob) -> bool:
        host.run(2)
        JobStep.objects.filter(kind=StepKind.LIVE).update(finished_at=Now() - timedelta(minutes=1))
        return is_live(job)

    monkeypatch.setattr(unit, "is_live", ends_meanwhile)
    work_until(lambda: speaker.now().status == JobStatus.COMPLETED)
    assert speaker.step.status == WorkStatus.DONE
    assert speaker.job.transcript.text == words(0, 8)


def test_a_timeline_that_moves_while_live_words_begin_takes_none_of_them(
    new_speaker, host, alice, work_until
):
    speaker = new_speaker(alice)
    speaker.say(30)
    speaker.cut_chunk()
    step, found = planned_before_live(speaker, moved=True)
    speaker.open()
    host.run(1)
    seen = speaker.shown()
    assert len(seen) == 6
    assert finish_preparation(step, found)
    work_until(lambda: speaker.job.steps.get(kind=StepKind.PREPARE).status == WorkStatus.DONE)
    assert speaker.shown() == seen
    speaker.stop()
    host.run(1)
    work_until(lambda: speaker.now().status == JobStatus.COMPLETED)
    assert speaker.stored() == seen


def test_a_recording_that_a_host_gives_back_waits_for_the_next_one(new_speaker, alice):
    speaker = new_speaker(alice).open()
    JobStep.objects.update(not_before=Now() - 2 * UNHEARD_AFTER)
    assert claims.claim_live() == speaker.step
    assert give_back([claims.worker_name()]) == 1
    assert hand_over_unheard() == 0
    assert claims.claim_live() == speaker.step


def test_a_late_preparation_leaves_what_was_heard_of_audio_in_no_chunk(new_speaker, host, alice, work_until):
    """Live hosts may be ahead of workers that are busy: a window lies behind all chunks that have a place."""
    speaker = new_speaker(alice).open()
    speaker.say(26)
    speaker.cut_chunk(20)
    host.run(1)
    seen = speaker.stored()
    assert len(seen) == 5
    work_until(lambda: speaker.job.steps.get(kind=StepKind.PREPARE).status == WorkStatus.DONE)
    assert not speaker.job.windows.exclude(status=WorkStatus.DONE).exists()
    assert speaker.stored() == seen
    # The same when nobody hears it live any more.
    JobStep.objects.filter(kind=StepKind.LIVE).update(
        status=WorkStatus.DONE, lease_token="", lease_until=None, finished_at=Now()
    )
    speaker.say(4)
    speaker.cut_chunk(22)
    work_until(lambda: speaker.job.steps.get(kind=StepKind.PREPARE).status == WorkStatus.DONE)
    assert speaker.stored() == seen
    speaker.stop()
    work_until(lambda: speaker.now().status == JobStatus.COMPLETED)
    assert speaker.job.transcript.text == words(0, 30)
