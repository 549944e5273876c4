"""Tell Prometheus how much work waits and how jobs ended."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import DatabaseError, InterfaceError
from django.db.models import Count, F, Max, Min, Sum
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from jobs_app.models import (
    JOB_ACTIVE,
    ChunkTranscription,
    JobKind,
    JobStatus,
    JobStep,
    LiveHost,
    Runner,
    StepKind,
    TranscriptionJob,
    WorkStatus,
)
from jobs_app.watching.overview import provider_overview
from rest.errors import PermissionDenied, body
from rest.refusals import TryAgain
from sessions_app.live.hub import COUNTS
from transcribe_site.watching.askers import may_see_metrics


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    if not may_see_metrics(request):
        not_for_you = "Metrics are for this machine, and for `Authorization: Bearer METRICS_TOKEN`."
        return JsonResponse(body(PermissionDenied(not_for_you)), status=403)
    registry = CollectorRegistry(auto_describe=False)
    try:
        registry.register(JobCollector())
        return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
    except (DatabaseError, InterfaceError):
        return JsonResponse(body(TryAgain()), status=503)


class JobCollector(Collector):
    """Collect the metrics from the rows of the database, so that every process gives the same values.

    Only its sockets each web process counts for itself.

    This takes six queries, and two more if there are speech servers.
    """

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        rows = TranscriptionJob.objects.order_by().values("kind", "status")
        found = list(
            rows.annotate(n=Count("pk"), audio_ms=Sum("sound__duration_ms"), oldest=Min("created_at"))
        )
        by_status = {row["status"]: row for row in found if row["kind"] == JobKind.RUN}
        jobs = GaugeMetricFamily(
            "transcribe_jobs", "Jobs in the history, by status, without second hearings", labels=["status"]
        )
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

        waiting = by_status.get(JobStatus.PENDING)
        n_waiting, waiting_ms, oldest = (
            (waiting["n"], waiting["audio_ms"], waiting["oldest"]) if waiting else (0, None, None)
        )
        windows = ChunkTranscription.objects.filter(
            status=WorkStatus.WAITING, job__status=JobStatus.PROCESSING, job__kind=JobKind.RUN
        ).aggregate(ms=Sum(F("end_ms") - F("start_ms")))
        yield gauge("transcribe_queue_jobs", "Jobs that no worker has taken yet", n_waiting)
        yield gauge(
            "transcribe_queue_audio_seconds",
            "Audio that no worker has taken yet, of waiting jobs and of those under way",
            ((waiting_ms or 0) + (windows["ms"] or 0)) / 1000,
        )
        yield gauge(
            "transcribe_queue_oldest_seconds",
            "How long the oldest job that no worker has taken has been waiting",
            (timezone.now() - oldest).total_seconds() if oldest else 0,
        )
        yield gauge(
            "transcribe_refinements",
            "Recordings that wait for their second hearing, or are being heard for the second time",
            sum(row["n"] for row in found if row["kind"] == JobKind.REFINE and row["status"] in JOB_ACTIVE),
        )
        yield gauge(
            "transcribe_workers",
            "Workers that lately showed that they take work",
            Runner.objects.alive_workers(),
        )
        yield from live_metrics()
        yield from provider_metrics()
        yield from socket_metrics()


def live_metrics() -> Iterator[Metric]:
    """Return values about recordings that are heard while they are spoken. This takes two queries."""
    live = JobStep.objects.filter(kind=StepKind.LIVE, status=WorkStatus.RUNNING).aggregate(
        n=Count("pk"),
        behind_ms=Max(F("job__live_text__received_ms") - F("job__live_text__heard_ms")),
    )
    hosts = LiveHost.objects.alive().aggregate(n=Count("pk"), share=Max("finals_share"))
    yield gauge("transcribe_live_sessions", "Recordings that live hosts hear now", live["n"])
    yield gauge(
        "transcribe_live_lag_seconds",
        "How far the words are behind the audio, where they are furthest behind",
        max(0, live["behind_ms"] or 0) / 1000,
    )
    yield gauge("transcribe_live_hosts", "Live hosts that lately showed that they are there", hosts["n"])
    yield gauge(
        "transcribe_live_finals_ratio",
        "The share of its time that the busiest live host needs for final texts; from LIVE_FINALS_PERCENT on "
        "it takes no more recordings",
        (hosts["share"] or 0) / 100,
    )


def provider_metrics() -> Iterator[Metric]:
    """Return values for each speech server of the settings. If there is no server, this takes no query."""
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


def socket_metrics() -> Iterator[Metric]:
    """Return the sockets of live words of this process. Each web process has its own."""
    yield gauge("transcribe_live_sockets", "Sockets of live words that this process holds", COUNTS.open)
    refused = CounterMetricFamily(
        "transcribe_live_sockets_refused",
        "Sockets that this process let in no longer, or not at all, by error code",
        labels=["code"],
    )
    for code, n in sorted(COUNTS.refused.items()):
        refused.add_metric([code], n)
    yield refused


def gauge(name: str, documentation: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, documentation, value=value)
