"""The REST API of the history of jobs and of their totals."""

from __future__ import annotations

from datetime import datetime, time, timedelta

from django.db.models import Count, DurationField, ExpressionWrapper, F, Q, QuerySet, Sum, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce, NullIf, TruncDate
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from jobs_app.api.jobs import ReadJobs
from jobs_app.models import JobStatus, TranscriptionJob, TranscriptionJobQuerySet

DAYS = 30


class DayOutput(serializers.Serializer[None]):
    date = serializers.DateField()
    jobs = serializers.IntegerField(help_text="Created on that day.")
    audio_seconds = serializers.FloatField(help_text="Of those of them that are completed.")


class SummaryOutput(serializers.Serializer[dict[str, object]]):
    total = serializers.IntegerField()
    by_status = serializers.DictField(
        child=serializers.IntegerField(), help_text="Every status, also with 0."
    )
    total_audio_seconds = serializers.FloatField(
        help_text="Of completed jobs, like all that follows but counts."
    )
    total_words = serializers.IntegerField()
    average_processing_seconds = serializers.FloatField(
        allow_null=True, help_text="From a worker's taking the job to its end."
    )
    average_real_time_factor = serializers.FloatField(
        allow_null=True, help_text="Seconds of processing for a second of audio."
    )
    by_engine = serializers.DictField(child=serializers.IntegerField())
    by_language = serializers.DictField(
        child=serializers.IntegerField(), help_text="Jobs whose language is known, asked for or found out."
    )
    last_30_days = DayOutput(many=True, help_text="Every day, oldest first; today is the last.")


def seconds(ms: int | None) -> float:
    return (ms or 0) / 1000


def summary(jobs: TranscriptionJobQuerySet) -> dict[str, object]:
    """Return the values of SummaryOutput, without refinements. Days are those of the current time zone.

    It costs five queries, however many jobs there are.
    """
    jobs = jobs.runs().order_by().select_related(None)
    completed = Q(status=JobStatus.COMPLETED)
    timed = completed & Q(started_at__isnull=False)
    took = ExpressionWrapper(F("ended_at") - F("started_at"), output_field=DurationField())
    n = jobs.aggregate(
        total=Count("pk"),
        audio_ms=Sum("sound__duration_ms", filter=completed),
        words=Sum("transcript__total_words", filter=completed),
        timed=Count("pk", filter=timed),
        took=Sum(took, filter=timed),
        timed_audio_ms=Sum("sound__duration_ms", filter=timed),
    )
    took_s = n["took"].total_seconds() if n["took"] is not None else 0
    return {
        "total": n["total"],
        "by_status": dict.fromkeys(JobStatus.values, 0) | counts(jobs, F("status")),
        "total_audio_seconds": seconds(n["audio_ms"]),
        "total_words": n["words"] or 0,
        "average_processing_seconds": took_s / n["timed"] if n["timed"] else None,
        # This divides sums, so that a short recording counts only as much as the time that it took.
        "average_real_time_factor": took_s / seconds(n["timed_audio_ms"]) if n["timed_audio_ms"] else None,
        "by_engine": counts(jobs, F("engine")),
        "by_language": counts(
            jobs,
            Coalesce(NullIf(F("transcript__detected_language"), Value("")), NullIf(F("language"), Value(""))),
        ),
        "last_30_days": last_days(jobs),
    }


def counts(jobs: QuerySet[TranscriptionJob], key: Combinable) -> dict[str, int]:
    """Return how many jobs there are for each value of `key`, highest number first."""
    rows = jobs.annotate(key=key).exclude(key=None).values_list("key").annotate(n=Count("pk"))
    return dict(rows.order_by("-n", "key"))


def last_days(jobs: QuerySet[TranscriptionJob]) -> list[dict[str, object]]:
    """Return one row for each of the last DAYS days, oldest first. Days without jobs have one, too."""
    zone = timezone.get_current_timezone()
    days = [timezone.localdate() - timedelta(days=ago) for ago in reversed(range(DAYS))]
    rows = (
        jobs.filter(created_at__gte=datetime.combine(days[0], time.min, zone))
        .annotate(day=TruncDate("created_at", tzinfo=zone))
        .values("day")
        .annotate(n=Count("pk"), audio_ms=Sum("sound__duration_ms", filter=Q(status=JobStatus.COMPLETED)))
    )
    found = {row["day"]: row for row in rows}
    return [
        {
            "date": day,
            "jobs": found[day]["n"] if day in found else 0,
            "audio_seconds": seconds(found[day]["audio_ms"]) if day in found else 0.0,
        }
        for day in days
    ]


class HistoryViewSet(ReadJobs):
    @extend_schema(
        summary="What the jobs add up to",
        description="Those of the kind `run`.",
        filters=False,
        responses={200: SummaryOutput},
    )
    @action(detail=False, url_path="stats/summary", pagination_class=None)
    def stats(self, request: Request) -> Response:
        return Response(SummaryOutput(summary(self.get_queryset())).data)
