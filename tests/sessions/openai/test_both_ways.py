"""This product's own engine for OpenAI's API, pointed at another server of this product."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.server import Server
from tests.services import ROOT
from tests.sessions.openai.conftest import client_of, key_of

pytestmark = pytest.mark.slow
AUDIO = ROOT / "tests" / "audio"


@pytest.fixture
def front(server, new_server) -> Iterator[Server]:
    """A server without models of its own."""
    with new_server(
        ENGINES="none",
        PROVIDERS="back",
        PROVIDER_BACK_BASE_URL=f"{server.url}/v1",
        PROVIDER_BACK_API_KEY=key_of(server),
        PROVIDER_BACK_MODELS="fake/fake,tiny.en",
        V1_MODEL_ALIASES="whisper-1",
    ) as running:
        yield running


def test_a_job_goes_through_both_servers(server, front):
    before = server.client.get("/api/jobs/").json()["count"]
    with client_of(front, max_retries=0) as client:
        assert [model.id for model in client.models.list()] == ["back/fake/fake", "back/tiny.en", "whisper-1"]
        answer = client.audio.transcriptions.create(
            file=AUDIO / "sample.mp3",
            model="back/tiny.en",
            response_format="verbose_json",
            timestamp_granularities=["word", "segment"],
        )
    heard = answer.text.lower().split()
    said = (AUDIO / "sample.txt").read_text(encoding="utf-8").lower().split()
    assert len(set(heard) & set(said)) > 0.7 * len(set(said))
    assert answer.language == "english"
    # What the one measured the other passes on.
    assert len(answer.words) == len(heard)
    times = [time for word in answer.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert all(segment.avg_logprob < 0 for segment in answer.segments)
    assert server.client.get("/api/jobs/").json()["count"] > before
