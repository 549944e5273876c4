import logging
import sys
import tempfile
import time
from argparse import ArgumentParser, BooleanOptionalAction
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from jobs_app.engines.language_names import language_name
from jobs_app.engines.offered import capabilities_of, engine_for
from jobs_app.engines.resolving import NO_FALLBACK, resolve_options, script_of, track_wish, transcribe_options
from jobs_app.lifecycle.speakers import count_of
from jobs_app.models import SpeakersState, TranslationState
from jobs_app.models.options import Door, JobOptions, Option, offered_at
from jobs_app.work.translation import chat_of
from speech import speakers
from speech.captions.formats import FORMATS
from speech.engines.base import Engine, TranscribeOptions
from speech.errors import SpeechError
from speech.languages.vote import Vote, vote_odds
from speech.samples import Samples
from speech.sound.working_copy import read_samples, write_working_copy
from speech.speakers import ChannelListener, Count, HeardWindow, Speakers
from speech.text.language_tags import read_language
from speech.text.scripts import in_script
from speech.transcript_warnings import transcript_warnings
from speech.translation.prompt import Done, Line
from speech.translation.translator import CONTEXT, batch_of, translate
from speech.types import DecodeReport, SpeechSegment, Transcription
from speech.windows.cuts import Window
from speech.windows.planner import plan_windows

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Transcribe one audio or video file here and now, without the server and the queue."
    # This command touches no database.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE", help="any audio or video file")
        parser.add_argument("--format", choices=sorted(FORMATS), default="txt", help="default: txt")
        for row in offered_at(Door.COMMAND):
            parser.add_argument(f"--{row.name.replace('_', '-')}", **_argument(row))
        parser.add_argument("--output", type=Path, metavar="PATH", help="default: standard output")
        parser.add_argument("--quiet", action="store_true", help="no progress bar")

    def handle(self, *args: Any, **given: Any) -> None:
        source: Path = given["file"]
        if not source.is_file():
            raise CommandError(f"{source}: there is no such file")
        try:
            options = resolve_options(
                **{row.name: given[row.name] for row in offered_at(Door.COMMAND)},
                fallback_engine=NO_FALLBACK,
            )
            segments, report, speakers_state = transcribe(source, options, show_progress=not given["quiet"])
            segments, translation, untranslated = translated(segments, options)
        except SpeechError as e:
            raise CommandError(f"{source}: {e.why} ({e.code})") from e
        except OSError as e:
            raise CommandError(f"{source}: {e.strerror or e}") from e
        warnings = transcript_warnings(
            report.as_json(),
            wordless=not segments,
            speakers=speakers_state,
            translation=translation,
            untranslated=untranslated,
        )
        for warning in warnings:
            self.stderr.write(f"{source}: {warning.detail} ({warning.code})")
        text = FORMATS[given["format"]](segments)
        if given["output"] is None:
            sys.stdout.write(text)
            return
        try:
            given["output"].write_text(text, encoding="utf-8")
        except OSError as e:
            raise CommandError(f"{given['output']}: {e.strerror or e}") from e


def _argument(row: Option) -> dict[str, Any]:
    """Return the arguments of `add_argument` for an option of the table."""
    if row.type is bool:
        return {"action": BooleanOptionalAction, "default": row.default, "help": row.help}
    choices = row.choices.values if row.choices else None
    return {"type": row.type, "choices": choices, "default": row.default, "help": row.help}


def transcribe(
    source: Path, options: JobOptions, *, show_progress: bool
) -> tuple[list[SpeechSegment], DecodeReport, str]:
    """Transcribe a file with a progress bar on standard error.

    Return what is said, the report about decoding, and what `transcript_warnings` needs of the speakers.

    Raises:
        SpeechError: the file cannot be decoded, or the engine cannot transcribe it.
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
        listener = ChannelListener() if options.diarize else None
        report = write_working_copy(
            source,
            copy,
            max_duration_s=settings.MAX_AUDIO_S,
            wish=track_wish(options),
            on_channels=None if listener is None else listener.feed,
        )
        bar.reset(report.duration_ms)
        windows = plan_windows(partial(read_samples, copy), report.duration_ms, able)
        bar.set_description("Transcribing")
        engine = engine_for(options.engine, options.model)
        segments: list[SpeechSegment] = []
        asked, votes = transcribe_options(replace(options, keep_original=False)), list[Vote]()
        voices: list[HeardWindow] | None = [] if options.diarize else None
        for window in windows:
            if window.speech_ms:
                samples = read_samples(copy, window.start_ms, window.end_ms)

                def show(segment: SpeechSegment, start_ms: int = window.start_ms) -> None:
                    bar.update(max(0, start_ms + segment.end_ms - bar.n))

                prior = asked.prior.times(vote_odds(votes))
                heard = _hear(engine, samples, replace(asked, prior=prior), show)
                if heard.language_probabilities:
                    votes.append(Vote(window.speech_ms, heard.language_probabilities))
                heard = in_script(heard, script_of(options))
                segments += [segment.shifted(window.start_ms) for segment in heard.segments]
                voices = _with_voices(voices, window, samples)
            bar.update(window.end_ms - bar.n)
    if listener is None:
        return segments, report, SpeakersState.NONE
    count = Count(*count_of(options))
    by_channel = listener.finish() if count == Count() else None
    segments, state = _told_apart(segments, voices, count, by_channel)
    return segments, report, state


def translated(segments: list[SpeechSegment], options: JobOptions) -> tuple[list[SpeechSegment], str, int]:
    """Have the translator translate the segments, if that is wanted.

    Return the segments, and what `transcript_warnings` needs of the translation. As in a job, nothing that
    goes wrong here costs the text.
    """
    if not options.translator or settings.TRANSLATOR is None or not segments:
        return segments, TranslationState.NONE, 0
    wanted = read_language(options.translate_to).code
    lines = [
        Line(id=number, text=segment.text, speaker=segment.speaker)
        for number, segment in enumerate(segments)
        if (segment.language or options.language) != wanted
    ]
    if not lines:
        return segments, TranslationState.SAME, 0
    texts: dict[int, str] = {}
    try:
        for found in _translations(lines, texts, options):
            texts |= found
    except SpeechError as e:
        logger.warning("The translation ends here: %s", e.why)
    read = [
        replace(one, text=texts[number], original=one.text, words=(), language="") if number in texts else one
        for number, one in enumerate(segments)
    ]
    left = len(lines) - len(texts)
    if not texts:
        return read, TranslationState.FAILED, left
    return read, TranslationState.PARTLY if left else TranslationState.DONE, left


def _translations(lines: list[Line], texts: dict[int, str], options: JobOptions) -> Iterator[dict[int, str]]:
    """Yield the translations of `lines`, some at a time. `texts` are those so far."""
    done: list[Line] = []
    while lines:
        most, most_characters = settings.TRANSLATOR_MAX_SEGMENTS, settings.TRANSLATOR_MAX_CHARACTERS
        batch = batch_of(lines, most=most, most_characters=most_characters)
        before = [Done(line.text, texts[line.id]) for line in done if line.id in texts][-CONTEXT:]
        chat = chat_of(settings.TRANSLATOR)
        for part in translate(chat, language_name(options.translate_to), batch, before=before):
            yield part.texts
        done, lines = batch, lines[len(batch) :]


def _with_voices(
    voices: list[HeardWindow] | None, window: Window, samples: Samples
) -> list[HeardWindow] | None:
    """Return `voices` with those of one more window; None if they are not wanted, or cannot be heard."""
    if voices is None:
        return None
    try:
        packed = speakers.load_hearing().hear(samples)
    except Exception:
        # Whatever goes wrong here must not cost the text.
        logger.exception("The voices could not be heard")
        return None
    return [*voices, HeardWindow(window.start_ms, window.end_ms, packed)]


def _told_apart(
    segments: list[SpeechSegment],
    voices: list[HeardWindow] | None,
    count: Count,
    by_channel: Speakers | None,
) -> tuple[list[SpeechSegment], str]:
    """Return the segments cut where another one speaks, with names such as "Speaker 1", and how that went."""
    if voices is None and by_channel is None:
        return segments, SpeakersState.FAILED
    try:
        who = by_channel or speakers.tell_apart(voices or [], count)
        said = speakers.assign(segments, who)
    except Exception:
        logger.exception("The speakers could not be told apart")
        return segments, SpeakersState.FAILED
    named = [
        replace(one.segment, speaker="" if one.speaker is None else f"Speaker {one.speaker + 1}")
        for one in said
    ]
    return named, SpeakersState.UNSURE if who.hard_to_tell else SpeakersState.TOLD


def _hear(
    engine: Engine, samples: Samples, options: TranscribeOptions, on_segment: Callable[[SpeechSegment], None]
) -> Transcription:
    """Transcribe one window, with as many attempts as in a job, because a server may be busy for a moment."""
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
