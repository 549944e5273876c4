"""The processes that do the work, and whose turn it is to sweep."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import models
from django.db.models import Sum
from django.db.models.functions import Now

RUNNER_SILENT_AFTER = timedelta(seconds=30)


class SweepTurn(models.Model):
    """The time of the next sweep that one machine does for all."""

    name = models.CharField(max_length=100, unique=True, help_text="The sweep's function.")
    free_at = models.DateTimeField(help_text="Whoever asks after this moment does it.")

    def __str__(self) -> str:
        return self.name


class RunnerQuerySet(models.QuerySet["Runner"]):
    def alive(self) -> RunnerQuerySet:
        """Return runners that have reported lately and whose workers have lately proved that they
        take work.
        """
        return self.filter(
            beat_at__gt=Now() - RUNNER_SILENT_AFTER,
            proven_at__gt=Now() - timedelta(seconds=2 * settings.STALL_AFTER_S),
        )

    def alive_workers(self) -> int:
        return self.alive().aggregate(n=Sum("workers"))["n"] or 0


class Runner(models.Model):
    """A `jobrunner` process and its workers, as they last reported."""

    name = models.CharField(max_length=100, unique=True, help_text="host:pid")
    workers = models.PositiveSmallIntegerField()
    started_at = models.DateTimeField(db_default=Now())
    beat_at = models.DateTimeField(help_text="When the process last reported.")
    proven_at = models.DateTimeField(null=True, help_text="When one of its workers last ran something.")
    devices = models.TextField(
        default="", db_default="", blank=True, help_text="What its workers compute on, and why."
    )
    restarts = models.PositiveIntegerField(default=0, help_text="How often its workers were replaced.")

    is_alive: bool
    """What `jobs_app.watching.overview.runners` adds."""

    objects = RunnerQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name
