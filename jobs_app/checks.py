"""System checks: settings that contradict each other stop the start instead of losing work."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import Error, register


@register()
def queue_settings(app_configs: Any, **kwargs: Any) -> list[Error]:
    q = settings.Q_CLUSTER
    errors = []
    # A message's clock starts when it is fetched; the last one fetched waits for all before it.
    longest_wait = (q["queue_limit"] + q["bulk"] + q["workers"]) / q["workers"] * (q["timeout"] + 3)
    if q["retry"] <= longest_wait:
        errors.append(
            Error(
                f"Q_CLUSTER['retry'] is {q['retry']} s, but a message can take {longest_wait:.0f} s in all.",
                hint="Django-Q2 would hand a message that still runs to a second worker.",
                id="jobs_app.E001",
            )
        )
    if q["guard_cycle"] not in (0.25, 0.5, 1):
        errors.append(
            Error(
                "Q_CLUSTER['guard_cycle'] must be 0.25, 0.5 or 1.",
                hint="With other values its count-down misses zero and hung workers are never killed.",
                id="jobs_app.E002",
            )
        )
    if settings.DEFAULT_ENGINE not in settings.ENGINES:
        errors.append(
            Error(
                f"DEFAULT_ENGINE is {settings.DEFAULT_ENGINE!r}, which is not one of ENGINES.",
                id="jobs_app.E003",
            )
        )
    return errors
