"""What somebody has used is counted once."""

from __future__ import annotations

import uuid

import pytest
from django.db import IntegrityError, transaction

from people_app.models import UsageEntry


def test_a_job_is_counted_once_for_each_kind_and_unit(alice):
    job = uuid.uuid4()
    counted = {"owner": alice, "kind": "transcription", "amount": 60_000, "job_id": job}
    UsageEntry.objects.create(**counted, unit="ms")
    UsageEntry.objects.create(**counted, unit="requests")
    with pytest.raises(IntegrityError), transaction.atomic():
        UsageEntry.objects.create(**counted, unit="ms")


def test_what_belongs_to_no_job_is_counted_each_time(alice):
    for _ in range(2):
        UsageEntry.objects.create(owner=alice, kind="live", amount=1, unit="ms")
    assert alice.usage.count() == 2
