"""The admin pages of speech servers. They show whether the servers answer, and can end a pause early."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils.safestring import SafeString

from jobs_app.engines.providers import servers
from jobs_app.leases import queue
from jobs_app.models import ChunkTranscription, JobStep, LeasedWork, ProviderState, StepKind, WorkStatus
from jobs_app.watching.overview import provider_states
from people_app.staff.badges import NOTHING, badge, count
from people_app.staff.read_only import ReadOnlyAdmin
from speech.engines.providers import TRANSLATOR


@transaction.atomic
def end_pause(name: str) -> bool:
    """End a provider's pause now, as if its time were over. Return False if the provider has no pause.

    While the provider is down, it still gets only one window at a time.
    """
    paused = ProviderState.objects.filter(name=name, paused_until__gt=Now())
    if not paused.update(paused_until=None):
        return False
    asks_it: dict[type[LeasedWork], Q] = {
        ChunkTranscription: Q(engine=name),
        JobStep: Q(kind=StepKind.TRANSLATE) if name == TRANSLATOR else Q(pk=None),
    }
    for model, asking in asks_it.items():
        put_off = model._default_manager.filter(asking, status=WorkStatus.WAITING, not_before__gt=Now())
        put_off.update(not_before=Now())
    queue.wake_on_commit()
    return True


@admin.register(ProviderState)
class ProviderStateAdmin(ReadOnlyAdmin):
    list_display = ("name", "state", "host", "failures", "down_since", "paused_until", "last_error_at", "why")
    fields = (
        "name",
        "host",
        "state",
        "failures",
        "down_since",
        "paused_until",
        "next_request_at",
        "last_error_at",
        "last_error_code",
        "last_error",
    )
    search_fields = ("name",)
    actions = ("try_again_now",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ProviderState]:
        return provider_states()

    def has_repair_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs_app.change_providerstate")

    @admin.action(description="Try again now", permissions=["repair"])
    def try_again_now(self, request: HttpRequest, queryset: QuerySet[ProviderState]) -> None:
        names = list(queryset.values_list("name", flat=True))
        ended = sum(end_pause(name) for name in names)
        if ended:
            self.message_user(request, f"{count(ended, 'provider')} will be tried now.", messages.SUCCESS)
        if skipped := len(names) - ended:
            self.message_user(request, f"{count(skipped, 'provider')} skipped: not paused.", messages.WARNING)

    @admin.display(description="requests")
    def state(self, state: ProviderState) -> SafeString:
        """Return the state of the provider's circuit breaker, for people."""
        if state.name not in servers():
            return badge("cancelled", "not in the settings")
        if state.is_paused:
            return badge("failed", "paused")
        if state.down_since:
            return badge("pending", "one at a time")
        return badge("done", "working")

    @admin.display(description="sends to")
    def host(self, state: ProviderState) -> str:
        provider = servers().get(state.name)
        return provider.host if provider else NOTHING

    @admin.display(description="last error")
    def why(self, state: ProviderState) -> str:
        return state.last_error or NOTHING
