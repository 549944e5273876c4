"""What people change in a transcript, as it is kept."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction

from jobs_app.lifecycle.choices import delete_job
from jobs_app.work.correcting import Outcome, apply_again
from sessions_app.models.edits import Edit, EditKind
from tests.samples import completed_job

pytestmark = pytest.mark.django_db


def edit(job, value, *, kind=EditKind.TEXT, number=0, **columns) -> Edit:
    return Edit.objects.create(job=job, segment_number=number, kind=kind, value=value, **columns)


def test_the_last_edit_of_each_thing_is_in_force(alice):
    job = completed_job(alice)
    first = edit(job, "One", made_by=alice)
    second = edit(job, "Two", supersedes=first)
    speaker = edit(job, "Ann", kind=EditKind.SPEAKER)
    other = edit(job, True, kind=EditKind.BREAK, number=1)
    assert set(job.edits.in_force()) == {second, speaker, other}
    back = edit(job, None, supersedes=second)
    assert set(job.edits.in_force()) == {back, speaker, other}
    # Nothing is gone.
    assert [e.value for e in job.edits.filter(kind=EditKind.TEXT).order_by("pk")] == ["One", "Two", None]


def test_of_two_people_who_change_the_same_thing_one_comes_through(alice):
    job = completed_job(alice)
    first = edit(job, "One")
    edit(job, "Two", supersedes=first)
    for seen in (None, first):
        with pytest.raises(IntegrityError), transaction.atomic():
            edit(job, "Three", supersedes=seen)


def test_what_the_computer_does_leaves_edits_as_they_are(alice):
    job = completed_job(alice)
    edit(job, "Typed by hand.")
    before = list(Edit.objects.values())
    assert apply_again(job.pk) == Outcome.DONE
    job.segments.all().delete()
    assert list(Edit.objects.values()) == before


def test_edits_stay_without_the_account_that_made_them_and_go_with_the_transcript(alice, bob):
    job = completed_job(alice)
    edit(job, "By Bob", made_by=bob, supersedes=edit(job, "By Alice", made_by=alice))
    bob.delete()
    assert Edit.objects.get(value="By Bob").made_by is None
    delete_job(job.pk)
    assert not Edit.objects.exists()
