"""The speech servers in the admin: whether they answer, and a way to ask again before a pause is over."""

from __future__ import annotations

from django.conf import settings
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils.safestring import SafeString

from jobs_app import queue
from jobs_app.models import ChunkTranscription, ProviderState, WorkStatus
from jobs_app.overview import provider_states
from jobs_app.read_only import NOTHING, ReadOnlyAdmin, badge, count


@transaction.atomic
def end_pause(name: str) -> bool:
    """Let the provider be asked now, as when its pause is over; False where it has none.

    While it is down, one window at a time still is all that it gets.
    """
    paused = ProviderState.objects.filter(name=name, paused_until__gt=Now())
    if not paused.update(paused_until=None):
        return False
    put_off = ChunkTranscription.objects.filter(status=WorkStatus.WAITING, engine=name, not_before__gt=Now())
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

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return provider_states()

    def has_repair_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs_app.change_providerstate")

    @admin.action(description="Try again now", permissions=["repair"])
    def try_again_now(self, request: HttpRequest, queryset: QuerySet) -> None:
        names = list(queryset.values_list("name", flat=True))
        ended = sum(end_pause(name) for name in names)
        if ended:
            self.message_user(request, f"{count(ended, 'provider')} will be tried now.", messages.SUCCESS)
        if skipped := len(names) - ended:
            self.message_user(request, f"{count(skipped, 'provider')} skipped: not paused.", messages.WARNING)

    @admin.display(description="requests")
    def state(self, state: ProviderState) -> SafeString:
        """Of the circuit breaker, for people."""
        if state.name not in settings.PROVIDERS:
            return badge("cancelled", "not in the settings")
        if state.is_paused:
            return badge("failed", "paused")
        if state.down_since:
            return badge("pending", "one at a time")
        return badge("done", "working")

    @admin.display(description="audio is sent to")
    def host(self, state: ProviderState) -> str:
        provider = settings.PROVIDERS.get(state.name)
        return provider.host if provider else NOTHING

    @admin.display(description="last error")
    def why(self, state: ProviderState) -> str:
        return state.last_error or NOTHING
