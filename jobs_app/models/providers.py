"""What all workers of all machines know of a provider."""

from __future__ import annotations

from datetime import datetime

from django.db import models


class ProviderState(models.Model):
    """What all workers of all machines know of a provider: whether it answers, and when to ask it again.

    It is down from the failure that opens its circuit breaker to the next success. While `paused_until` is in
    the future nobody asks it. After that, as long as it is down, one window at a time asks it.
    """

    name = models.CharField(max_length=40, unique=True)
    failures = models.PositiveIntegerField(default=0, help_text="Outages in a row.")
    requests = models.PositiveBigIntegerField(default=0, help_text="Sent to it so far, failed ones too.")
    down_since = models.DateTimeField(null=True, blank=True)
    paused_until = models.DateTimeField(null=True, blank=True)
    next_request_at = models.DateTimeField(
        null=True, blank=True, help_text="The earliest that its rate allows; empty: no limit."
    )
    last_error_code = models.CharField(max_length=40, blank=True)
    last_error = models.TextField(blank=True)
    last_error_at = models.DateTimeField(null=True, blank=True)

    is_paused: bool
    """What `jobs_app.watching.overview.provider_states` adds."""
    now: datetime
    """What `jobs_app.engines.providers` adds: when the row was read, by the clock of the database."""

    class Meta:
        ordering = ["name"]
        verbose_name = "provider"

    def __str__(self) -> str:
        return self.name
