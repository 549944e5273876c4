"""System checks. Settings that contradict each other stop the start, because they would lose work later."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import Error, Info, Warning, register

from jobs_app.engines import devices
from jobs_app.engines.providers import servers
from speech.engines.base import CUDA


@register()
def queue_settings(app_configs: object, **kwargs: object) -> list[Error]:
    q = settings.Q_CLUSTER
    errors = []
    # The time of a message runs from the moment at which it is fetched. The message that is fetched last
    # waits for all messages before it.
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
def provider_addresses(app_configs: object, **kwargs: object) -> list[Warning]:
    """Warn of providers for which the key and the audio would travel through the internet unencrypted."""
    return [
        Warning(
            f"The provider {provider.name} is reached by plain http at {provider.host}.",
            hint="Its API key and all that is sent travel readable for everybody on the way. Use https.",
            id="jobs_app.W001",
        )
        for provider in servers().values()
        if provider.base_url.startswith("http:") and not _is_near(provider.base_url)
    ]


@register()
def gpu(app_configs: object, **kwargs: object) -> list[Warning]:
    """Warn of a GPU that the settings ask for and that cannot be used. With `auto`, nobody waits for this."""
    if settings.LOCAL_DEVICE != CUDA or "local" not in settings.ENGINES:
        return []
    found = devices.device_here()
    if found.startswith(CUDA):
        return []
    return [
        Warning(
            f"LOCAL_DEVICE is cuda, but no model can be loaded: {found}",
            hint="Install NVIDIA's driver, cuBLAS and cuDNN, or set LOCAL_DEVICE=auto.",
            id="jobs_app.W002",
        )
    ]


@register(deploy=True)
def device(app_configs: object, **kwargs: object) -> list[Info]:
    """Say what the models compute on, to those who ask by `manage.py check --deploy`."""
    if settings.LOCAL_DEVICE == CUDA or "local" not in settings.ENGINES:
        return []
    return [Info(f"Models of this machine compute on {devices.device_here()}.", id="jobs_app.I001")]


def _is_near(url: str) -> bool:
    """Return whether an address is on this machine or in a private network. The function looks up no name."""
    host = urlsplit(url).hostname or ""
    try:
        address = ip_address(host)
    except ValueError:
        # A name without a dot is a name in this network, for example that of a container.
        return "." not in host or host.endswith((".localhost", ".local", ".internal", ".lan", ".home.arpa"))
    return address.is_private or address.is_loopback or address.is_link_local
