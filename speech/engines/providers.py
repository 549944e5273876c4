"""What is to be known of a server that is asked for transcripts or translations."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from urllib.parse import urlsplit

from speech.types import Container

TRANSLATOR = "translator"
"""The name of the server that translates. No engine is called so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A server that speaks OpenAI's API, for transcriptions or, called TRANSLATOR, for chats.

    The last five fields are None if the table in `speech.engines.openai.models` decides. It knows some models
    and has cautious defaults for the others.
    """

    name: str
    """What users choose as the engine: `openai`, `groq`."""
    base_url: str = field(repr=False)
    """The address with `/v1`. It may hold a password, so only `host` is shown."""
    api_key: str = field(default="", repr=False)
    models: tuple[str, ...] = ()
    """The first is the default."""
    concurrency: int = 4
    """How many requests may run at once, over all workers and machines."""
    requests_per_minute: int = 0
    """0 means no limit."""
    price_per_minute: Decimal = Decimal(0)
    """The price of a minute of audio, in the site's currency."""
    input_price: Decimal = Decimal(0)
    output_price: Decimal = Decimal(0)
    """The prices of a million tokens of a chat."""
    timeout_s: float = 300
    """The time limit for one request, from the first byte sent to the last byte received."""
    max_request_bytes: int | None = None
    max_audio_s: int | None = None
    container: Container | None = None
    word_times: bool | None = None
    """False means that the server has no word times, so that none are asked for."""
    window_s: tuple[int, int] | None = None
    """The shortest and the longest window, in seconds."""

    @property
    def host(self) -> str:
        """The server's host and port, without the secret parts of its address."""
        return urlsplit(self.base_url).netloc.rpartition("@")[2]

    @property
    def setting(self) -> str:
        """The beginning of the names of its settings."""
        name = self.name.upper().replace("-", "_")
        return f"{name}_" if self.name in ("openai", TRANSLATOR) else f"PROVIDER_{name}_"

    @property
    def model_setting(self) -> str:
        return f"{self.setting}MODEL" if self.name == TRANSLATOR else f"{self.setting}MODELS"

    @property
    def size_setting(self) -> str:
        """The setting that makes requests smaller, and so their answers quicker."""
        return f"{self.setting}{'MAX_CHARACTERS' if self.name == TRANSLATOR else 'WINDOW_S'}"
