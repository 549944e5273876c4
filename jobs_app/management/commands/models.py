from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from jobs_app.engines import devices, local_models
from jobs_app.engines.local_models import ModelRow
from speech.engines.models import PACKAGED, is_here, model_path
from speech.errors import CannotInstall, ModelUnavailable
from speech.models import store
from speech.models.catalogue import KNOWN, MB
from speech.models.hub import Hub
from speech.models.install import Limits, forget_unfinished, install, unfinished

CHECKED = {
    "table": "sums known",
    "hub": "sums as the hub says",
    "recorded": "sums recorded at the first install",
}


NEED_DATABASE = ("remove", "default", "offer", "withdraw")
TOLD_AT = 10
"""Where standard error is no terminal, a line comes after each so many percent of a file."""


class Command(BaseCommand):
    help = (
        "List the speech models that can be had, what is installed here, what people may choose and what is "
        "the default. Install one from a hub (HF_ENDPOINT), a folder or an archive; remove one; choose the "
        "default."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", metavar="VERB")
        listing = verbs.add_parser("list", help="what there is (what is done without a verb)")
        listing.add_argument("--json", action="store_true", help="for programs")
        adding = verbs.add_parser("install", help="fetch one and let people choose it")
        adding.add_argument(
            "model",
            help=f"{', '.join(KNOWN)}; owner/name or owner/name@revision of the hub; a folder; a tar or zip "
            "archive",
        )
        adding.add_argument("--name", default="", help="what it is called here")
        adding.add_argument(
            "--not-offered", action="store_true", help="let nobody choose it until staff offer it"
        )
        adding.add_argument("--default", action="store_true", help="make it the default")
        removing = verbs.add_parser("remove", help="delete one from this machine")
        removing.add_argument("model")
        removing.add_argument("--force", action="store_true", help="even if something needs it")
        for verb, words in (
            ("default", "take it where nobody chooses"),
            ("offer", "let people choose it"),
            ("withdraw", "let people choose it no longer"),
            ("verify", "read all of its files, and compare their sums"),
        ):
            verbs.add_parser(verb, help=words).add_argument("model")

    def handle(self, *args: Any, **given: Any) -> None:
        verb = given["verb"] or "list"
        if verb in NEED_DATABASE and not local_models.is_prepared():
            raise CommandError("The database is not prepared yet. Run `python -m deploy.prepare` first.")
        try:
            getattr(self, f"_{verb}")(given)
        except (CannotInstall, ModelUnavailable) as e:
            raise CommandError(str(e)) from e
        except KeyboardInterrupt as e:
            raise CommandError(
                "Interrupted. Nothing is installed; the same command goes on where it stopped.",
                returncode=130,
            ) from e

    def _list(self, given: dict[str, Any]) -> None:
        rows = local_models.rows()
        if given.get("json"):
            self.stdout.write(json.dumps([_for_programs(row) for row in rows], indent=2))
            return
        self.stdout.write(f"This machine: {devices.summary() or devices.device_here()}")
        for row in rows:
            self.stdout.write(f"{row.name}: {'; '.join(_said(row))}")
        for repository, size in unfinished(settings.MODELS_DIR).items():
            self.stdout.write(
                f"{size / MB:.0f} MB have come of {repository}, which is not installed: `manage.py models "
                f"install` goes on, `manage.py models remove {repository}` deletes them."
            )

    def _install(self, given: dict[str, Any]) -> None:
        hub = Hub(endpoint=settings.HF_ENDPOINT, token=settings.HF_TOKEN)
        limits = Limits(model=settings.MAX_MODEL_BYTES, spare=settings.MIN_FREE_DISK_BYTES)
        with _Bar() as bar:
            model = install(given["model"], settings.MODELS_DIR, hub, limits, bar.show, name=given["name"])
        self.stdout.write(f"{model.name} is installed: {model.size / MB:.0f} MB, {CHECKED[model.checked]}.")
        if not local_models.is_prepared():
            self.stdout.write(
                "The database is not prepared yet. Name the model in LOCAL_MODEL or LOCAL_MODELS."
            )
            return
        local_models.offer(model.name, not given["not_offered"] or given["default"])
        if given["default"]:
            self._default({"model": model.name})
        local_models.note_all()
        self.stdout.write("Try it: manage.py engines --engine local")

    def _remove(self, given: dict[str, Any]) -> None:
        name = given["model"]
        reasons = local_models.users_of(name)
        if reasons and not given["force"]:
            raise CannotInstall(
                f"{name} is needed: {', '.join(reasons)}. Change that first, or say --force: then such jobs "
                "fail."
            )
        if name in KNOWN and KNOWN[name].packaged:
            raise CannotInstall(
                f"{name} comes with this program and stays. `manage.py models withdraw {name}` hides it."
            )
        if store.installed(name, settings.MODELS_DIR) is None and forget_unfinished(
            name, settings.MODELS_DIR
        ):
            self.stdout.write(f"What had come of {name} is deleted.")
            return
        store.remove(name, settings.MODELS_DIR)
        self.stdout.write(f"{name} is removed.")

    def _default(self, given: dict[str, Any]) -> None:
        local_models.make_default(given["model"])
        self.stdout.write(f"{given['model']} is the default for new jobs.")

    def _offer(self, given: dict[str, Any]) -> None:
        _require_here(given["model"])
        local_models.offer(given["model"], True)
        self.stdout.write(f"People may choose {given['model']}.")

    def _withdraw(self, given: dict[str, Any]) -> None:
        if given["model"] not in [row.name for row in local_models.rows()]:
            raise CannotInstall(f"There is no model {given['model'][:200]!r}. `manage.py models` lists them.")
        local_models.offer(given["model"], False)
        self.stdout.write(f"People cannot choose {given['model']} any more.")

    def _verify(self, given: dict[str, Any]) -> None:
        if given["model"] in PACKAGED:
            model_path(given["model"], settings.MODELS_DIR)
            self.stdout.write(f"{given['model']} is as it should be ({CHECKED['table']}).")
            return
        note = store.installed(given["model"], settings.MODELS_DIR)
        if note is None:
            raise CannotInstall(f"There is no installed model {given['model']!r}, or not all of it is there.")
        if wrong := store.verify(note, settings.MODELS_DIR):
            raise CommandError(
                f"{', '.join(wrong)} changed since it was installed. Install {note.name} again."
            )
        self.stdout.write(f"{note.name} is as it was installed ({CHECKED[note.checked]}).")


class _Bar:
    """A bar for each file, on standard error; lines where that is no terminal."""

    def __init__(self) -> None:
        self._bar: tqdm[None] | None = None
        self._name = ""
        self._told = 0

    def show(self, name: str, here: int, size: int | None) -> None:
        if name != self._name or self._bar is None:
            self._close()
            self._name, self._told = name, 0
            self._bar = tqdm(
                desc=name, total=size, unit="B", unit_scale=True, unit_divisor=1000, disable=None
            )
        if self._bar.disable:
            self._tell(here, size)
        else:
            self._bar.update(here - self._bar.n)

    def _tell(self, here: int, size: int | None) -> None:
        tenths = 100 * here // size // TOLD_AT if size else 0
        if tenths > self._told:
            self._told = tenths
            sys.stderr.write(f"{self._name}: {tenths * TOLD_AT} % of {(size or 0) / MB:.1f} MB\n")

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()


def _require_here(name: str) -> None:
    if not is_here(name, settings.MODELS_DIR):
        raise CannotInstall(f"{name} is not installed here. Run `manage.py models install {name}` first.")


def _said(row: ModelRow) -> list[str]:
    size = "size unknown" if row.size is None else f"{row.size / MB:.0f} MB"
    languages = {True: "English only", False: "99 languages", None: "languages unknown"}[row.english_only]
    memory = row.known.memory_mb if row.known else None
    said = [
        size,
        languages,
        f"memory {f'{memory} MB a worker' if memory else 'not measured'}",
        f"speed {f'{row.speed:.1f} x real time' if row.speed else 'not measured'}",
        row.known.licence if row.known else "licence: see its source",
        "installed" if row.is_here else "not installed",
    ]
    if row.checked:
        said.append(CHECKED[row.checked])
    if row.is_here and row.offered:
        said.append("people may choose it")
    if row.is_default:
        said.append("DEFAULT")
    return said


def _for_programs(row: ModelRow) -> dict[str, object]:
    known = row.known
    return {
        "name": row.name,
        "bytes": row.size,
        "english_only": row.english_only,
        "memory_mb": known.memory_mb if known else None,
        "speed": row.speed,
        "licence": known.licence if known else "",
        "installed": row.is_here,
        "offered": row.offered,
        "default": row.is_default,
        "checked": row.checked,
        "note": asdict(row.note) if row.note else None,
    }
