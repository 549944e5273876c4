"""The state of the queue and its workers in a few numbers, for the people who run the server."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import (
    BooleanField,
    Count,
    Exists,
    ExpressionWrapper,
    F,
    Min,
    OuterRef,
    Q,
    QuerySet,
    Sum,
)
from django.db.models.functions import Now

from jobs_app.engines.providers import running_at, servers
from jobs_app.models import (
    JobKind,
    JobStatus,
    LiveHost,
    ProviderState,
    Runner,
    TranscriptionJob,
)
from speech.engines.providers import Provider

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ProviderOverview:
    """A speech server of the settings.

    `running` is the number of windows about which it is being asked. `state` is None before its first
    request; if there is one, it has `is_paused`.
    """

    provider: Provider
    running: int
    state: ProviderState | None

    @property
    def is_paused(self) -> bool:
        return self.state is not None and self.state.is_paused


@dataclass(frozen=True, slots=True)
class Overview:
    """The numbers about all jobs, workers and providers.

    `audio_left_ms` is the audio of waiting jobs and the rest of running ones. It counts nothing for the jobs
    in `unknown_length`. `failures` counts the failed jobs of the last day by error code. `completed` and
    `completed_ms` are of the last day, too. Refinements come after all other work, so the other numbers leave
    them out, but for `failures`; `refinements` counts those that have not ended.
    """

    waiting: int
    processing: int
    audio_left_ms: int
    unknown_length: int
    oldest_waiting_at: datetime | None
    refinements: int
    alive_workers: int
    runners: list[Runner]
    failures: dict[str, int]
    completed: int
    completed_ms: int
    providers: list[ProviderOverview]

    @property
    def queued(self) -> int:
        """How many jobs have not ended, without refinements."""
        return self.waiting + self.processing

    @property
    def failed(self) -> int:
        return sum(self.failures.values())

    @property
    def stuck(self) -> bool:
        return bool((self.queued or self.refinements) and not self.alive_workers)


def runners() -> QuerySet[Runner]:
    """Return all job runners that have reported lately, each with `is_alive`."""
    alive = Runner.objects.alive().filter(pk=OuterRef("pk"))
    columns = {"is_alive": Exists(alive)}  # by a name that the model declares
    return Runner.objects.annotate(**columns).order_by("name")


def live_hosts() -> QuerySet[LiveHost]:
    """Return all live hosts that have reported lately, each with `is_alive`."""
    alive = LiveHost.objects.alive().filter(pk=OuterRef("pk"))
    columns = {"is_alive": Exists(alive)}  # by a name that the model declares
    return LiveHost.objects.annotate(**columns).order_by("name")


def provider_states() -> QuerySet[ProviderState]:
    """Return the stored states of providers, each with `is_paused`."""
    paused = ExpressionWrapper(Q(paused_until__isnull=False, paused_until__gt=Now()), BooleanField())
    columns = {"is_paused": paused}  # by a name that the model declares
    return ProviderState.objects.annotate(**columns).order_by("name")


def provider_overview() -> list[ProviderOverview]:
    """Return the overview of the providers in the settings.

    This costs two queries; none if there is no provider.
    """
    if not servers():
        return []
    states = {state.name: state for state in provider_states()}
    running = running_at(servers())
    return [
        ProviderOverview(provider, running.get(name, 0), states.get(name))
        for name, provider in servers().items()
    ]


def overview() -> Overview:
    """Return the overview. This costs three queries, and two more if there are providers."""
    run = Q(kind=JobKind.RUN)
    waiting = run & Q(status=JobStatus.PENDING)
    active = TranscriptionJob.objects.active().aggregate(
        waiting=Count("pk", filter=waiting),
        processing=Count("pk", filter=run & ~Q(status=JobStatus.PENDING)),
        audio_left_ms=Sum(F("sound__duration_ms") * (100 - F("progress")) / 100, filter=run),
        unknown_length=Count("pk", filter=run & Q(sound__duration_ms=None)),
        oldest_waiting_at=Min("created_at", filter=waiting),
        refinements=Count("pk", filter=~run),
    )
    ended = (
        TranscriptionJob.objects.filter(ended_at__gt=Now() - DAY)
        .order_by()
        .values("kind", "status", "error_code")
        .annotate(n=Count("pk"), audio_ms=Sum("sound__duration_ms"))
    )
    failures: Counter[str] = Counter()
    completed = completed_ms = 0
    for row in ended:
        if row["status"] == JobStatus.FAILED:
            failures[row["error_code"]] += row["n"]
        elif row["status"] == JobStatus.COMPLETED and row["kind"] == JobKind.RUN:
            completed += row["n"]
            completed_ms += row["audio_ms"] or 0

    all_runners = list(runners())
    return Overview(
        waiting=active["waiting"],
        processing=active["processing"],
        audio_left_ms=active["audio_left_ms"] or 0,
        unknown_length=active["unknown_length"],
        oldest_waiting_at=active["oldest_waiting_at"],
        refinements=active["refinements"],
        alive_workers=sum(runner.workers for runner in all_runners if runner.is_alive),
        runners=all_runners,
        failures=dict(failures.most_common()),
        completed=completed,
        completed_ms=completed_ms,
        providers=provider_overview(),
    )
