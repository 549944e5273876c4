"""The admin pages of what a job consists of, its units of work and its segments, of the job
runners, and of live hosts."""

from __future__ import annotations

from typing import ClassVar, cast

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from jobs_app.admin.filters import Attempts, Values
from jobs_app.admin.heard import language
from jobs_app.models import ChunkTranscription, JobStep, LeasedWork, LiveHost, Runner
from jobs_app.models.transcripts import Segment
from jobs_app.watching.overview import live_hosts, runners
from people_app.staff.badges import (
    NOTHING,
    admin_link,
    badge,
    between,
    count,
    excerpt,
    length,
    list_link,
    per_cent,
)
from people_app.staff.read_only import OfOwners, ReadOnlyAdmin

ListFilter = str | type[admin.ListFilter] | tuple[str, type[admin.FieldListFilter]]


class WorkAdmin(OfOwners):
    # The newest rows come first, as in the index of the primary key.
    ordering = ("-id",)
    list_filter: ClassVar[tuple[ListFilter, ...]] = (
        "status",
        ("error_code", Values),
        Attempts,
        "started_at",
    )
    search_fields = ("job__id", "job__session__title", "worker", "error_code", "error")
    search_help_text = "Recording, worker, error or the job's id"

    @admin.display(description="job")
    def of_job(self, work: LeasedWork) -> SafeString | str:
        return admin_link(work.job, str(work.job.session)) if work.job else NOTHING

    @admin.display(description="status", ordering="status")
    def state(self, work: LeasedWork) -> SafeString:
        return badge(work.status)

    @admin.display(ordering=F("finished_at") - F("started_at"))
    def took(self, work: LeasedWork) -> str:
        return between(work.started_at, work.finished_at)

    def get_queryset(self, request: HttpRequest) -> QuerySet[LeasedWork]:
        return super().get_queryset(request).select_related("job__session", "owner")


@admin.register(ChunkTranscription)
class ChunkTranscriptionAdmin(WorkAdmin):
    list_display = (
        "number",
        "of_job",
        "owner_alone",
        "span",
        "state",
        "engine",
        "requests",
        "attempt",
        "took",
        "worker",
        "error_code",
        "started_at",
    )
    list_filter = (*WorkAdmin.list_filter, ("engine", Values))
    fieldsets = (
        (None, {"fields": ("of_job", "owner", "number", "span", "speech", "state", "attempt")}),
        ("Engine", {"fields": ("engine", "model", "requests", "timing", "fallback_reason", "outage_since")}),
        ("Error", {"fields": ("error_code", "error")}),
        (
            "Run",
            {"fields": ("worker", "started_at", "finished_at", "took", "lease_until", "not_before", "done")},
        ),
        (
            "Result",
            {"fields": ("raw_text", "corrected_text", "language_found", "segments_link")},
        ),
    )

    @admin.display(ordering="start_ms")
    def span(self, window: ChunkTranscription) -> str:
        return f"{length(window.start_ms)} to {length(window.end_ms)}"

    @admin.display()
    def speech(self, window: ChunkTranscription) -> str:
        return length(window.speech_ms)

    @admin.display(description="audio done in this run")
    def done(self, window: ChunkTranscription) -> str:
        return length(window.progress_ms)

    @admin.display(description="language")
    def language_found(self, window: ChunkTranscription) -> str:
        return language(window)

    @admin.display(description="segments")
    def segments_link(self, window: ChunkTranscription) -> SafeString | str:
        n = window.segments.count()
        return list_link(Segment, f"window__id__exact={window.pk}", count(n, "segment")) if n else NOTHING


@admin.register(JobStep)
class JobStepAdmin(WorkAdmin):
    list_display = (
        "kind",
        "of_job",
        "owner_alone",
        "state",
        "attempt",
        "took",
        "worker",
        "error_code",
        "started_at",
    )
    list_filter = ("kind", *WorkAdmin.list_filter)
    fieldsets = (
        (None, {"fields": ("of_job", "owner", "kind", "state", "attempt")}),
        ("Error", {"fields": ("error_code", "error")}),
        ("Run", {"fields": ("worker", "started_at", "finished_at", "took", "lease_until", "not_before")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[JobStep]:
        steps = cast("QuerySet[JobStep]", super().get_queryset(request))
        return steps.select_related("sound__session")

    @admin.display(description="job or recording")
    def of_job(self, work: LeasedWork) -> SafeString | str:
        """Return a link to the job.

        For joining, which belongs to a sound and to no job, it leads to the recording.
        """
        if isinstance(work, JobStep) and work.sound is not None:
            return admin_link(work.sound.session, str(work.sound.session))
        return super().of_job(work)


@admin.register(Segment)
class SegmentAdmin(ReadOnlyAdmin):
    list_display = ("said", "of_job", "start", "end", "speaker", "certainty", "kind")
    list_filter = ("kind",)
    # The order is that of an index, so the table need not be sorted. It uses the column, because `job` would
    # sort by the job's own order, for which the whole table is needed.
    ordering = ("job_id", "start_ms")
    search_fields = ("job__id", "job__session__title", "speaker")
    search_help_text = "Recording, speaker or the job's id"
    fields = ("of_job", "of_window", "number", "kind", "start", "end", "speaker", "certainty", "text")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Segment]:
        return super().get_queryset(request).select_related("job__session")

    @admin.display(description="text")
    def said(self, segment: Segment) -> str:
        return excerpt(segment.text) or "(nothing)"

    @admin.display(description="job")
    def of_job(self, segment: Segment) -> SafeString:
        return admin_link(segment.job, str(segment.job.session))

    @admin.display(description="window")
    def of_window(self, segment: Segment) -> SafeString | str:
        return admin_link(segment.window, f"window {segment.window.number}") if segment.window else NOTHING

    @admin.display(description="confidence", ordering="confidence")
    def certainty(self, segment: Segment) -> str:
        return per_cent(segment.confidence)

    @admin.display(ordering="start_ms")
    def start(self, segment: Segment) -> str:
        return length(segment.start_ms)

    @admin.display(ordering="end_ms")
    def end(self, segment: Segment) -> str:
        return length(segment.end_ms)


@admin.register(Runner)
class RunnerAdmin(ReadOnlyAdmin):
    list_display = ("name", "alive", "workers", "devices", "restarts", "started_at", "beat_at", "proven_at")
    ordering = ("name",)
    fields = list_display

    def get_queryset(self, request: HttpRequest) -> QuerySet[Runner]:
        return runners()

    @admin.display(boolean=True)
    def alive(self, runner: Runner) -> bool:
        return runner.is_alive


@admin.register(LiveHost)
class LiveHostAdmin(ReadOnlyAdmin):
    list_display = ("name", "alive", "sessions", "share", "started_at", "beat_at")
    ordering = ("name",)
    fields = list_display

    def get_queryset(self, request: HttpRequest) -> QuerySet[LiveHost]:
        return live_hosts()

    @admin.display(boolean=True)
    def alive(self, host: LiveHost) -> bool:
        return host.is_alive

    @admin.display(description="time for finals", ordering="finals_share")
    def share(self, host: LiveHost) -> str:
        return f"{host.finals_share} %"
