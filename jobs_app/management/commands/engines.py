import json
from argparse import ArgumentParser, BooleanOptionalAction
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from jobs_app.engines.check import OfferedModel, Trial, offered_models, try_model
from jobs_app.engines.offered import engine_models
from speech.engines.base import Capabilities

_TIMES = {"words": "words", "segments": "segments", "window": "whole windows"}


class Command(BaseCommand):
    help = (
        "List the engines and models that jobs may use, with what each can do, and try each with a second of "
        "speech. Trying a speech server costs a request. It ends with 1 when one fails."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--engine", default="", metavar="NAME", help="only this one")
        parser.add_argument(
            "--try",
            dest="try_them",
            action=BooleanOptionalAction,
            default=True,
            help="transcribe a second of speech with each model; --no-try asks no server anything",
        )
        parser.add_argument("--json", action="store_true", help="for programs")

    def handle(self, *args: Any, **given: Any) -> None:
        if given["engine"] and given["engine"] not in engine_models():
            raise CommandError(
                f"There is no engine {given['engine']!r} here. Choose one of: {', '.join(engine_models())}."
            )
        rows: list[dict[str, object]] = []
        failed = 0
        engine = ""
        for offered in offered_models(given["engine"], ask=given["try_them"]):
            if offered.engine != engine and not given["json"]:
                engine = offered.engine
                self.stdout.write(_headline(offered))
            if not given["json"]:
                self.stdout.write(f"  {offered.model}: {'; '.join(_abilities(offered))}")
            trial = try_model(offered.engine, offered.model) if given["try_them"] else None
            failed += trial is not None and not trial.ok
            if trial is not None and not given["json"]:
                self.stdout.write(f"    {_outcome(trial)}")
            rows.append(_row(offered, trial))
        if settings.TRANSLATOR and not given["json"]:
            by = settings.TRANSLATOR
            self.stdout.write(f"Translations by {by.models[0]}: text is sent to {by.host}")
        if given["json"]:
            self.stdout.write(json.dumps(rows, indent=2, ensure_ascii=False))
        if failed:
            raise CommandError(f"{failed} of {len(rows)} models failed.")


def _headline(offered: OfferedModel) -> str:
    place = f"audio is sent to {offered.sends_audio_to}" if offered.sends_audio_to else "on this machine"
    roles = [
        role
        for role, engine in (("default", settings.DEFAULT_ENGINE), ("fallback", settings.FALLBACK_ENGINE))
        if engine == offered.engine
    ]
    return f"{offered.engine} ({', '.join([place, *roles])})"


def _abilities(offered: OfferedModel) -> list[str]:
    can = offered.can
    said = [_languages(can), "word times" if can.word_times else "no word times"]
    said.append("hint words" if can.prompt else "no hint words")
    if can.translates_to:
        said.append(f"translates into {', '.join(sorted(can.translates_to))}")
    said.append(f"windows of {can.min_window_s} to {can.max_window_s} s")
    if offered.max_request_bytes:
        said.append(f"requests of up to {offered.max_request_bytes / 1e6:.0f} MB")
    if offered.max_audio_s:
        said.append(f"audio of up to {offered.max_audio_s} s")
    if offered.listed is False:
        said.append("NOT in the server's own list of models")
    return said


def _languages(can: Capabilities) -> str:
    if not can.languages:
        return "any language"
    known = ", ".join(sorted(can.languages)) if len(can.languages) < 5 else f"{len(can.languages)} languages"
    return known if can.detects_language else f"{known} only"


def _outcome(trial: Trial) -> str:
    if trial.ok:
        heard = f"{trial.heard} (with times of {_TIMES[trial.timing]})" if trial.heard else "no words"
        return f"ok in {trial.seconds:.1f} s: {heard}"
    return f"FAILED after {trial.seconds:.1f} s: {trial.error} ({trial.code})"


def _row(offered: OfferedModel, trial: Trial | None) -> dict[str, object]:
    can = {
        name: sorted(value) if isinstance(value, frozenset) else value
        for name, value in asdict(offered.can).items()
    }
    tried = None if trial is None else {"ok": trial.ok, **asdict(trial)}
    return {**asdict(offered), "can": can, "trial": tried}
