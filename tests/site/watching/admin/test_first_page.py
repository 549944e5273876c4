"""The first page of the admin: the queue, the workers and the failures."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

from django.db.models.functions import Now
from django.urls import reverse

from jobs_app.models import (
    JobStatus,
    TranscriptionJob,
)
from jobs_app.watching.overview import overview
from tests.site.watching.admin.steps import (
    fail,
    prepare,
)


def test_the_first_page_shows_the_queue_the_workers_and_the_failures(as_staff, rows, new_job, alice):
    old = fail(new_job(alice))
    TranscriptionJob.objects.filter(pk=old.pk).update(ended_at=Now() - timedelta(hours=25))
    state = as_staff.get(reverse("admin:index")).context["overview"]
    assert (state.waiting, state.processing, state.queued) == (1, 1, 2)
    # A minute that waits, and one whose decoding has found its length; neither has been worked on.
    assert state.audio_left_ms == 120_000
    assert state.alive_workers == 2
    assert [(runner.name, runner.is_alive) for runner in state.runners] == [
        ("host:1", True),
        ("host:2", False),
    ]
    assert state.failures == {"no_audio": 1}
    assert (state.completed, state.completed_ms) == (1, 60_000)
    assert state.oldest_waiting_at == TranscriptionJob.objects.get(status="pending").created_at
    assert not state.stuck


def test_what_has_been_done_of_a_job_is_not_in_the_queue(new_job, alice):
    prepare(new_job(alice))
    TranscriptionJob.objects.update(progress=75)
    assert overview().audio_left_ms == 15_000


def test_a_job_of_unknown_length_is_said_to_be_one(new_job, alice):
    new_job(alice, duration_ms=None)
    state = overview()
    assert (state.waiting, state.unknown_length, state.audio_left_ms) == (1, 1, 0)


def test_the_first_page_says_so_when_nobody_works(as_staff, new_job, alice):
    assert "No worker is alive" not in as_staff.get(reverse("admin:index")).content.decode()
    new_job(alice)
    assert "No worker is alive" in as_staff.get(reverse("admin:index")).content.decode()


def test_failures_are_one_click_away(as_staff, rows):
    page = as_staff.get(reverse("admin:index")).content.decode()
    (link,) = re.findall(r'<a href="([^"]+)">1 failed</a>', page)
    jobs = as_staff.get(unescape(link)).context["cl"].queryset
    assert [job.status for job in jobs] == [JobStatus.FAILED]


def test_the_overview_costs_three_queries(django_assert_num_queries, rows):
    with django_assert_num_queries(3):
        overview()
