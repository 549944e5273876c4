"""Live hosts as processes under a job runner: they are killed, and each second is heard once all the same."""

from __future__ import annotations

import pytest

from jobs_app.models import JobStatus, LiveHost, WorkStatus
from people_app.models import User
from tests.acceptance.conftest import RunnerProcess, kill, wait_for
from tests.jobs.speaking import Speaker, words

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def live_runner(child_environment, runner):
    runner.environment["LIVE_HOSTS"] = "2"
    runner.start()
    wait_for(LiveHost.objects.alive().exists, within_s=30, what="a live host reports")
    return runner


def text_of(speaker: Speaker) -> str:
    return " ".join(text for _, text in speaker.shown())


def a_runner_that_is_stopped_leaves_it_to_the_next_one(live_runner: RunnerProcess, alice: User) -> None:
    speaker = Speaker(alice).open()
    speaker.say(7)
    wait_for(lambda: text_of(speaker) == words(0, 5), within_s=30, what="the first final")
    assert live_runner.stop() == 0
    assert speaker.step.status == WorkStatus.WAITING
    assert speaker.stored() == [(0, words(0, 5))]
    assert not LiveHost.objects.exists()
    live_runner.start()
    speaker.say(3)
    wait_for(lambda: text_of(speaker) == words(0, 10), within_s=30, what="the second final")


def it_outlives_the_live_hosts_that_hear_it(live_runner: RunnerProcess, alice: User) -> None:
    speaker = Speaker(alice).open()
    seen = []
    for n in range(1, 4):
        speaker.say(12)
        wait_for(lambda n=n: text_of(speaker) == words(0, (12 * n) // 5 * 5), within_s=30, what=f"finals {n}")
        assert speaker.shown()[: len(seen)] == seen
        seen = speaker.shown()
        for host in live_runner.live_hosts():
            kill(host.pid)
        if n == 2:
            speaker.cut_chunk(20)
    speaker.say(4)
    speaker.stop()
    wait_for(lambda: speaker.now().status == JobStatus.COMPLETED, within_s=30, what="the job is completed")
    assert speaker.shown()[: len(seen)] == seen
    assert speaker.job.transcript.text == words(0, 40)


def test_a_recording_is_heard_whoever_ends_meanwhile(live_runner, alice):
    a_runner_that_is_stopped_leaves_it_to_the_next_one(live_runner, alice)
    it_outlives_the_live_hosts_that_hear_it(live_runner, alice)
