from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.speech.scripted_provider import ScriptedProvider


@pytest.fixture
def server() -> Iterator[ScriptedProvider]:
    with ScriptedProvider() as scripted:
        yield scripted
