"""The `openai` engine with servers that others wrote.

open-asr-server gives word times and asks for a key; faster-whisper-server does neither. Both run tiny.en, as
the local engine that they are compared with.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.utils import timezone
from faster_whisper import decode_audio

from jobs_app.engines.resolving import resolve_options
from jobs_app.lifecycle.starting import start_job
from jobs_app.models import JOB_ACTIVE, JobStatus
from sessions_app.models import AudioChunk, RecordingSession
from speech.engines import capabilities, load_engine
from speech.engines.base import Engine, EngineSettings, TranscribeOptions
from speech.engines.models import model_path
from speech.engines.openai.engine import MARGIN_MS
from speech.engines.providers import Provider
from speech.errors import ProviderRefused, ProviderUnavailable
from speech.samples import Samples
from speech.types import SAMPLE_RATE, Transcription
from speech.voice.activity import SpeechDetector
from tests.acceptance.conftest import ROOT, wait_for
from tests.peers.servers import KEY, PeerServer
from tests.speech.wer import spoken_words, wer

pytestmark = [pytest.mark.slow, pytest.mark.peers, pytest.mark.recordings]

RECORDINGS = ("en_jfk_11s.flac", "en_two_cities_44s.m4a", "en_sonnet1_53s.mp3")
# Opus costs a word here and there, and gains one elsewhere; which ones depends on the processor, too: where a
# server computes with eight bits, as many as three in a minute. A lost piece would cost more.
MORE_WER = 0.04
# Whisper's word times jump where a speaker pauses; these are of the same model.
WORD_TIMES_MS = 100


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of tiny.en under a name by which the engine knows what kind of model it is."""
    folder = tmp_path_factory.mktemp("models")
    named = folder / "whisper-tiny.en"
    named.symlink_to(model_path("tiny.en", folder), target_is_directory=True)
    return str(named)


@pytest.fixture(scope="module")
def open_asr(model: str) -> Iterator[Provider]:
    with PeerServer("open-asr-server", model) as server:
        yield Provider(name="asr", base_url=server.url, api_key=KEY, models=(server.model,))


@pytest.fixture(scope="module")
def whisper_server(model: str) -> Iterator[Provider]:
    with PeerServer("faster-whisper-server", model) as server:
        yield Provider(name="gpu", base_url=server.url, models=("whisper-tiny.en",))


@pytest.fixture(params=["open_asr", "whisper_server"])
def either(request: pytest.FixtureRequest) -> Provider:
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def local(model: str) -> Engine:
    return load_engine("local", EngineSettings(model="tiny.en", model_dir=model))


@pytest.fixture(scope="module")
def said(recordings: Path) -> dict[str, str]:
    manifest = json.loads((recordings / "manifest.json").read_text())
    return {entry["file"]: entry["text"] for entry in manifest if entry["file"] in RECORDINGS}


def through(provider: Provider) -> Engine:
    return load_engine("openai", EngineSettings(model=provider.models[0], provider=provider))


def samples(recordings: Path, name: str) -> Samples:
    return decode_audio(str(recordings / name))


def text(heard: Transcription) -> str:
    return " ".join(segment.text for segment in heard.segments)


# The engine alone


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_peer_hears_what_the_local_engine_hears(either, local, said, recordings, name):
    sound = samples(recordings, name)
    heard = through(either).transcribe(sound, TranscribeOptions(language="en"))
    alone = local.transcribe(sound, TranscribeOptions())
    assert wer(said[name], text(heard)) <= wer(said[name], text(alone)) + MORE_WER
    assert (heard.language, heard.requests) == ("en", 1)


def test_word_times_of_a_peer_are_those_of_the_local_engine(open_asr, local, recordings):
    sound = samples(recordings, "en_jfk_11s.flac")
    heard = through(open_asr).transcribe(sound, TranscribeOptions())
    alone = local.transcribe(sound, TranscribeOptions())
    words = [word for segment in heard.segments for word in segment.words]
    same = [word for segment in alone.segments for word in segment.words]
    assert heard.timing == "words"
    assert spoken_words(" ".join(w.text for w in words)) == spoken_words(" ".join(w.text for w in same))
    apart = [abs(a.start_ms - b.start_ms) for a, b in zip(words, same, strict=True)]
    assert statistics.median(apart) <= WORD_TIMES_MS
    for segment in heard.segments:
        assert all(
            segment.start_ms <= word.start_ms <= word.end_ms <= segment.end_ms for word in segment.words
        )


def test_a_peer_without_word_times_gives_segments_and_no_invented_words(whisper_server, recordings):
    sound = samples(recordings, "en_two_cities_44s.m4a")
    heard = through(whisper_server).transcribe(sound, TranscribeOptions())
    assert heard.timing == "segments"
    assert len(heard.segments) > 1
    assert not any(segment.words for segment in heard.segments)
    assert all(a.end_ms <= b.start_ms for a, b in pairwise(heard.segments))
    assert heard.segments[-1].end_ms <= len(sound) * 1000 // SAMPLE_RATE
    assert all(segment.text == segment.text.strip() for segment in heard.segments)


def test_confidence_is_shown_only_where_a_peer_measures_it(open_asr, whisper_server, recordings):
    sound = samples(recordings, "en_jfk_11s.flac")
    unknown, measured = (
        through(peer).transcribe(sound, TranscribeOptions()) for peer in (open_asr, whisper_server)
    )
    assert {segment.confidence for segment in unknown.segments} == {None}
    assert all(0.5 < (segment.confidence or 0) <= 1 for segment in measured.segments)


def test_a_model_of_unknown_name_is_sent_what_every_server_reads(open_asr, said, recordings):
    plain = replace(open_asr, name="plain", models=(f"faster-whisper:{model_path('tiny.en', recordings)}",))
    heard = through(plain).transcribe(samples(recordings, "en_jfk_11s.flac"), TranscribeOptions())
    assert heard.timing == "words"
    assert wer(said["en_jfk_11s.flac"], text(heard)) == 0


def test_where_a_peer_refuses_a_response_format_a_simpler_one_is_taken(whisper_server, said, recordings):
    """faster-whisper-server ignores the model's name and answers 400 to diarized_json."""
    other = replace(whisper_server, models=("gpt-4o-transcribe-diarize",))
    sound = samples(recordings, "en_jfk_11s.flac")
    first, second = (through(other).transcribe(sound, TranscribeOptions()) for _ in range(2))
    assert wer(said["en_jfk_11s.flac"], text(first)) == wer(said["en_jfk_11s.flac"], text(second)) == 0
    assert (first.timing, first.requests) == ("window", 2)
    # It is remembered.
    assert (second.timing, second.requests) == ("window", 1)


def test_a_wrong_key_is_an_error_that_names_the_setting_and_not_the_key(open_asr, recordings):
    wrong = replace(open_asr, api_key="not-the-key-at-all")
    with pytest.raises(ProviderRefused) as refused:
        through(wrong).transcribe(samples(recordings, "en_jfk_11s.flac"), TranscribeOptions())
    assert "PROVIDER_ASR_API_KEY" in str(refused.value)
    assert "not-the-key" not in str(refused.value)
    assert refused.value.requests == 1


def test_an_endpoint_that_a_peer_does_not_have_is_a_clear_error(open_asr, recordings):
    """open-asr-server has no /v1/audio/translations."""
    other = replace(open_asr, models=("whisper-1",))
    assert "en" in capabilities("openai", "whisper-1", other).translates_to
    with pytest.raises(ProviderRefused, match="does not translate"):
        through(other).transcribe(
            samples(recordings, "es_short_9s.wav"), TranscribeOptions(translate_to="en")
        )


def test_a_model_that_a_peer_does_not_have_is_a_clear_error(open_asr, recordings):
    other = replace(open_asr, models=("no-such-backend/model",))
    with pytest.raises(ProviderRefused, match="PROVIDER_ASR_MODELS"):
        through(other).transcribe(samples(recordings, "en_jfk_11s.flac"), TranscribeOptions())


def test_silence_is_no_text(either):
    heard = through(either).transcribe(np.zeros(10 * SAMPLE_RATE, dtype=np.float32), TranscribeOptions())
    assert heard.segments == ()


def test_a_peer_that_went_away_is_an_outage(model, recordings):
    with PeerServer("faster-whisper-server", model) as server:
        gone = Provider(name="gone", base_url=server.url, models=("whisper-tiny.en",))
    with pytest.raises(ProviderUnavailable) as away:
        through(gone).transcribe(samples(recordings, "en_jfk_11s.flac"), TranscribeOptions())
    assert away.value.outage


class GivenUp(Exception):
    pass


def test_a_request_is_given_up_while_a_peer_works(whisper_server, recordings):
    sound = samples(recordings, "en_sonnet1_53s.mp3")
    lost_at = 0.0

    def lease_lost() -> None:
        nonlocal lost_at
        lost_at = time.monotonic()
        raise GivenUp

    with pytest.raises(GivenUp):
        through(whisper_server).transcribe(sound, TranscribeOptions(), on_wait=lease_lost)
    # The peer itself goes on for seconds.
    assert time.monotonic() - lost_at < 1


# Whole jobs


@pytest.fixture
def environment(child_environment, settings, open_asr, whisper_server) -> dict[str, str]:
    """What the worker processes see, with both peers as providers; the test's own settings agree with it."""
    settings.PROVIDERS = {peer.name: peer for peer in (open_asr, whisper_server)}
    child_environment["PROVIDERS"] = ",".join(settings.PROVIDERS)
    for peer in settings.PROVIDERS.values():
        child_environment |= {
            f"{peer.setting}BASE_URL": peer.base_url,
            f"{peer.setting}API_KEY": peer.api_key,
            f"{peer.setting}MODELS": ",".join(peer.models),
        }
    return child_environment


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("engine", "timing"), [("asr", "words"), ("gpu", "segments")])
def test_a_recording_becomes_a_transcript_through_a_peer(
    environment, runner, alice, recordings, local, said, engine, timing
):
    name = "en_two_cities_44s.m4a"
    session = RecordingSession.objects.create(owner=alice, source="upload", finished_at=timezone.now())
    content = (recordings / name).read_bytes()
    AudioChunk.objects.create(
        session=session,
        number=0,
        file=ContentFile(content, name=name),
        size_bytes=len(content),
        sha256="0" * 64,
    )
    job = start_job(session, resolve_options(engine=engine))
    runner.environment |= environment
    runner.start()

    def ended() -> bool:
        job.refresh_from_db()
        return job.status not in JOB_ACTIVE

    wait_for(ended, within_s=120, what="the job through a peer", every_s=0.3)
    assert (job.status, job.error) == (JobStatus.COMPLETED, "")
    alone = wer(said[name], text(local.transcribe(samples(recordings, name), TranscribeOptions())))
    assert wer(said[name], job.transcript.text) <= alone + MORE_WER
    windows = list(job.windows.all())
    assert (job.engine, job.transcript.timing) == (engine, timing)
    assert {(window.engine, window.timing) for window in windows} == {(engine, timing)}
    assert job.provider_requests == sum(window.requests for window in windows) == len(windows)
    # The silence before the first word and after the last one is not sent.
    detector = SpeechDetector()
    detector.feed(samples(recordings, name))
    speech = detector.finish()
    spoken_ms = speech[-1].end_ms - speech[0].start_ms
    assert spoken_ms < job.provider_audio_ms <= spoken_ms + 2 * MARGIN_MS


def engines_command(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "engines", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("engine", ["asr", "gpu"])
def test_the_engines_command_tries_a_peer(environment, engine):
    tried = engines_command(environment, "--engine", engine)
    assert tried.returncode == 0, tried.stdout + tried.stderr
    assert "whisper-tiny.en" in tried.stdout
    assert KEY not in tried.stdout + tried.stderr


def test_the_engines_command_says_that_a_peer_refuses_the_key(environment):
    wrong = environment | {"PROVIDER_ASR_API_KEY": "not-the-key-at-all"}
    tried = engines_command(wrong, "--engine", "asr")
    assert tried.returncode == 1
    assert "PROVIDER_ASR_API_KEY" in tried.stdout + tried.stderr
    assert "not-the-key" not in tried.stdout + tried.stderr
