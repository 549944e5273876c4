"""Decide when a provider may be asked, over all workers of all machines: how many requests at once, how
often, and none while it is away.

A worker that takes a window of a provider locks the provider's row of `ProviderState`, so two workers never
share a slot. The rate follows the generic cell rate algorithm (ITU-T I.371) without bursts: requests are
evenly spaced. The circuit breaker opens after some outages in a row. After its pause, one window at a time
tries whether the provider is back.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Count, F, Q
from django.db.models.functions import Now

from jobs_app.models import (
    ChunkTranscription,
    JobStep,
    LeasedWork,
    ProviderState,
    StepKind,
    WorkStatus,
)
from speech.engines.providers import TRANSLATOR, Provider
from speech.errors import ProviderBusy, SpeechError

logger = logging.getLogger(__name__)

LONGEST_RETRY_AFTER_S = 24 * 3600
"""A provider that asks for a longer pause makes a mistake."""


def servers() -> dict[str, Provider]:
    """Return all providers by name: those of engines, and the translator."""
    return settings.PROVIDERS | ({TRANSLATOR: settings.TRANSLATOR} if settings.TRANSLATOR else {})


def server_of(work: LeasedWork) -> str:
    """Return the name of the provider that this work asks; empty for work of this machine."""
    if isinstance(work, ChunkTranscription):
        return work.engine if work.engine in settings.PROVIDERS else ""
    return TRANSLATOR if settings.TRANSLATOR and is_translation(work) else ""


def is_translation(work: LeasedWork) -> bool:
    return isinstance(work, JobStep) and work.kind == StepKind.TRANSLATE


def admitting(*, within_s: float = 0) -> list[str]:
    """Return the providers that would take work now, or within the next `within_s` seconds."""
    if not servers():
        return []
    running = running_at(servers())
    states = {state.name: state for state in _states()}
    soon = timedelta(seconds=within_s)
    return [
        name
        for name, provider in servers().items()
        if _admits(provider, states.get(name), running.get(name, 0), soon)
    ]


def down() -> dict[str, str]:
    """Return the providers whose circuit breaker is open, each with its last error."""
    states = ProviderState.objects.filter(name__in=settings.PROVIDERS, down_since__isnull=False)
    return dict(states.values_list("name", "last_error"))


def admit(name: str) -> bool:
    """Whether work of this provider may be taken now. If so, its place in the rate is taken.

    Call it in the transaction that takes the work, so that both are rolled back together.
    """
    provider = servers().get(name)
    if provider is None:
        return False
    state = _locked(name)
    if not _admits(provider, state, running_at([name]).get(name, 0)):
        return False
    _space_out(state, provider, requests=1)
    return True


def _admits(
    provider: Provider, state: ProviderState | None, running: int, soon: timedelta = timedelta()
) -> bool:
    if state is None:
        return running < provider.concurrency
    moments = [state.paused_until]
    if provider.requests_per_minute:
        moments.append(state.next_request_at)
    if any(moment is not None and moment > state.now + soon for moment in moments):
        return False
    return running < (1 if state.down_since else provider.concurrency)


def running_at(names: Iterable[str]) -> dict[str, int]:
    """Return how many units of work of these providers run, by provider; none for those without any."""
    names = list(names)
    windows = ChunkTranscription.objects.filter(status=WorkStatus.RUNNING, engine__in=names)
    running = dict(windows.order_by().values_list("engine").annotate(Count("pk")))
    if TRANSLATOR in names:
        steps = JobStep.objects.filter(status=WorkStatus.RUNNING, kind=StepKind.TRANSLATE)
        running[TRANSLATOR] = steps.count()
    return running


def _space_out(state: ProviderState, provider: Provider, *, requests: int) -> None:
    if provider.requests_per_minute:
        earliest = max(state.next_request_at or state.now, state.now)
        state.next_request_at = earliest + requests * timedelta(minutes=1) / provider.requests_per_minute
        state.save(update_fields=["next_request_at"])


# --- After a request -----------------------------------------------------------------------------


def note_answer(work: LeasedWork, requests: int, error: SpeechError | None = None) -> None:
    """Note whether the provider that `work` asks works, for all who use it; without one, nothing.

    This comes before the release of the work and its slot.
    """
    if name := server_of(work):
        note_requests(name, requests)
        if error is not None:
            note_failure(name, error)
        elif requests:
            # A window without speech sends no request, so it does not prove that the provider works.
            note_success(name)


def note_success(name: str) -> None:
    """Note that the provider gave a transcript, so it is not down. A pause that it asked for continues."""
    troubled = ProviderState.objects.filter(Q(failures__gt=0) | Q(down_since__isnull=False), name=name)
    if not troubled.exists():
        return
    with transaction.atomic():
        state = _locked(name)
        was_down, state.failures, state.down_since = state.down_since, 0, None
        state.save(update_fields=["failures", "down_since"])
    if was_down is not None:
        logger.info("The provider %s is back; it was away since %s", name, was_down)


def note_failure(name: str, error: SpeechError) -> None:
    """Note that the provider gave no transcript. Only outages count, and none that comes during a pause."""
    if not error.outage or name not in servers():
        return
    with transaction.atomic():
        state = _locked(name)
        now, was_down = state.now, state.down_since
        pause_s = min(error.retry_after_s or 0.0, LONGEST_RETRY_AFTER_S)
        if state.paused_until is None or state.paused_until <= now:
            state.failures += 1
            # The pauses of an open breaker double from the failure that opened it.
            beyond = state.failures - settings.PROVIDER_FAILURES
            if isinstance(error, ProviderBusy):
                pause_s = pause_s or _pause_s(state.failures - 1)
            if beyond >= 0 or pause_s > settings.PROVIDER_PAUSE_MAX_S:
                state.down_since = state.down_since or now
                pause_s = max(pause_s, _pause_s(max(beyond, 0)))
        state.paused_until = max(state.paused_until or now, now + timedelta(seconds=pause_s))
        state.last_error_code, state.last_error, state.last_error_at = error.code, error.why, now
        # The row is locked, so nothing from another worker is lost.
        state.save()
    if was_down is None and state.down_since is not None:
        logger.warning(
            "The provider %s is away and gets no requests for %.0f s: %s", name, pause_s, state.last_error
        )


@transaction.atomic
def note_requests(name: str, requests: int) -> None:
    """Count the requests for one unit of work.

    Its place in the rate is for one request; further ones take more places.
    """
    provider = servers().get(name)
    if provider is None or not requests:
        return
    state = _locked(name)
    ProviderState.objects.filter(name=name).update(requests=F("requests") + requests)
    if requests > 1:
        _space_out(state, provider, requests=requests - 1)


def excuses(work: LeasedWork, error: SpeechError) -> bool:
    """Whether a failed run is not the fault of its work, and so does not count as one of its attempts.

    A provider that is busy or down excuses the work for PROVIDER_PATIENCE_S. An outage of a provider that
    is not down may be the work's fault: what a provider never answers in time must not be tried for ever.
    """
    if not error.outage or not (isinstance(work, ChunkTranscription) or is_translation(work)):
        return False
    patient = Now() - timedelta(seconds=settings.PROVIDER_PATIENCE_S)
    rows = type(work)._default_manager.filter(pk=work.pk)
    if not rows.filter(Q(outage_since=None) | Q(outage_since__gt=patient)).exists():
        return False
    if isinstance(error, ProviderBusy):
        return bool(server_of(work))
    name = work.engine if isinstance(work, ChunkTranscription) else TRANSLATOR
    return ProviderState.objects.filter(name=name, down_since__gt=patient).exists()


def _pause_s(doublings: int) -> float:
    longest = min(settings.PROVIDER_PAUSE_S * 2**doublings, settings.PROVIDER_PAUSE_MAX_S)
    return float(longest * random.uniform(0.8, 1.2))  # noqa: S311  not a secret


_NOW = {"now": Now()}  # by a name that the model declares


def _states() -> list[ProviderState]:
    return list(ProviderState.objects.annotate(**_NOW))


def _locked(name: str) -> ProviderState:
    ProviderState.objects.get_or_create(name=name)
    # The database's clock is read after the lock, so that it includes the time of waiting.
    ProviderState.objects.select_for_update().get(name=name)
    return ProviderState.objects.annotate(**_NOW).get(name=name)
