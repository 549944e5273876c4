"""A real model and a real recording, for tests that hear one utterance again and again."""

from __future__ import annotations

from pathlib import Path

import pytest
from faster_whisper import decode_audio

from speech.engines import load_engine
from speech.engines.base import EngineSettings
from speech.engines.local.engine import LocalEngine
from speech.engines.models import model_path
from speech.samples import Samples


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> LocalEngine:
    path = model_path("tiny.en", tmp_path_factory.mktemp("models"))
    engine = load_engine("local", EngineSettings(model="tiny.en", model_dir=path))
    assert isinstance(engine, LocalEngine)
    return engine


@pytest.fixture(scope="module")
def jfk(recordings: Path) -> Samples:
    return decode_audio(str(recordings / "en_jfk_11s.flac"))
