"""Jobs that are tried again while they are heard live, in each state: nothing is lost, or said twice."""

from __future__ import annotations

import pytest
from django.db.models import F

from jobs_app.lifecycle.choices import retry_job
from jobs_app.lifecycle.ending import end_job
from jobs_app.lifecycle.failing import WorkerLost, settle_failure
from jobs_app.models import JobStatus, LiveText, SoundTrack, StepKind, WorkStatus
from sessions_app.models import AudioChunk
from tests.jobs.speaking import RunningHost, Speaker, words


def nothing_is_heard(speaker: Speaker, host: RunningHost, settings) -> None:
    speaker.say(6)


def a_final_is_in_no_segment(speaker: Speaker, host: RunningHost, settings) -> None:
    speaker.say(6)
    host.run()
    assert speaker.live.finals


def text_is_ahead_of_the_timeline(speaker: Speaker, host: RunningHost, settings) -> None:
    speaker.say(26)
    speaker.cut_chunk(20)
    host.run(1)
    assert speaker.now().planned_ms == 25_000


def it_was_left_after_a_pause(speaker: Speaker, host: RunningHost, settings) -> None:
    speaker.say(7)
    host.run(settings.LIVE_IDLE_S + 2)
    assert speaker.step.status == WorkStatus.DONE


def live_hosts_have_given_up(speaker: Speaker, host: RunningHost, settings) -> None:
    settings.MAX_ATTEMPTS = 1
    speaker.say(6)
    host.run()
    assert settle_failure(host.host.hearings[0].step, WorkerLost())
    assert speaker.step.status == WorkStatus.FAILED


def a_window_waits_for_its_place(speaker: Speaker, host: RunningHost, settings) -> None:
    speaker.say(6)
    host.run()
    assert speaker.job.windows.get().status == WorkStatus.WAITING


STATES = {
    "": [
        nothing_is_heard,
        a_final_is_in_no_segment,
        text_is_ahead_of_the_timeline,
        it_was_left_after_a_pause,
        live_hosts_have_given_up,
    ],
    "fake:fail=utterance": [a_window_waits_for_its_place],
}


def work_while_there_is_some(work_until) -> None:
    from jobs_app.leases import claims

    work_until(lambda: not claims.anything_claimable())


@pytest.mark.parametrize("goes_on", [True, False])
@pytest.mark.parametrize(
    ("prompt", "begin"), [(prompt, begin) for prompt, states in STATES.items() for begin in states]
)
def test_a_job_that_is_tried_again_says_everything_once(
    new_speaker, host, alice, settings, work_until, prompt, begin, goes_on
):
    speaker = new_speaker(alice, prompt=prompt).open()
    begin(speaker, host, settings)
    seen = speaker.shown()
    end_job(speaker.now(), JobStatus.FAILED, error_code="crashed", error="It crashed.")
    if not goes_on:
        speaker.stop()
    assert retry_job(speaker.job.pk)
    work_while_there_is_some(work_until)
    if goes_on:
        speaker.say(4)
        host.run(1)
        work_while_there_is_some(work_until)
        speaker.stop()
    host.run(1)
    work_until(lambda: speaker.now().status == JobStatus.COMPLETED)
    assert speaker.stored()[: len(seen)] == seen
    assert speaker.job.transcript.text == words(0, speaker.said_s)
    assert not LiveText.objects.exists()
    assert not host.guard._leased_until


def test_what_was_heard_live_stays_when_its_timeline_was_changed_by_another_job(
    new_speaker, host, alice, work_until
):
    """What has a place is heard again. The audio behind that is in no chunk yet, so nobody could hear it."""
    speaker = new_speaker(alice).open()
    speaker.say(26)
    speaker.cut_chunk(20)
    host.run(1)
    prepared = speaker.job.steps.filter(kind=StepKind.PREPARE, status=WorkStatus.DONE)
    work_until(prepared.exists)
    SoundTrack.objects.update(version=F("version") + 1)
    speaker.say(4)
    speaker.cut_chunk(22)
    work_until(prepared.exists)
    assert speaker.now().planned_version == speaker.job.sound.version
    host.run(1)
    speaker.stop()
    host.run(1)
    work_until(lambda: speaker.now().status == JobStatus.COMPLETED)
    assert speaker.job.transcript.text == words(0, 30)


def test_a_chunk_that_is_removed_takes_nothing_of_what_was_heard_behind_it(
    new_speaker, host, alice, work_until
):
    speaker = new_speaker(alice).open()
    speaker.say(10)
    speaker.cut_chunk()
    speaker.say(10)
    speaker.cut_chunk()
    speaker.say(6)
    host.run(1)
    prepared = speaker.job.steps.filter(kind=StepKind.PREPARE, status=WorkStatus.DONE)
    work_until(prepared.exists)
    seen = speaker.shown()
    AudioChunk.objects.filter(number=1).delete()
    speaker.job.steps.filter(kind=StepKind.PREPARE).update(status=WorkStatus.WAITING, finished_at=None)
    work_until(prepared.exists)
    assert speaker.shown() == seen
