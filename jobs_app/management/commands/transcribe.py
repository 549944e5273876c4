import logging
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from jobs_app.options import (
    NO_FALLBACK,
    JobOptions,
    capabilities_of,
    engine_for,
    resolve_options,
    transcribe_options,
)
from speech.captions import FORMATS
from speech.engines.base import Engine, Samples, TranscribeOptions
from speech.errors import SpeechError
from speech.plan import plan
from speech.types import SpeechSegment, Transcription
from speech.working_copy import read_samples, write_working_copy

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Transcribe one audio or video file here and now, without the server and the queue."
    # It touches no database.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE", help="any audio or video file")
        parser.add_argument("--format", choices=sorted(FORMATS), default="txt", help="default: txt")
        parser.add_argument("--language", default="", help="ISO 639-1, such as en; default: find out")
        parser.add_argument("--translate-to", default="", help="translate into this language, such as en")
        parser.add_argument("--engine", default="", help=f"default: {settings.DEFAULT_ENGINE}")
        parser.add_argument("--model", default="", help="default: the engine's first")
        parser.add_argument("--prompt", default="", help="names and words that are likely to be said")
        parser.add_argument("--output", type=Path, metavar="PATH", help="default: standard output")
        parser.add_argument("--quiet", action="store_true", help="no progress bar")

    def handle(self, *args: Any, **given: Any) -> None:
        source: Path = given["file"]
        if not source.is_file():
            raise CommandError(f"{source}: there is no such file")
        try:
            options = resolve_options(
                **{name: given[name] for name in ("engine", "model", "language", "translate_to", "prompt")},
                fallback_engine=NO_FALLBACK,
            )
            segments = transcribe(source, options, show_progress=not given["quiet"])
        except SpeechError as e:
            raise CommandError(f"{source}: {e.why} ({e.code})") from e
        except OSError as e:
            raise CommandError(f"{source}: {e.strerror or e}") from e
        text = FORMATS[given["format"]].render(segments)
        if given["output"] is None:
            sys.stdout.write(text)
            return
        try:
            given["output"].write_text(text, encoding="utf-8")
        except OSError as e:
            raise CommandError(f"{given['output']}: {e.strerror or e}") from e


def transcribe(source: Path, options: JobOptions, *, show_progress: bool) -> list[SpeechSegment]:
    """Everything that is said in a file, with a progress bar on standard error.

    Raises:
        SpeechError: the file cannot be decoded, or the engine cannot do it.
    """
    able = capabilities_of(options.engine, options.model)
    with (
        tempfile.TemporaryDirectory(dir=settings.WORK_DIR) as folder,
        tqdm(
            unit="s",
            disable=not show_progress,
            bar_format="{desc}{percentage:3.0f}%|{bar}| {elapsed}<{remaining}",
        ) as bar,
    ):
        copy = Path(folder) / "audio"
        bar.set_description("Reading")
        report = write_working_copy(source, copy, max_duration_s=settings.MAX_AUDIO_S)
        bar.reset(report.duration_ms)
        windows = plan(partial(read_samples, copy), report.duration_ms, able)
        bar.set_description("Transcribing")
        engine = engine_for(options.engine, options.model)
        segments: list[SpeechSegment] = []
        for window in windows:
            if window.speech_ms:
                samples = read_samples(copy, window.start_ms, window.end_ms)

                def show(segment: SpeechSegment, start_ms: int = window.start_ms) -> None:
                    bar.update(max(0, start_ms + segment.end_ms - bar.n))

                heard = _hear(engine, samples, transcribe_options(options), show)
                segments += [segment.shifted(window.start_ms) for segment in heard.segments]
            bar.update(window.end_ms - bar.n)
    return segments


def _hear(
    engine: Engine, samples: Samples, options: TranscribeOptions, on_segment: Callable[[SpeechSegment], None]
) -> Transcription:
    """One window, with as many tries as in a job: a server that is busy for a moment ends nothing."""
    for attempt in range(1, settings.MAX_ATTEMPTS):
        try:
            return engine.transcribe(samples, options, on_segment=on_segment)
        except SpeechError as e:
            if e.permanent:
                raise
            wait_s = e.retry_after_s or settings.RETRY_BACKOFF_S * 2 ** (attempt - 1)
            wait_s = min(wait_s, settings.RETRY_BACKOFF_MAX_S)
            logger.warning("Trying again in %.0f s: %s", wait_s, e)
            time.sleep(wait_s)
    return engine.transcribe(samples, options, on_segment=on_segment)
