"""The admin pages of jobs.

Staff watch jobs here, and repair them with the same functions that all others use.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, F, Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from jobs_app.admin.filters import Attempts, Ended, ErrorCodes, ProcessingTime, Values, audio_length
from jobs_app.admin.heard import language, translation
from jobs_app.admin.sound import what_decoding_met
from jobs_app.lifecycle.choices import cancel_job, change_priority, delete_job, retry_job
from jobs_app.models import (
    JOB_ACTIVE,
    ChunkTranscription,
    JobPriority,
    JobStatus,
    JobStep,
    SpeakersState,
    StepKind,
    TranscriptionJob,
)
from jobs_app.models.options import all_options
from jobs_app.models.transcripts import Segment
from jobs_app.work import progress
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
from people_app.staff.read_only import ROWS_ON_DETAIL_PAGE, CountedDeletion, OfOwners
from people_app.tokens import person
from rest.refusals import WrongState

AT_THE_END = (StepKind.SPEAKERS, StepKind.TRANSLATE, StepKind.FINISH)


@admin.register(TranscriptionJob)
class TranscriptionJobAdmin(OfOwners, CountedDeletion):
    deletable = True
    list_display = (
        "recording",
        "state",
        "kind",
        "owner_alone",
        "error_code",
        "engine_and_model",
        "audio",
        "speakers",
        "took",
        "attempt",
        "priority",
        "created_at",
    )
    list_filter = (
        "status",
        "kind",
        Ended,
        ("error_code", ErrorCodes),
        ("session__source", admin.ChoicesFieldListFilter),
        ("engine", Values),
        ("model", Values),
        ("transcript__detected_language", Values),
        "transcript__speakers_state",
        "priority",
        Attempts,
        audio_length("sound__duration_ms"),
        ProcessingTime,
        "created_at",
    )
    # Transcripts are not searched, because that would read everything that anybody has ever said.
    search_fields = ("id", "session__title", "filename", "owner__username", "error", "error_code")
    search_help_text = "Title, file name, owner, error or id"
    actions = ("retry", "cancel", "priority_high", "priority_normal", "priority_low")
    change_form_template = "admin/jobs_app/transcriptionjob/change_form.html"

    # --- Actions ---------------------------------------------------------------------------------

    def has_repair_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs_app.change_transcriptionjob")

    @admin.action(description="Retry the selected jobs", permissions=["repair"])
    def retry(self, request: HttpRequest, queryset: QuerySet[TranscriptionJob]) -> None:
        def retry(job: TranscriptionJob) -> str:
            try:
                return "" if retry_job(job.pk) else "has not failed"
            except WrongState:
                return "belongs to a recording with another job that has not ended"

        self._repair(request, queryset, "tried again", retry)

    @admin.action(description="Cancel the selected jobs", permissions=["repair"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[TranscriptionJob]) -> None:
        self._repair(request, queryset, "cancelled", lambda job: "" if cancel_job(job.pk) else "had ended")

    @admin.action(description="Give the selected jobs high priority", permissions=["repair"])
    def priority_high(self, request: HttpRequest, queryset: QuerySet[TranscriptionJob]) -> None:
        self._change_priority(request, queryset, JobPriority.HIGH)

    @admin.action(description="Give the selected jobs normal priority", permissions=["repair"])
    def priority_normal(self, request: HttpRequest, queryset: QuerySet[TranscriptionJob]) -> None:
        self._change_priority(request, queryset, JobPriority.NORMAL)

    @admin.action(description="Give the selected jobs low priority", permissions=["repair"])
    def priority_low(self, request: HttpRequest, queryset: QuerySet[TranscriptionJob]) -> None:
        self._change_priority(request, queryset, JobPriority.LOW)

    def _change_priority(
        self, request: HttpRequest, queryset: QuerySet[TranscriptionJob], priority: JobPriority
    ) -> None:
        by = person(request)
        self._repair(
            request,
            queryset,
            f"given {priority} priority",
            lambda job: "" if change_priority(job.pk, priority, by=by) else "had ended",
        )

    def _repair(
        self,
        request: HttpRequest,
        queryset: QuerySet[TranscriptionJob],
        done: str,
        repair: Callable[[TranscriptionJob], str],
    ) -> None:
        """Call `repair` for each job, and tell the user how many were done.

        `repair` returns why it did nothing, or "".
        """
        n_done = 0
        skipped: Counter[str] = Counter()
        # The oldest come first, because the jobs are worked on in this order.
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
        ids = [job.pk for job in objs]
        return {
            "windows": ChunkTranscription.objects.filter(job__in=ids).count(),
            "segments": Segment.objects.filter(job__in=ids).count(),
        }

    def delete_model(self, request: HttpRequest, obj: TranscriptionJob) -> None:
        delete_job(obj.pk)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[TranscriptionJob]) -> None:
        for job in list(queryset):
            self.delete_model(request, job)

    # --- The list --------------------------------------------------------------------------------

    @admin.display(ordering="session__title")
    def recording(self, job: TranscriptionJob) -> str:
        return str(job.session)

    @admin.display(description="status", ordering="status")
    def state(self, job: TranscriptionJob) -> SafeString:
        share = f" {job.progress} %" if job.status == JobStatus.PROCESSING else ""
        return badge(job.status, f"{job.status}{share}")

    @admin.display(description="engine", ordering="engine")
    def engine_and_model(self, job: TranscriptionJob) -> str:
        return f"{job.engine} · {job.model}"

    @admin.display(ordering="sound__duration_ms")
    def audio(self, job: TranscriptionJob) -> str:
        return length(job.duration_ms)

    @admin.display(ordering="transcript__n_speakers")
    def speakers(self, job: TranscriptionJob) -> str:
        state = job.transcript.speakers_state
        if state in ("", SpeakersState.FAILED):
            return state or NOTHING
        return f"{job.transcript.n_speakers}{', unsure' if state == SpeakersState.UNSURE else ''}"

    @admin.display(description="who speaks")
    def who(self, job: TranscriptionJob) -> str:
        # Names are what people wrote, as titles are; voices themselves are shown to nobody.
        people = job.speakers.filter(merged_into=None)
        return ", ".join(f"{one.shown_name} ({length(one.speaking_ms)})" for one in people) or NOTHING

    @admin.display(ordering=F("ended_at") - F("started_at"))
    def took(self, job: TranscriptionJob) -> str:
        return between(job.started_at, job.ended_at)

    # --- One job ---------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[TranscriptionJob]:
        return super().get_queryset(request).select_related("session", "owner", "sound", "transcript")

    def get_fieldsets(self, request: HttpRequest, obj: TranscriptionJob | None = None) -> list:
        failure = [("Error", {"fields": ("error_code", "whole_error")})] if obj and obj.error_code else []
        return [
            (
                None,
                {
                    "fields": (
                        "where_it_is",
                        ("session_link", "owner_link", "filename"),
                        ("kind", "priority", "attempt"),
                    )
                },
            ),
            *failure,
            (
                "Asked for",
                {"fields": ("asked_for",)},
            ),
            (
                "Time",
                {"fields": (("created_at", "started_at", "ended_at"), ("waited", "took", "pace"))},
            ),
            ("Audio", {"fields": (("audio", "decoding", "sound_link"),)}),
            (
                "Result",
                {
                    "fields": (
                        ("language_found", "translation", "confidence", "words", "segments_link", "timing"),
                        ("speakers", "who"),
                    )
                },
            ),
            (
                "Used of speech servers",
                {"fields": (("provider_requests", "provider_audio", "translator_tokens", "provider_cost"),)},
            ),
            ("Transcript", {"fields": ("text",), "classes": ("collapse",)}),
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
        return admin_link(job.owner, job.owner.get_username())

    @admin.display(description="error")
    def whole_error(self, job: TranscriptionJob) -> SafeString:
        return format_html('<div class="whole-text">{}</div>', job.error)

    @admin.display(description="options")
    def asked_for(self, job: TranscriptionJob) -> SafeString:
        asked = job.options
        values = [(row.label, getattr(asked, row.name)) for row in all_options()]
        shown = [(label, NOTHING if value in ("", None) else value) for label, value in values]
        return format_html_join("", '<div class="whole-text">{}: {}</div>', shown)

    @admin.display(description="waited")
    def waited(self, job: TranscriptionJob) -> str:
        return between(job.created_at, job.started_at or job.ended_at or timezone.now())

    @admin.display(description="pace")
    def pace(self, job: TranscriptionJob) -> str:
        if job.status != JobStatus.COMPLETED or not job.duration_ms:
            return NOTHING
        if job.started_at is None or job.ended_at is None or job.started_at == job.ended_at:
            return NOTHING
        took_ms = (job.ended_at - job.started_at).total_seconds() * 1000
        return f"{job.duration_ms / took_ms:.1f} times as fast as it was spoken"

    @admin.display(description="decoding")
    def decoding(self, job: TranscriptionJob) -> SafeString | str:
        return what_decoding_met(job.sound)

    @admin.display(description="sound")
    def sound_link(self, job: TranscriptionJob) -> SafeString:
        return admin_link(job.sound, "its timeline")

    @admin.display(description="language")
    def language_found(self, job: TranscriptionJob) -> str:
        return language(job.transcript)

    @admin.display()
    def confidence(self, job: TranscriptionJob) -> str:
        return per_cent(job.transcript.average_confidence)

    @admin.display()
    def words(self, job: TranscriptionJob) -> int:
        return job.transcript.total_words

    @admin.display()
    def translation(self, job: TranscriptionJob) -> str:
        return translation(job) or NOTHING

    @admin.display()
    def timing(self, job: TranscriptionJob) -> str:
        return job.transcript.timing or NOTHING

    @admin.display(description="transcript")
    def text(self, job: TranscriptionJob) -> str:
        return job.transcript.text or NOTHING

    @admin.display(description="audio")
    def provider_audio(self, job: TranscriptionJob) -> str:
        return length(job.provider_audio_ms)

    @admin.display(description="segments")
    def segments_link(self, job: TranscriptionJob) -> SafeString | str:
        # The segments are counted here, because the number in the transcript is set only when the job
        # completes.
        n = job.segments.count()
        return list_link(Segment, f"job__id__exact={job.pk}", count(n, "segment")) if n else NOTHING

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        job = context["original"]
        steps = list(job.steps.all())
        windows = job.windows.order_by("number")
        counts = dict(windows.order_by("status").values_list("status").annotate(n=Count("pk")))
        context |= {
            "work": [
                _as_row(work)
                for work in (
                    *(step for step in steps if step.kind in (StepKind.PREPARE, StepKind.LIVE)),
                    *windows[:ROWS_ON_DETAIL_PAGE],
                    *(step for step in steps if step.kind in AT_THE_END),
                )
            ],
            "window_counts": counts,
            "n_windows": sum(counts.values()),
            "rows_shown": ROWS_ON_DETAIL_PAGE,
            "repairs": self._repairs(request, job),
        }
        return super().render_change_form(request, context, *args, **kwargs)

    def _repairs(self, request: HttpRequest, job: TranscriptionJob) -> list[tuple[str, str]]:
        """Return the actions that make sense for this job, each with the name and the text of its button."""
        if not self.has_repair_permission(request):
            return []
        if job.status == JobStatus.FAILED:
            return [("retry", "Retry")]
        if job.status not in JOB_ACTIVE:
            return []
        others = (priority for priority in JobPriority if priority != job.priority)
        return [("cancel", "Cancel"), *((f"priority_{p}", f"{p.label} priority") for p in others)]


def _as_row(work: ChunkTranscription | JobStep) -> dict[str, object]:
    """Return what the page of a job shows about one unit of its work."""
    window = work if isinstance(work, ChunkTranscription) else None
    return {
        "link": admin_link(
            work, f"window {work.number}" if isinstance(work, ChunkTranscription) else work.kind
        ),
        "span": f"{length(window.start_ms)} to {length(window.end_ms)}" if window else "",
        "state": badge(work.status),
        "engine": f"{window.engine} · {window.model}" if window and window.engine else "",
        "requests": (window and window.requests) or "",
        "attempt": work.attempt,
        "took": between(work.started_at, work.finished_at) or "",
        "worker": work.worker,
        "text": work.error or (excerpt(window.raw_text) if window else ""),
        "fallback_reason": window.fallback_reason if window else "",
        "error_code": work.error_code,
    }
