"""Bad days of live words: what dies, fills up, is taken away or is ended costs no second that was said.

Runs on the database of the test run (SQLite or PostgreSQL). The engine is the fake one, which reads numbered
seconds.
"""

from __future__ import annotations

from datetime import timedelta

import psutil
import pytest
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from jobs_app.leases.locks import lock_job
from jobs_app.lifecycle.ending import end_job
from jobs_app.models import JobStatus, JobStep, LiveHost, StepKind, TranscriptionJob, WorkStatus
from sessions_app.models import LivePiece, RecordingSession
from tests.acceptance.conftest import kill, wait_for
from tests.acceptance.live.conftest import Site
from tests.acceptance.live.talk import Talk
from tests.acceptance.test_chaos import lock_out_of_postgres, lock_sqlite_for
from tests.jobs.speaking import words
from tests.speech.numbered_speech import make_numbered_speech, numbers
from tests.speech.scripted_provider import ScriptedProvider

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


PROVIDED = 12
"""So many utterances are sent to a speech server."""


def job_of(session_id: str) -> TranscriptionJob:
    return TranscriptionJob.objects.get(session=session_id)


def live_step(session_id: str) -> JobStep:
    return JobStep.objects.get(job__session=session_id, kind=StepKind.LIVE)


def assert_heard_once(talk: Talk) -> None:
    """All that was said is in the text once, in order, and all that was shown is in it."""
    job = job_of(talk.session_id)
    assert (job.status, job.error) == (JobStatus.COMPLETED, "")
    assert job.transcript.text == words(0, talk.seconds)
    assert talk.changed == []
    assert talk.finals == {
        f"u{number}": text for number, text in job.segments.values_list("number", "raw_text")
    }
    assert job.sound.gaps == []


def gone(processes: list[psutil.Process]) -> bool:
    return not [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def test_a_database_that_goes_away_and_a_full_disk_cost_nothing(site):
    site.start()
    talk = Talk(site.api, site.api.begin(), 30, speed=2).start()
    talk.wait_for_finals(5)
    if connection.vendor == "sqlite":
        lock_sqlite_for(3)
    else:
        lock_out_of_postgres()
    talk.wait_for_finals(15)
    site.web.kill()
    site.web.environment = {**site.web.environment, "MIN_FREE_DISK_MB": "1000000000"}
    site.web.start()
    wait_for(lambda: "storage_full" in talk.codes, within_s=30, what="the disk is full")
    site.web.kill()
    site.web.environment = {**site.web.environment, "MIN_FREE_DISK_MB": "0"}
    site.web.start()
    talk.wait_for_end()
    assert set(talk.codes) <= {"storage_full", "try_again"}
    assert_heard_once(talk)


def test_workers_go_on_when_the_live_hosts_are_gone_for_good(site):
    site.start()
    talk = Talk(site.api, site.api.begin(), 30, speed=2).start()
    talk.wait_for_finals(10)
    hosts = site.runner.live_hosts()
    assert hosts
    kill(site.runner.process.pid)
    wait_for(lambda: gone(hosts), within_s=10, what="no live host outlives its runner")
    site.runner.environment = {**site.runner.environment, "LIVE_HOSTS": "0"}
    site.runner.kill_and_start_again()
    wait_for(
        lambda: live_step(talk.session_id).status == WorkStatus.WAITING,
        within_s=30,
        what="the lease of the live host ends",
    )
    # As if it had waited for half a minute, and as if the live host had been gone for so long.
    LiveHost.objects.all().delete()
    JobStep.objects.filter(pk=live_step(talk.session_id).pk).update(
        not_before=timezone.now() - timedelta(seconds=31)
    )
    site.web.kill()
    site.web.start()
    wait_for(lambda: "live_unavailable" in talk.codes, within_s=30, what="nobody hears live")
    talk.wait_for_end()
    assert_heard_once(talk)
    assert live_step(talk.session_id).status == WorkStatus.DONE

    assert site.runner.stop() == 0
    site.runner.environment = {**site.runner.environment, "LIVE_HOSTS": "2"}
    site.runner.start()
    wait_for(lambda: len(site.runner.live_hosts()) == 2, within_s=30, what="two live hosts")
    hosts = site.runner.live_hosts()
    assert site.runner.stop() == 0
    assert gone(hosts)


def what_is_ended_taken_over_or_deleted_while_somebody_speaks(site: Site) -> None:
    def begin(seconds: int, session_id: str = "", **more) -> Talk:
        return Talk(site.api, session_id or site.api.begin(), seconds, speed=2, **more).start()

    def ended(talk: Talk) -> bool:
        return RecordingSession.objects.get(pk=talk.session_id).state not in ("recording", "processing")

    taken, vanishing, finished, deleted, cancelled = (begin(n) for n in (25, 25, 60, 60, 20))
    wait_for(lambda: taken.received_ms > 6000, within_s=30, what="the first device speaks")
    other = begin(25, taken.session_id)
    taken.wait_for_end(within_s=20)
    assert taken.codes == ["taken_over"]

    # No chunk is full yet.
    vanishing.leave()
    finished.wait_for_finals(5)
    cancelled.wait_for_finals(5)
    assert site.api.call("POST", f"jobs/{job_of(cancelled.session_id).pk}/cancel/")[0] in (200, 202)
    assert site.api.call("DELETE", f"sessions/{deleted.session_id}/")[0] == 204
    assert site.api.call("POST", f"sessions/{finished.session_id}/finish/", {})[0] == 202
    for talk, code in ((finished, "session_finished"), (deleted, "not_found")):
        talk.wait_for_end(within_s=20)
        assert talk.codes == [code]

    for talk in (other, cancelled):
        talk.wait_for_end()
    assert_heard_once(other)
    assert {**other.finals, **taken.finals} == other.finals

    for talk in (finished, vanishing):
        wait_for(lambda talk=talk: ended(talk), within_s=60, what="it is finished")
        duration_ms = job_of(talk.session_id).duration_ms
        # All that the server has said to have is there.
        assert duration_ms >= talk.received_ms > 0
        talk.seconds = duration_ms // 1000
        job = job_of(talk.session_id)
        assert (job.status, job.transcript.text) == (JobStatus.COMPLETED, words(0, talk.seconds))
        assert job.segments.filter(raw_text__in=talk.finals.values()).count() == len(talk.finals)

    # It was recorded to its end all the same, and keeps what was heard.
    assert cancelled.done is not None and cancelled.done["status"] == JobStatus.CANCELLED
    assert job_of(cancelled.session_id).segments.first().raw_text == words(0, 5)
    status, job = site.api.call("POST", f"sessions/{cancelled.session_id}/jobs/", {"engine": "fake"})
    assert status == 201, job
    wait_for(lambda: ended(cancelled), within_s=30, what="it is transcribed anew")
    assert TranscriptionJob.objects.get(pk=job["id"]).transcript.text == words(0, 20)

    assert not LivePiece.objects.exists()
    assert not JobStep.objects.filter(kind=StepKind.LIVE, status__in=("waiting", "running")).exists()


@pytest.fixture
def provider(child_environment):
    """A speech server that the site may send audio to."""
    with ScriptedProvider() as server:
        child_environment |= {
            "PROVIDERS": "asr",
            "PROVIDER_ASR_BASE_URL": server.url,
            "PROVIDER_ASR_MODELS": "whisper-1",
        }
        yield server


def fail(talk: Talk) -> None:
    """As a bug would, or a full disk."""
    with transaction.atomic():
        job = lock_job(job_of(talk.session_id).pk)
        assert job is not None and job.status == JobStatus.PROCESSING
        end_job(job, JobStatus.FAILED, error_code="internal_error", error="Something went wrong.")


def jobs_that_are_tried_again_and_another_engine_while_somebody_speaks(
    provider: ScriptedProvider, site: Site, admin_client: Client
) -> None:
    retried, repaired = (Talk(site.api, site.api.begin(), 24, speed=2).start() for _ in range(2))
    speech = (make_numbered_speech(0, PROVIDED) * 32767).astype("<i2").tobytes()
    provided = Talk(site.api, site.api.begin(engine="asr"), 18, speed=2, sound=speech).start()

    retried.wait_for_finals(5)
    fail(retried)
    assert site.api.call("POST", f"jobs/{job_of(retried.session_id).pk}/retry/")[0] in (200, 202)
    repaired.wait_for_finals(5)
    fail(repaired)
    retry = {"action": "retry", "_selected_action": [str(job_of(repaired.session_id).pk)]}
    admin_client.post(reverse("admin:jobs_app_transcriptionjob_changelist"), retry)
    for talk in (retried, repaired):
        talk.wait_for_end()
        assert_heard_once(talk)
        assert (talk.codes, talk.readies) == ([], 1)

    # Without live words, but all of it.
    provided.wait_for_end()
    job = job_of(provided.session_id)
    assert (job.status, job.engine) == (JobStatus.COMPLETED, "asr")
    assert provided.text.split() == job.transcript.text.split() == numbers(0, PROVIDED)
    assert (provided.codes, provided.interims) == (["live_unavailable"], 0)
    assert len(provider.requests) == job.windows.count()


def test_what_is_done_to_recordings_and_jobs_while_somebody_speaks(provider, site, admin_client):
    site.runner.environment["ABANDONED_AFTER_S"] = site.web.environment["ABANDONED_AFTER_S"] = "6"
    site.start()
    what_is_ended_taken_over_or_deleted_while_somebody_speaks(site)
    jobs_that_are_tried_again_and_another_engine_while_somebody_speaks(provider, site, admin_client)
