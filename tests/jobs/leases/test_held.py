from __future__ import annotations

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from jobs_app.leases.held import held, release, renew_leases
from jobs_app.models import ChunkTranscription, WorkStatus
from tests.jobs.conftest import expire, on_postgres, statuses, take

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def windows(alice, planned_job):
    return [take(window) for window in planned_job(alice, 2).windows.order_by("number")]


def test_a_renewal_tells_what_was_renewed_and_what_is_lost(windows):
    kept, lost = windows
    expire(kept)
    release(lost, WorkStatus.WAITING)
    renewal = renew_leases([(kept, 100), (lost, 200)])
    assert (renewal.renewed, renewal.lost) == ({kept.lease_token}, {lost.lease_token})
    assert held(kept).filter(lease_until__gt=Now(), progress_ms=100).exists()
    assert statuses(kept.job) == ["running", "waiting"]


def test_no_runs_are_nothing_to_renew():
    with CaptureQueriesContext(connection) as asked:
        assert not renew_leases([]).renewed
    assert len(asked) == 0


@on_postgres
def test_a_renewal_waits_for_no_lock_and_takes_none_for_a_loss(windows, threads):
    """A cancel locks a job's windows in whatever order; two that wait for each other would be a deadlock."""
    locked, free = windows
    with transaction.atomic():
        list(ChunkTranscription.objects.select_for_update().filter(pk=locked.pk))
        [renewal] = threads(lambda: renew_leases([(locked, 100), (free, 200)]))
        assert (renewal.renewed, renewal.lost) == ({free.lease_token}, set())
    assert renew_leases([(locked, 100)]).renewed == {locked.lease_token}
