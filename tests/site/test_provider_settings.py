"""Speech servers as the environment names them, and what the system check says of them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.core.exceptions import ImproperlyConfigured

from jobs_app import checks
from speech.engines.providers import Provider
from transcribe_site.provider_settings import FIELDS, providers

GPU = {"PROVIDER_GPU_BASE_URL": "http://127.0.0.1:9000/v1/", "PROVIDER_GPU_MODELS": "large-v3,turbo"}


@pytest.fixture
def environment(monkeypatch):
    def set_all(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return set_all


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("BASE_URL", ""),
        ("BASE_URL", "ftp://host/v1"),
        ("BASE_URL", "127.0.0.1:9000/v1"),
        ("BASE_URL", "http:///v1"),
        ("BASE_URL", "http://host:port/v1"),
        ("BASE_URL", "http://user:pass-word@host/v1"),
        ("BASE_URL", "http://host/v1?key=pass-word"),
        ("BASE_URL", "http://host/v 1"),
        ("BASE_URL", "http://[host/v1"),
        ("API_KEY", "pass-word and more"),
        ("API_KEY", "pass-wörd"),
        ("MODELS", ""),
        ("MODELS", "m" * 201),
        ("CONCURRENCY", "0"),
        ("REQUESTS_PER_MINUTE", "-1"),
        ("PRICE_PER_MINUTE", "0,006"),
        ("PRICE_PER_MINUTE", "NaN"),
        ("PRICE_PER_MINUTE", "-1"),
        ("TIMEOUT_S", "0"),
        ("MAX_REQUEST_MB", "big"),
        ("MAX_AUDIO_S", "1"),
        ("CONTAINER", "aiff"),
        ("WORD_TIMES", "no"),
        ("WINDOW_S", "60"),
        ("WINDOW_S", "120-60"),
        ("WINDOW_S", "0-60"),
    ],
)
def test_a_bad_value_is_refused_with_its_name_and_tells_no_secret(field, value, environment):
    environment(**GPU | {f"PROVIDER_GPU_{field}": value})
    with pytest.raises(ImproperlyConfigured, match=f"^PROVIDER_GPU_{field}") as refusal:
        providers(["gpu"])
    assert "pass-w" not in str(refusal.value)


def test_two_providers_may_not_share_their_settings(environment):
    environment(PROVIDER_A_B_BASE_URL="http://127.0.0.1:9000/v1", PROVIDER_A_B_MODELS="m")
    with pytest.raises(ImproperlyConfigured, match=r"^PROVIDERS: a-b and a_b would share"):
        providers(["a-b", "a_b"])


def test_without_any_setting_there_is_no_provider():
    assert providers([]) == {}


def test_a_key_alone_configures_openai_with_its_models(environment, tmp_path):
    secret = tmp_path / "key"
    secret.write_text("sk-from-a-file\n")
    environment(OPENAI_API_KEY_FILE=str(secret))
    assert providers([]) == {
        "openai": Provider(
            name="openai",
            base_url="https://api.openai.com/v1",
            api_key="sk-from-a-file",
            models=("whisper-1", "gpt-transcribe", "gpt-4o-transcribe", "gpt-4o-mini-transcribe"),
        )
    }


def test_openai_is_not_asked_without_a_key():
    with pytest.raises(ImproperlyConfigured, match=r"^OPENAI_API_KEY must be set"):
        providers(["openai"])


def test_a_server_of_ones_own_needs_no_key_and_names_its_models(environment):
    environment(OPENAI_BASE_URL="http://127.0.0.1:9000/v1")
    with pytest.raises(
        ImproperlyConfigured, match=r"^OPENAI_MODELS must name the models of http://127.0.0.1:9000/v1"
    ):
        providers([])
    environment(OPENAI_MODELS="a, a,b")
    assert providers([])["openai"].models == ("a", "b")


def test_every_setting_of_a_provider_is_read(environment):
    given = {
        "API_KEY": "k",
        "CONCURRENCY": "2",
        "REQUESTS_PER_MINUTE": "30",
        "PRICE_PER_MINUTE": "0.006",
        "TIMEOUT_S": "20",
        "MAX_REQUEST_MB": "10",
        "MAX_AUDIO_S": "600",
        "CONTAINER": "flac",
        "WORD_TIMES": "False",
        "WINDOW_S": "20-30",
    }
    assert {"BASE_URL", "MODELS", *given} == set(FIELDS)
    environment(**GPU, **{f"PROVIDER_GPU_{field}": value for field, value in given.items()})
    assert providers(["gpu"])["gpu"] == Provider(
        name="gpu",
        base_url="http://127.0.0.1:9000/v1",
        api_key="k",
        models=("large-v3", "turbo"),
        concurrency=2,
        requests_per_minute=30,
        price_per_minute=Decimal("0.006"),
        timeout_s=20,
        max_request_bytes=10 * 1024 * 1024,
        max_audio_s=600,
        container="flac",
        word_times=False,
        window_s=(20, 30),
    )


def found(check) -> list[str]:
    return [message.id for message in check(None)]


def provider(name: str = "gpu", url: str = "http://127.0.0.1:9000/v1") -> Provider:
    return Provider(name=name, base_url=url, models=("large-v3",))


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("http://speech.example.org/v1", True),
        ("http://93.184.216.34:8000/v1", True),
        ("https://speech.example.org/v1", False),
        ("http://127.0.0.1:9000/v1", False),
        ("http://localhost:9000/v1", False),
        ("http://10.1.2.3/v1", False),
        ("http://[::1]:9000/v1", False),
        ("http://speaches:8000/v1", False),
    ],
)
def test_the_check_warns_of_plain_http_through_the_internet(url, warned, settings):
    settings.PROVIDERS = {"gpu": provider(url=url)}
    assert (found(checks.provider_addresses) == ["jobs_app.W001"]) is warned
