"""What the `openai` engine needs to know of a server that it sends audio to."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from urllib.parse import urlsplit

from speech.clips import Container


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A server that speaks OpenAI's transcription API.

    The last five are None where `speech.engines.openai_models` says it, which knows some models and has
    cautious defaults for the others.
    """

    name: str
    """What users choose as engine: `openai`, `groq`."""
    base_url: str = field(repr=False)
    """With `/v1`. It may hold a password, so it is shown by `host` alone."""
    api_key: str = field(default="", repr=False)
    models: tuple[str, ...] = ()
    """The first is the default."""
    concurrency: int = 4
    """Requests at once, over all workers and machines."""
    requests_per_minute: int = 0
    """0: no limit."""
    price_per_minute: Decimal = Decimal(0)
    """Of audio, in the site's currency."""
    timeout_s: float = 300
    """For one request, from its first byte sent to its last byte received."""
    max_request_bytes: int | None = None
    max_audio_s: int | None = None
    container: Container | None = None
    word_times: bool | None = None
    """False: the server has no word times; do not ask."""
    window_s: tuple[int, int] | None = None
    """Where a window should end."""

    @property
    def host(self) -> str:
        """The server's host and port, without what may be secret in its address."""
        return urlsplit(self.base_url).netloc.rpartition("@")[2]

    @property
    def setting(self) -> str:
        """What the names of its settings begin with."""
        name = self.name.upper().replace("-", "_")
        return f"{name}_" if self.name == "openai" else f"PROVIDER_{name}_"
