"""A hub on loopback, and an installation from it into a folder of the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from speech.models import store
from speech.models.hub import Hub
from speech.models.install import Limits, install
from tests.speech.models.small_hub import SmallHub, served

LIMITS = Limits(model=10_000_000, spare=0)


@pytest.fixture
def hub() -> Iterator[SmallHub]:
    with served(SmallHub()) as hub:
        yield hub


@pytest.fixture
def get(hub: SmallHub, tmp_path: Path) -> Callable[..., store.Installed]:
    def install_it(wanted: str = "owner/name", limits: Limits = LIMITS, token: str = "", name: str = ""):
        asked = Hub(endpoint=hub.address, token=token, timeout_s=5, pauses_s=(0, 0))
        return install(wanted, tmp_path / "models", asked, limits, lambda *_: None, name=name)

    return install_it
