import sys
import tempfile
from argparse import ArgumentParser
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from jobs_app.options import JobOptions, engine_settings, resolve_options, transcribe_options
from speech.captions import FORMATS
from speech.engines import capabilities, load_engine
from speech.errors import SpeechError
from speech.plan import plan
from speech.types import SpeechSegment
from speech.working_copy import read_samples, write_working_copy


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
                **{name: given[name] for name in ("engine", "model", "language", "translate_to", "prompt")}
            )
            segments = transcribe(source, options, show_progress=not given["quiet"])
        except SpeechError as e:
            raise CommandError(f"{source}: {e} ({e.code})") from e
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
    able = capabilities(options.engine, options.model)
    with (
        tempfile.TemporaryDirectory(dir=settings.WORK_DIR) as folder,
        tqdm(
            unit="s",
            disable=not show_progress,
            bar_format="{desc}{percentage:3.0f}%|{bar}| {elapsed}<{remaining}",
        ) as bar,
    ):
        copy = Path(folder) / "audio.flac"
        bar.set_description("Reading")
        report = write_working_copy(source, copy, max_duration_s=settings.MAX_AUDIO_S)
        bar.reset(report.duration_ms)
        windows = plan(partial(read_samples, copy), report.duration_ms, able)
        bar.set_description("Transcribing")
        engine = load_engine(options.engine, engine_settings(options.engine, options.model))
        segments: list[SpeechSegment] = []
        for window in windows:
            if window.speech_ms:
                samples = read_samples(copy, window.start_ms, window.end_ms)

                def show(segment: SpeechSegment, start_ms: int = window.start_ms) -> None:
                    bar.update(max(0, start_ms + segment.end_ms - bar.n))

                heard = engine.transcribe(samples, transcribe_options(options), on_segment=show)
                segments += [segment.shifted(window.start_ms) for segment in heard.segments]
            bar.update(window.end_ms - bar.n)
    return segments
