from __future__ import annotations

import pytest

from tests.sessions.recording import begin


@pytest.fixture
def session_id(api) -> str:
    """Of a recording that was begun."""
    return begin(api)["id"]
