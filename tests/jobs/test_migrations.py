"""What migrations make of rows that were there before them."""

from __future__ import annotations

import pytest
from django.core.management import call_command


@pytest.mark.django_db(transaction=True)
def test_windows_from_before_providers_get_the_engine_of_their_job(alice, planned_job):
    job = planned_job(alice, 2)
    try:
        call_command("migrate", "jobs_app", "0004", verbosity=0)
    finally:
        call_command("migrate", verbosity=0)
    assert set(job.chunktranscriptions.values_list("engine", "model")) == {(job.engine, job.model)}
