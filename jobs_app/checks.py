"""System checks: settings that contradict each other stop the start instead of losing work."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import Error, Warning, register

from jobs_app.options import engine_models


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
    return errors


@register()
def engine_names(app_configs: Any, **kwargs: Any) -> list[Error]:
    offered = engine_models()
    errors = []
    if settings.DEFAULT_ENGINE not in offered:
        errors.append(
            Error(
                f"DEFAULT_ENGINE is {settings.DEFAULT_ENGINE!r}, which is not one of {', '.join(offered)}.",
                hint="It must be one of ENGINES, or a provider that is configured.",
                id="jobs_app.E003",
            )
        )
    if settings.FALLBACK_ENGINE and settings.FALLBACK_ENGINE not in offered:
        errors.append(
            Error(
                f"FALLBACK_ENGINE is {settings.FALLBACK_ENGINE!r}, which is not one of {', '.join(offered)}.",
                hint="It must be one of ENGINES, or a provider that is configured.",
                id="jobs_app.E004",
            )
        )
    elif settings.FALLBACK_MODEL and settings.FALLBACK_MODEL not in offered.get(settings.FALLBACK_ENGINE, []):
        errors.append(
            Error(
                f"FALLBACK_MODEL is {settings.FALLBACK_MODEL!r}, "
                f"which is not a model of FALLBACK_ENGINE ({settings.FALLBACK_ENGINE or 'not set'}).",
                id="jobs_app.E005",
            )
        )
    return errors


@register()
def provider_addresses(app_configs: Any, **kwargs: Any) -> list[Warning]:
    """Warn of what would send the key and the audio readable through the internet."""
    return [
        Warning(
            f"The provider {provider.name} is reached by plain http at {provider.host}.",
            hint="Its API key and all audio travel readable for everybody on the way. Use https.",
            id="jobs_app.W001",
        )
        for provider in settings.PROVIDERS.values()
        if provider.base_url.startswith("http:") and not _is_near(provider.base_url)
    ]


def _is_near(url: str) -> bool:
    """Whether an address is this machine or in a private network. No name is looked up for it."""
    host = urlsplit(url).hostname or ""
    try:
        address = ip_address(host)
    except ValueError:
        # A name without a dot is one of this network, such as a container's.
        return "." not in host or host.endswith((".localhost", ".local", ".internal", ".lan", ".home.arpa"))
    return address.is_private or address.is_loopback or address.is_link_local
