"""For those who watch over the server: does it live, can it work, how much is there to do."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

from django.conf import settings
from django.core.files.storage import FileSystemStorage, default_storage
from django.db import DatabaseError, InterfaceError, connection
from django.db.models import Count, F, Min, Sum
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from jobs_app.models import ChunkTranscription, JobStatus, Runner, TranscriptionJob, WorkStatus
from jobs_app.overview import provider_overview


@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """This process answers. Nothing else is asked."""
    return JsonResponse({"status": "alive"})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """What is uploaded now can be stored and will be transcribed; 503 with the reasons otherwise."""
    reasons = [*database_and_workers(), *storage()]
    if not reasons:
        return JsonResponse({"status": "ready"})
    detail = " ".join(reason["detail"] for reason in reasons)
    return JsonResponse({"detail": detail, "code": "not_ready", "reasons": reasons}, status=503)


def database_and_workers() -> Iterator[dict[str, str]]:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        if not Runner.objects.alive().exists():
            yield {
                "code": "no_worker",
                "detail": "No worker has shown lately that it takes work. Is `manage.py jobrunner` running?",
            }
    except (DatabaseError, InterfaceError):
        yield {
            "code": "database",
            "detail": "The database does not answer. Is it running, and DATABASE_URL right?",
        }


def storage() -> Iterator[dict[str, str]]:
    folders = [settings.FILE_UPLOAD_TEMP_DIR]
    if isinstance(default_storage, FileSystemStorage):
        folders.append(settings.MEDIA_ROOT)
    for folder in folders:
        try:
            # Permission bits say nothing of a read-only or broken file system.
            with tempfile.TemporaryFile(dir=folder) as f:
                f.write(b"x")
                f.flush()
            full = shutil.disk_usage(folder).free < settings.MIN_FREE_DISK_BYTES
        except OSError as e:
            detail = (
                f"{folder.name}/ in DATA_DIR cannot be written ({e.strerror}). Check its disk and its owner."
            )
            yield {"code": "storage", "detail": detail}
            continue
        if full:
            detail = f"{folder.name}/ in DATA_DIR has less than MIN_FREE_DISK_MB left. Make room."
            yield {"code": "storage_full", "detail": detail}


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    if not may_see_metrics(request):
        detail = "Metrics are for this machine, and for `Authorization: Bearer METRICS_TOKEN`."
        return JsonResponse({"detail": detail, "code": "permission_denied"}, status=403)
    registry = CollectorRegistry(auto_describe=False)
    try:
        registry.register(JobCollector())
        return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
    except (DatabaseError, InterfaceError):
        detail = "The database does not answer at the moment. Try again in a few seconds."
        return JsonResponse({"detail": detail, "code": "try_again"}, status=503)


def may_see_metrics(request: HttpRequest) -> bool:
    token = request.headers.get("Authorization", "")
    if settings.METRICS_TOKEN and constant_time_compare(token, f"Bearer {settings.METRICS_TOKEN}"):
        return True
    # What a proxy on this machine passes on comes from loopback, too, and not every proxy says so.
    if settings.BEHIND_PROXY or "X-Forwarded-For" in request.headers:
        return False
    return is_loopback(request.META.get("REMOTE_ADDR", ""))


def is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:  # a UNIX socket has none
        return False


class JobCollector(Collector):
    """What the rows say at this moment, so that it is the same from every process.

    Four queries, and two more where there are speech servers.
    """

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        rows = TranscriptionJob.objects.order_by().values("status")
        by_status = {
            row["status"]: row
            for row in rows.annotate(n=Count("pk"), audio_ms=Sum("duration_ms"), oldest=Min("created_at"))
        }
        jobs = GaugeMetricFamily("transcribe_jobs", "Jobs in the history, by status", labels=["status"])
        for status in JobStatus.values:
            jobs.add_metric([status], by_status.get(status, {"n": 0})["n"])
        yield jobs

        failures = GaugeMetricFamily(
            "transcribe_failed_jobs", "Failed jobs in the history, by error code", labels=["code"]
        )
        failed = TranscriptionJob.objects.filter(status=JobStatus.FAILED).order_by().values_list("error_code")
        for code, n in failed.annotate(n=Count("pk")):
            failures.add_metric([code], n)
        yield failures

        waiting: dict[str, Any] = by_status.get(JobStatus.PENDING, {"n": 0, "audio_ms": 0, "oldest": None})
        windows = ChunkTranscription.objects.filter(
            status=WorkStatus.WAITING, job__status=JobStatus.PROCESSING
        ).aggregate(ms=Sum(F("end_ms") - F("start_ms")))
        yield gauge("transcribe_queue_jobs", "Jobs that no worker has taken yet", waiting["n"])
        yield gauge(
            "transcribe_queue_audio_seconds",
            "Audio that no worker has taken yet, of waiting jobs and of those under way",
            ((waiting["audio_ms"] or 0) + (windows["ms"] or 0)) / 1000,
        )
        oldest = waiting["oldest"]
        yield gauge(
            "transcribe_queue_oldest_seconds",
            "How long the oldest job that no worker has taken has been waiting",
            (timezone.now() - oldest).total_seconds() if oldest else 0,
        )
        yield gauge(
            "transcribe_workers",
            "Workers that lately showed that they take work",
            Runner.objects.alive_workers(),
        )
        yield from provider_metrics()


def provider_metrics() -> Iterator[Metric]:
    """One value for each speech server of the settings; no query where there is none."""
    paused = GaugeMetricFamily(
        "transcribe_provider_paused", "1 while a speech server is not asked", labels=["provider"]
    )
    running = GaugeMetricFamily(
        "transcribe_provider_running_requests",
        "Windows that a speech server is being asked about",
        labels=["provider"],
    )
    sent = CounterMetricFamily(
        "transcribe_provider_requests", "Requests sent to a speech server so far", labels=["provider"]
    )
    for one in provider_overview():
        name = one.provider.name
        paused.add_metric([name], one.is_paused)
        running.add_metric([name], one.running)
        sent.add_metric([name], one.state.requests if one.state else 0)
    yield from (paused, running, sent)


def gauge(name: str, documentation: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, documentation, value=value)
