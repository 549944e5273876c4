"""What a worker does to a job, and what staff do on the admin's pages."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.models import Permission
from django.urls import reverse

from jobs_app.leases import claims
from jobs_app.lifecycle import failing, planning
from jobs_app.lifecycle.finishing import finish_job, finish_window
from jobs_app.lifecycle.starting import note_start
from jobs_app.models import (
    StepKind,
)
from jobs_app.work.preparation import Preparation
from speech.errors import NoAudio
from speech.types import DecodeReport, SpeechSegment, Transcription
from speech.windows.cuts import Window

JOBS = "admin:jobs_app_transcriptionjob_changelist"
# Who may come in and what they may join is managed by hand; all else is the machine's.
MANAGED = ("people_app.user", "auth.group")


def claim(work):
    """Take this very unit of work."""
    taken = claims.take(type(work), work.pk)
    assert taken is not None
    return taken


def prepare(job, n_windows: int = 2):
    step = claim(job.steps.get(kind=StepKind.PREPARE))
    note_start(step)
    windows = [Window(i * 30_000, (i + 1) * 30_000, 30_000) for i in range(n_windows)]
    report = DecodeReport(container="wav", codec="pcm_s16le", samples=480_000 * n_windows, notes=["A note."])
    assert planning.finish_preparation(step, preparation(windows, report))


def preparation(windows, report):
    length_ms = windows[-1].end_ms if windows else 0
    return Preparation(
        windows=windows, places={}, report=report.as_json(), duration_ms=length_ms, planned_ms=length_ms
    )


def complete(job, n_windows: int = 2):
    prepare(job, n_windows)
    for window in job.windows.all():
        heard = SpeechSegment(window.start_ms, window.end_ms, f"Words of {window.number}.", 0.9)
        assert finish_window(claim(window), Transcription((heard,), "en", 0.99))
    assert finish_job(claim(job.steps.get(kind=StepKind.FINISH)))
    job.refresh_from_db()
    return job


def fail(job, error=None):
    step = claim(job.steps.get(kind=StepKind.PREPARE))
    note_start(step)
    assert failing.settle_failure(step, error or NoAudio())
    job.refresh_from_db()
    return job


def allow(user, *codenames: str) -> None:
    user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))


def url(model, page: str = "changelist", *args) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def registered() -> list:
    return list(admin.site._registry)


def by_label(model) -> str:
    return model._meta.label_lower


def act(client, action: str, *jobs) -> list[str]:
    """Run an action on jobs; what it says."""
    response = client.post(
        reverse(JOBS),
        {"action": action, "index": 0, "_selected_action": [str(job.pk) for job in jobs]},
        follow=True,
    )
    assert response.status_code == 200
    return [str(message) for message in response.context["messages"]]
