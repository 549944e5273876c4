"""When a provider may be asked, over all workers of all machines: how many at once, how often, and not while
it is away.

Its row of `ProviderState` is locked by whoever takes a window of it, so two workers never share a slot.
The rate is the generic cell rate algorithm (ITU-T I.371) without bursts: requests are evenly spaced. The
circuit breaker opens after some outages in a row; the pause over, one window at a time tries whether the
provider is back.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Count, F, Q
from django.db.models.functions import Now

from jobs_app.models import ChunkTranscription, ProviderState, WorkStatus
from speech.engines.providers import Provider
from speech.errors import ProviderBusy, SpeechError

logger = logging.getLogger(__name__)

LONGEST_RETRY_AFTER_S = 24 * 3600
"""What a provider asks for beyond this is a mistake."""


def admitting(*, within_s: float = 0) -> list[str]:
    """The providers that would take a window now, or before `within_s` have passed."""
    if not settings.PROVIDERS:
        return []
    running = _running(settings.PROVIDERS)
    states = {state.name: state for state in _states()}
    soon = timedelta(seconds=within_s)
    return [
        name
        for name, provider in settings.PROVIDERS.items()
        if _admits(provider, states.get(name), running.get(name, 0), soon)
    ]


def down() -> dict[str, str]:
    """The providers whose circuit breaker is open, each with its last error."""
    states = ProviderState.objects.filter(name__in=settings.PROVIDERS, down_since__isnull=False)
    return dict(states.values_list("name", "last_error"))


def admit(name: str) -> bool:
    """Whether a window of this provider may be taken now. If so, its place in the rate is taken.

    To be called in the transaction that takes the window, and rolled back with it.
    """
    provider = settings.PROVIDERS.get(name)
    if provider is None:
        return False
    state = _locked(name)
    if not _admits(provider, state, _running([name]).get(name, 0)):
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
    if any(moment is not None and moment > _now(state) + soon for moment in moments):
        return False
    return running < (1 if state.down_since else provider.concurrency)


def _running(names: Iterable[str]) -> dict[str, int]:
    windows = ChunkTranscription.objects.filter(status=WorkStatus.RUNNING, engine__in=list(names))
    return dict(windows.order_by().values_list("engine").annotate(Count("pk")))


def _space_out(state: ProviderState, provider: Provider, *, requests: int) -> None:
    if provider.requests_per_minute:
        earliest = max(state.next_request_at or _now(state), _now(state))
        state.next_request_at = earliest + requests * timedelta(minutes=1) / provider.requests_per_minute
        state.save(update_fields=["next_request_at"])


# --- What came of it -----------------------------------------------------------------------------


def note_success(name: str) -> None:
    """The provider gave a transcript: it is not down. A pause that it asked for goes on."""
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
    """The provider gave no transcript. Only an outage speaks against it, and none from before its pause."""
    if not error.outage or name not in settings.PROVIDERS:
        return
    with transaction.atomic():
        state = _locked(name)
        now, was_down = _now(state), state.down_since
        pause_s = min(error.retry_after_s or 0.0, LONGEST_RETRY_AFTER_S)
        if state.paused_until is None or state.paused_until <= now:
            state.failures += 1
            # The pauses of an open breaker are doubled from the failure that opened it.
            beyond = state.failures - settings.PROVIDER_FAILURES
            if isinstance(error, ProviderBusy):
                pause_s = pause_s or _pause_s(state.failures - 1)
            if beyond >= 0 or pause_s > settings.PROVIDER_PAUSE_MAX_S:
                state.down_since = state.down_since or now
                pause_s = max(pause_s, _pause_s(max(beyond, 0)))
        state.paused_until = max(state.paused_until or now, now + timedelta(seconds=pause_s))
        state.last_error_code, state.last_error, state.last_error_at = error.code, error.why, now
        # Under its lock, so nothing of another worker is lost.
        state.save()
    if was_down is None and state.down_since is not None:
        logger.warning(
            "The provider %s is away and gets no requests for %.0f s: %s", name, pause_s, state.last_error
        )


@transaction.atomic
def note_requests(name: str, requests: int) -> None:
    """Count what was sent for a window. Its place in the rate is for one request; further ones take more."""
    provider = settings.PROVIDERS.get(name)
    if provider is None or not requests:
        return
    state = _locked(name)
    ProviderState.objects.filter(name=name).update(requests=F("requests") + requests)
    if requests > 1:
        _space_out(state, provider, requests=requests - 1)


def excuses(window: ChunkTranscription, error: SpeechError) -> bool:
    """Whether a failed run is no fault of its window, which then does not count as one of its attempts.

    A provider that is busy or down excuses for PROVIDER_PATIENCE_S. An outage while it is not down may well
    be the window's fault: one that a provider never answers in time must not go round for ever.
    """
    if not error.outage:
        return False
    patient = Now() - timedelta(seconds=settings.PROVIDER_PATIENCE_S)
    rows = ChunkTranscription.objects.filter(pk=window.pk)
    if not rows.filter(Q(outage_since=None) | Q(outage_since__gt=patient)).exists():
        return False
    if isinstance(error, ProviderBusy):
        return window.engine in settings.PROVIDERS
    return ProviderState.objects.filter(name=window.engine, down_since__gt=patient).exists()


def _pause_s(doublings: int) -> float:
    longest = min(settings.PROVIDER_PAUSE_S * 2**doublings, settings.PROVIDER_PAUSE_MAX_S)
    return float(longest * random.uniform(0.8, 1.2))  # noqa: S311  not a secret


def _states() -> list[ProviderState]:
    return list(ProviderState.objects.annotate(now=Now()))


def _locked(name: str) -> ProviderState:
    ProviderState.objects.get_or_create(name=name)
    # Its clock is read after the lock: what was waited for it has passed.
    ProviderState.objects.select_for_update().get(name=name)
    return ProviderState.objects.annotate(now=Now()).get(name=name)


def _now(state: ProviderState) -> datetime:
    """By the database's clock, when the row was read."""
    return state.now  # type: ignore[attr-defined,no-any-return]  annotated
