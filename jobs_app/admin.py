"""Staff watch jobs here and repair them with the functions that everyone else uses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import Count, F, Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from jobs_app import (
    lifecycle,
    progress,
    provider_admin,  # noqa: F401  registers the speech servers
    work_admin,  # noqa: F401  registers what a job is made of
)
from jobs_app.admin_filters import Attempts, AudioLength, Ended, ProcessingTime, Values
from jobs_app.models import (
    JOB_ACTIVE,
    ChunkTranscription,
    JobPriority,
    JobStatus,
    LeasedWork,
    Segment,
    StepKind,
    TranscriptionJob,
)
from jobs_app.read_only import (
    LARGE_COLUMNS,
    NOTHING,
    ROWS_ON_DETAIL_PAGE,
    CountedDeletion,
    ReadOnlyAdmin,
    admin_link,
    badge,
    between,
    count,
    excerpt,
    language,
    length,
    list_link,
    per_cent,
)


class JobList(ChangeList):
    def get_queryset(self, request: HttpRequest, **kwargs: Any) -> QuerySet:
        return super().get_queryset(request, **kwargs).defer(*LARGE_COLUMNS)


@admin.register(TranscriptionJob)
class TranscriptionJobAdmin(CountedDeletion, ReadOnlyAdmin):
    deletable = True
    list_display = (
        "recording",
        "state",
        "owner",
        "error_code",
        "engine_and_model",
        "audio",
        "took",
        "attempt",
        "priority",
        "created_at",
    )
    list_filter = (
        "status",
        Ended,
        ("error_code", Values),
        ("session__owner", admin.RelatedOnlyFieldListFilter),
        ("session__source", admin.ChoicesFieldListFilter),
        ("engine", Values),
        ("model", Values),
        ("detected_language", Values),
        "priority",
        Attempts,
        AudioLength,
        ProcessingTime,
        "created_at",
    )
    # Not in transcripts: that would read what everyone ever said.
    search_fields = ("id", "session__title", "filename", "session__owner__username", "error", "error_code")
    search_help_text = "Title, file name, owner, error or id"
    actions = ("retry", "cancel", "priority_high", "priority_normal", "priority_low")
    change_form_template = "admin/jobs_app/transcriptionjob/change_form.html"

    # --- Actions ---------------------------------------------------------------------------------

    def has_repair_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs_app.change_transcriptionjob")

    @admin.action(description="Retry the selected jobs", permissions=["repair"])
    def retry(self, request: HttpRequest, queryset: QuerySet) -> None:
        def retry(job: TranscriptionJob) -> str:
            try:
                return "" if lifecycle.retry_job(job.pk) else "has not failed"
            except lifecycle.AlreadyTranscribing:
                return "belongs to a recording with another job that has not ended"

        self._repair(request, queryset, "tried again", retry)

    @admin.action(description="Cancel the selected jobs", permissions=["repair"])
    def cancel(self, request: HttpRequest, queryset: QuerySet) -> None:
        self._repair(
            request, queryset, "cancelled", lambda job: "" if lifecycle.cancel_job(job.pk) else "had ended"
        )

    @admin.action(description="Give the selected jobs high priority", permissions=["repair"])
    def priority_high(self, request: HttpRequest, queryset: QuerySet) -> None:
        self._change_priority(request, queryset, JobPriority.HIGH)

    @admin.action(description="Give the selected jobs normal priority", permissions=["repair"])
    def priority_normal(self, request: HttpRequest, queryset: QuerySet) -> None:
        self._change_priority(request, queryset, JobPriority.NORMAL)

    @admin.action(description="Give the selected jobs low priority", permissions=["repair"])
    def priority_low(self, request: HttpRequest, queryset: QuerySet) -> None:
        self._change_priority(request, queryset, JobPriority.LOW)

    def _change_priority(self, request: HttpRequest, queryset: QuerySet, priority: JobPriority) -> None:
        self._repair(
            request,
            queryset,
            f"given {priority} priority",
            lambda job: "" if lifecycle.change_priority(job.pk, priority) else "had ended",
        )

    def _repair(
        self,
        request: HttpRequest,
        queryset: QuerySet,
        done: str,
        repair: Callable[[TranscriptionJob], str],
    ) -> None:
        """Call `repair` for each job, which answers why it did nothing, and say how many were done."""
        n_done = 0
        skipped: Counter[str] = Counter()
        # Oldest first: it is the order in which they are worked on again.
        for job in list(queryset.order_by("created_at", "pk")):
            if why := repair(job):
                skipped[why] += 1
            else:
                n_done += 1
                self.log_change(request, job, done.capitalize())
        if n_done:
            self.message_user(request, f"{count(n_done, 'job')} {done}.", messages.SUCCESS)
        for why, n in skipped.items():
            self.message_user(request, f"{count(n, 'job')} skipped: {why}.", messages.WARNING)

    # --- Deleting --------------------------------------------------------------------------------

    def goes_too(self, objs: Iterable[Model]) -> dict[str, int]:
        return {
            "windows": ChunkTranscription.objects.filter(job__in=objs).count(),
            "segments": Segment.objects.filter(job__in=objs).count(),
        }

    def delete_model(self, request: HttpRequest, obj: TranscriptionJob) -> None:
        lifecycle.delete_job(obj.pk)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet) -> None:
        for job in list(queryset):
            self.delete_model(request, job)

    # --- The list --------------------------------------------------------------------------------

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return JobList

    @admin.display(ordering="session__title")
    def recording(self, job: TranscriptionJob) -> str:
        return str(job.session)

    @admin.display(ordering="session__owner__username")
    def owner(self, job: TranscriptionJob) -> str:
        return job.session.owner.get_username()

    @admin.display(description="status", ordering="status")
    def state(self, job: TranscriptionJob) -> SafeString:
        share = f" {job.progress} %" if job.status == JobStatus.PROCESSING else ""
        return badge(job.status, f"{job.status}{share}")

    @admin.display(description="engine", ordering="engine")
    def engine_and_model(self, job: TranscriptionJob) -> str:
        return f"{job.engine} · {job.model}"

    @admin.display(ordering="duration_ms")
    def audio(self, job: TranscriptionJob) -> str:
        return length(job.duration_ms)

    @admin.display(ordering=F("completed_at") - F("started_at"))
    def took(self, job: TranscriptionJob) -> str:
        return between(job.started_at, job.completed_at)

    # --- One job ---------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).select_related("session__owner")

    def get_fieldsets(self, request: HttpRequest, obj: TranscriptionJob | None = None) -> list:
        failure = [("Error", {"fields": ("error_code", "whole_error")})] if obj and obj.error_code else []
        return [
            (
                None,
                {
                    "fields": (
                        "where_it_is",
                        ("session_link", "owner_link", "filename"),
                        ("priority", "attempt"),
                    )
                },
            ),
            *failure,
            (
                "Asked for",
                {
                    "fields": (
                        ("engine", "model", "language", "translate_to"),
                        ("fallback_engine", "fallback_model", "temperature"),
                        ("with_diarization", "num_speakers", "prompt"),
                    )
                },
            ),
            (
                "Time",
                {"fields": (("created_at", "started_at", "completed_at"), ("waited", "took", "pace"))},
            ),
            ("Audio", {"fields": (("audio", "decoding"),)}),
            (
                "Result",
                {"fields": (("language_found", "confidence", "total_words", "segments_link", "timing"),)},
            ),
            (
                "Used of speech servers",
                {"fields": (("provider_requests", "provider_audio", "provider_cost"),)},
            ),
            ("Transcript", {"fields": ("transcript",), "classes": ("collapse",)}),
        ]

    @admin.display(description="status")
    def where_it_is(self, job: TranscriptionJob) -> SafeString:
        facts = []
        if job.status in JOB_ACTIVE:
            facts.append(f"{job.stage}, {job.progress} % done")
        if place := progress.queue_position(job):
            facts.append(f"number {place} in the queue")
        if (eta_s := progress.eta_seconds(job)) is not None:
            facts.append(f"about {length(eta_s * 1000)} left")
        return format_html("{} {}", badge(job.status), " · ".join(facts))

    @admin.display(description="recording")
    def session_link(self, job: TranscriptionJob) -> SafeString:
        return admin_link(job.session, str(job.session))

    @admin.display(description="owner")
    def owner_link(self, job: TranscriptionJob) -> SafeString:
        return admin_link(job.session.owner, job.session.owner.get_username())

    @admin.display(description="error")
    def whole_error(self, job: TranscriptionJob) -> SafeString:
        return format_html('<div class="whole-text">{}</div>', job.error)

    @admin.display(description="waited")
    def waited(self, job: TranscriptionJob) -> str:
        return between(job.created_at, job.started_at or job.completed_at or timezone.now())

    @admin.display(description="pace")
    def pace(self, job: TranscriptionJob) -> str:
        if job.status != JobStatus.COMPLETED or not job.duration_ms or job.started_at == job.completed_at:
            return NOTHING
        took_ms = (job.completed_at - job.started_at).total_seconds() * 1000
        return f"{job.duration_ms / took_ms:.1f} times as fast as it was spoken"

    @admin.display(description="decoding")
    def decoding(self, job: TranscriptionJob) -> SafeString | str:
        """The report without what did not happen."""
        facts = [
            (name.replace("_ms", "").replace("_", " "), length(value) if name.endswith("_ms") else value)
            for name, value in job.decode_report.items()
            if value and name != "notes"
        ]
        facts += [("note", note) for note in job.decode_report.get("notes", ())]
        return format_html_join("", "<div>{}: {}</div>", facts) or NOTHING

    @admin.display(description="language")
    def language_found(self, job: TranscriptionJob) -> str:
        return language(job)

    @admin.display()
    def confidence(self, job: TranscriptionJob) -> str:
        return per_cent(job.average_confidence)

    @admin.display(description="audio")
    def provider_audio(self, job: TranscriptionJob) -> str:
        return length(job.provider_audio_ms)

    @admin.display(description="segments")
    def segments_link(self, job: TranscriptionJob) -> SafeString | str:
        # The number in the job's own row is set when it completes.
        n = job.segments.count()
        return list_link(Segment, f"job__id__exact={job.pk}", count(n, "segment")) if n else NOTHING

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        job = context["original"]
        steps = list(job.jobsteps.all())
        windows = job.chunktranscriptions.defer("word_counts").order_by("number")
        counts = dict(windows.order_by("status").values_list("status").annotate(n=Count("pk")))
        context |= {
            "work": [
                _as_row(work)
                for work in (
                    *(step for step in steps if step.kind == StepKind.PREPARE),
                    *windows[:ROWS_ON_DETAIL_PAGE],
                    *(step for step in steps if step.kind == StepKind.FINISH),
                )
            ],
            "window_counts": counts,
            "n_windows": sum(counts.values()),
            "rows_shown": ROWS_ON_DETAIL_PAGE,
            "repairs": self._repairs(request, job),
        }
        return super().render_change_form(request, context, *args, **kwargs)

    def _repairs(self, request: HttpRequest, job: TranscriptionJob) -> list[tuple[str, str]]:
        """The actions that make sense for this job: name and text of the button."""
        if not self.has_repair_permission(request):
            return []
        if job.status == JobStatus.FAILED:
            return [("retry", "Retry")]
        if job.status not in JOB_ACTIVE:
            return []
        others = (priority for priority in JobPriority if priority != job.priority)
        return [("cancel", "Cancel"), *((f"priority_{p}", f"{p.label} priority") for p in others)]


def _as_row(work: LeasedWork) -> dict[str, Any]:
    """What the page of a job says of one unit of its work."""
    is_window = isinstance(work, ChunkTranscription)
    return {
        "link": admin_link(work, f"window {work.number}" if is_window else work.kind),
        "span": f"{length(work.start_ms)} to {length(work.end_ms)}" if is_window else "",
        "state": badge(work.status),
        "engine": f"{work.engine} · {work.model}" if is_window and work.engine else "",
        "requests": work.requests if is_window and work.requests else "",
        "attempt": work.attempt,
        "took": between(work.started_at, work.finished_at) or "",
        "worker": work.worker,
        "text": work.error or (excerpt(work.raw_text) if is_window else ""),
        "fallback_reason": work.fallback_reason if is_window else "",
        "error_code": work.error_code,
    }
