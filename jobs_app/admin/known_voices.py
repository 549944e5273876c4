"""The admin page of saved voices: that there are some, and nothing of what they are."""

from __future__ import annotations

from typing import Protocol

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest

from jobs_app.models import KnownVoice
from people_app.staff.read_only import OfOwners


class WithSamples(Protocol):
    """The number that the list of voices adds to each."""

    n_samples: int


@admin.register(KnownVoice)
class KnownVoiceAdmin(OfOwners):
    list_display = ("id", "owner_alone", "samples", "created_at")
    list_filter = ("created_at",)
    ordering = ("-created_at", "-pk")
    fields = list_display

    def get_queryset(self, request: HttpRequest) -> QuerySet[KnownVoice]:
        voices: QuerySet[KnownVoice] = super().get_queryset(request)
        return voices.select_related("owner").defer("name").annotate(n_samples=Count("samples"))

    @admin.display(ordering="n_samples")
    def samples(self, voice: WithSamples) -> int:
        return voice.n_samples
