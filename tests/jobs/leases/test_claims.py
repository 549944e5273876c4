from __future__ import annotations

from datetime import timedelta

from django.db.models.functions import Now

from jobs_app.leases import claims
from jobs_app.lifecycle.choices import cancel_job, change_priority
from jobs_app.models import ChunkTranscription, JobStep, WorkStatus
from speech.engines.providers import Provider
from tests.jobs.conftest import take_all


def test_it_gives_nothing_when_nothing_waits(db):
    assert claims.claim() is None
    assert not claims.anything_claimable()


def test_it_gives_each_unit_once(alice, planned_job):
    job = planned_job(alice, 3)
    assert take_all() == [f"window {n} of job {job.pk}" for n in range(3)]


def test_a_claim_writes_a_lease_and_counts_the_attempt(alice, new_job, settings):
    new_job(alice)
    work = claims.claim()
    assert isinstance(work, JobStep)
    assert work.status == WorkStatus.RUNNING
    assert work.attempt == 1
    assert len(work.lease_token) == 32
    assert work.worker == claims.worker_name()
    over = timedelta(seconds=settings.LEASE_S + 1)
    assert JobStep.objects.filter(lease_until__gt=Now(), lease_until__lt=Now() + over).count() == 1


def test_it_does_not_give_what_must_wait_for_another_try(alice, new_job):
    new_job(alice)
    JobStep.objects.update(not_before=Now() + timedelta(minutes=1))
    assert claims.claim() is None


def test_a_recording_comes_before_an_upload_of_high_priority(alice, new_job):
    upload = new_job(alice, priority="high")
    recording = new_job(alice, source="recorder", priority="low")
    assert take_all() == [f"prepare of job {recording.pk}", f"prepare of job {upload.pk}"]


def test_priority_comes_before_age(alice, new_job):
    low, normal, high = (new_job(alice, priority=p) for p in ("low", "normal", "high"))
    assert take_all() == [f"prepare of job {job.pk}" for job in (high, normal, low)]


def test_a_persons_many_uploads_do_not_hold_up_another(alice, bob, planned_job):
    first = planned_job(alice, 4)
    other = planned_job(bob, 2)
    assert [claim.split()[-1] for claim in take_all()] == [
        str(job.pk) for job in (first, other, first, other, first, first)
    ]


def test_what_a_provider_does_for_somebody_does_not_hold_up_his_other_work(alice, bob, planned_job, settings):
    far = Provider(name="far", base_url="http://127.0.0.1:9/v1", models=("whisper-1",))
    settings.PROVIDERS = {"far": far}
    planned_job(alice, 4, engine="far")
    while claims.claim(remote=True):
        pass
    here, other = planned_job(alice, 2), planned_job(bob, 2)
    assert [claim.split()[-1] for claim in take_all()] == [str(job.pk) for job in (here, other, here, other)]


def test_an_older_jobs_windows_come_before_a_younger_jobs_preparation(alice, planned_job, new_job):
    older = planned_job(alice, 2)
    younger = new_job(alice)
    assert take_all() == [
        f"window 0 of job {older.pk}",
        f"window 1 of job {older.pk}",
        f"prepare of job {younger.pk}",
    ]


def test_a_changed_priority_counts_at_once(alice, planned_job):
    planned_job(alice, 1)
    second = planned_job(alice, 1)
    assert change_priority(second.pk, "high")
    assert take_all()[0] == f"window 0 of job {second.pk}"


def test_it_does_not_give_a_cancelled_window(alice, planned_job):
    job = planned_job(alice, 2)
    window = job.windows.first()
    cancel_job(job.pk)
    assert claims.take(ChunkTranscription, window.pk) is None
    assert claims.claim() is None


def test_racing_workers_never_share_a_window(alice, planned_job, threads):
    planned_job(alice, 40)

    def take_ten():
        return [claims.claim() for _ in range(10)]

    taken = [work.pk for claimed in threads(*[take_ten] * 4) for work in claimed if work is not None]
    assert len(taken) == len(set(taken))
    # A loser may go away empty-handed, but together they leave little.
    assert len(taken) >= 30


def test_one_window_is_given_to_one_of_eight_workers(alice, planned_job, threads):
    for _ in range(10):
        job = planned_job(alice, 1)
        window = job.windows.get()
        taken = threads(*[lambda pk=window.pk: claims.take(ChunkTranscription, pk)] * 8)
        assert sum(work is not None for work in taken) == 1
        job.delete()
