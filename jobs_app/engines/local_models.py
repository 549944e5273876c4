"""Which models of the local engine people may choose, and which one is taken where nobody chooses."""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass

from django.conf import settings
from django.db import OperationalError, ProgrammingError, transaction
from django.db.models import Q
from django.db.models.signals import post_delete, post_save

from jobs_app.models import ChunkTranscription, LocalModel, TranscriptionJob, WorkStatus
from people_app.models import User
from speech.engines import capabilities
from speech.engines.base import Capabilities
from speech.engines.models import is_directory, is_here
from speech.errors import CannotInstall, ModelNotInstalled, NotSupported
from speech.models.catalogue import KNOWN, KnownModel
from speech.models.store import Installed, all_installed, folder_of, installed
from speech.text.languages import ENGLISH

KEPT_S = 1.0
SPEED_OF_LAST = 5000
"""So many of the last windows are looked at to tell how fast a model is."""
SHORTEST_MS = 10_000
"""Shorter windows tell little of the speed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRow:
    """All that is known of a model. `speed` is how many times as fast as real time it was; None: unknown."""

    name: str
    known: KnownModel | None = None
    note: Installed | None = None
    is_here: bool = False
    offered: bool = False
    is_default: bool = False
    speed: float | None = None

    @property
    def size(self) -> int | None:
        return self.note.size if self.note else self.known.size if self.known else None

    @property
    def english_only(self) -> bool | None:
        return self.note.english_only if self.note else self.known.english_only if self.known else None

    @property
    def checked(self) -> str:
        """Return what the sums of its files were compared with; empty if it is not here, or a directory."""
        if self.note:
            return self.note.checked
        return "table" if self.is_here and self.known else ""


def local_models() -> list[str]:
    """Return the models that people may choose and that are on this machine, the default one first.

    If not even the default one is here, it is the only one: to take it then says what to do.
    """
    wishes = _wishes()
    default = _default(wishes)
    here = [name for name in _offered(wishes) if is_here(name, settings.MODELS_DIR)]
    return [default, *(name for name in here if name != default)] if default in here else here or [default]


def default_model() -> str:
    return _default(_wishes())


def rows() -> list[ModelRow]:
    """Return the models that can be had and those that are here, in the order of the catalogue."""
    wishes, notes = _wishes(), {note.name: note for note in all_installed(settings.MODELS_DIR)}
    offered, default = set(_offered(wishes)), _default(wishes)
    speeds = _speeds() if is_prepared() else {}
    return [
        ModelRow(
            name=name,
            known=KNOWN.get(name),
            note=notes.get(name),
            is_here=is_here(name, settings.MODELS_DIR),
            offered=name in offered,
            is_default=name == default,
            speed=speeds.get(name),
        )
        for name in dict.fromkeys([*KNOWN, *settings.LOCAL_MODELS, *notes, *wishes])
    ]


def note_all() -> None:
    """Make a row for each model that can be had or is here, so that staff see it in the admin."""
    known = set(LocalModel.objects.values_list("name", flat=True))
    LocalModel.objects.bulk_create(
        [LocalModel(name=row.name) for row in rows() if row.name not in known], ignore_conflicts=True
    )


def require_offered(model: str) -> None:
    """Refuse a model that is not here, or that people may not choose.

    Raises:
        ModelNotInstalled: it is known, but not installed on this machine.
        NotSupported: there is no such model, or it is not offered.
    """
    wishes = _wishes()
    offered = _offered(wishes)
    known = model in offered or model in KNOWN
    if known and not is_here(model, settings.MODELS_DIR):
        raise ModelNotInstalled(model)
    if model not in offered:
        choices = ", ".join(local_models())
        raise NotSupported(
            f"The engine 'local' has no model {model!r} here. Choose one of: {choices}.", option="model"
        )


def offer(name: str, wish: bool) -> None:
    """Let people choose a model, or no longer.

    Raises:
        CannotInstall: it is the default one.
    """
    if not wish and name == default_model():
        raise CannotInstall(f"The model {name} is the default. Make another model the default first.")
    LocalModel.objects.update_or_create(name=name, defaults={"offered": wish})


def make_default(name: str) -> None:
    """Take a model where nobody chooses one.

    Raises:
        CannotInstall: it is not on this machine, or knows none of the languages that the site allows.
    """
    if not is_here(name, settings.MODELS_DIR):
        raise CannotInstall(
            f"The model {name} is not installed here. Run `manage.py models install {name}` first."
        )
    if settings.LANGUAGES_ALLOWED and not able(name).languages.intersection(settings.LANGUAGES_ALLOWED):
        raise CannotInstall(
            f"The model {name} knows none of the languages in LANGUAGES_ALLOWED "
            f"({', '.join(settings.LANGUAGES_ALLOWED)}), so that no job could be done with it."
        )
    with transaction.atomic():
        LocalModel.objects.filter(is_default=True).update(is_default=False)
        LocalModel.objects.update_or_create(name=name, defaults={"offered": True, "is_default": True})


def users_of(name: str) -> list[str]:
    """Return what needs a model, in words for people; empty if it can go."""
    reasons = []
    if name == default_model():
        reasons.append("it is the default")
    if name in settings.LOCAL_MODELS:
        reasons.append("LOCAL_MODEL or LOCAL_MODELS names it")
    if settings.FALLBACK_ENGINE == "local" and name == settings.FALLBACK_MODEL:
        reasons.append("FALLBACK_MODEL names it")
    needs = Q(engine="local", model=name) | Q(
        stored_options__fallback_engine="local", stored_options__fallback_model=name
    )
    if jobs := TranscriptionJob.objects.active().filter(needs).count():
        reasons.append(f"{jobs} open job{'' if jobs == 1 else 's'} need it")
    prefers = Q(job_defaults__model=name) | Q(job_defaults__fallback_model=name)
    if people := User.objects.filter(prefers).count():
        reasons.append(f"{people} {'person prefers' if people == 1 else 'people prefer'} it")
    return reasons


def is_prepared() -> bool:
    """Whether the database has its tables. Before `migrate`, models can be installed and used already."""
    try:
        LocalModel.objects.exists()
    except (OperationalError, ProgrammingError):
        return False
    return True


class _Kept:
    """What staff wish for each model. It is kept for a second: a page asks for each model of its lists."""

    def __init__(self) -> None:
        self.forget()

    def forget(self, **_: object) -> None:
        self._rows: dict[str, LocalModel] = {}
        self._until = -math.inf

    def rows(self) -> dict[str, LocalModel]:
        if time.monotonic() >= self._until:
            self._rows = {wish.name: wish for wish in LocalModel.objects.all()}
            self._until = time.monotonic() + KEPT_S
        return self._rows


kept = _Kept()
post_save.connect(kept.forget, sender=LocalModel)
post_delete.connect(kept.forget, sender=LocalModel)


def _wishes() -> dict[str, LocalModel]:
    try:
        return kept.rows()
    except (OperationalError, ProgrammingError):
        return {}


def _default(wishes: Mapping[str, LocalModel]) -> str:
    return next((name for name, wish in wishes.items() if wish.is_default), settings.LOCAL_MODELS[0])


def _offered(wishes: Mapping[str, LocalModel]) -> list[str]:
    """Return the models that people may choose, wherever they are, as the catalogue orders them."""
    names = dict.fromkeys([*settings.LOCAL_MODELS, *wishes])
    order = [*(name for name in KNOWN if name in names), *(name for name in names if name not in KNOWN)]
    return [name for name in order if _is_offered(name, wishes)]


def _is_offered(name: str, wishes: Mapping[str, LocalModel]) -> bool:
    wish = wishes[name].offered if name in wishes else None
    return name in settings.LOCAL_MODELS if wish is None else wish


def _speeds() -> dict[str, float]:
    """Return how many seconds of audio each model did in a second, in the last windows of this machine."""
    windows = (
        ChunkTranscription.objects.filter(
            engine="local",
            status=WorkStatus.DONE,
            worker__startswith=f"{socket.gethostname()}:",
            speech_ms__gt=0,
        )
        .order_by("-id")
        .values_list("model", "start_ms", "end_ms", "started_at", "finished_at")
    )
    took: dict[str, list[float]] = {}
    for model, start_ms, end_ms, started, finished in windows[:SPEED_OF_LAST]:
        if started and finished and end_ms - start_ms >= SHORTEST_MS:
            sums = took.setdefault(model, [0.0, 0.0])
            sums[0] += (end_ms - start_ms) / 1000
            sums[1] += (finished - started).total_seconds()
    return {model: audio / seconds for model, (audio, seconds) in took.items() if seconds}


def able(model: str) -> Capabilities:
    """Return what a model can do, without loading it."""
    here = model not in KNOWN and installed(model, settings.MODELS_DIR)
    return capabilities("local", model, directory=str(folder_of(model, settings.MODELS_DIR)) if here else "")


def label_of(model: str) -> str:
    """Return how people choose a model: by a word, with its name behind it."""
    only = ", English only" if able(model).languages == ENGLISH else ""
    known, usual = KNOWN.get(model), KNOWN.get(default_model())
    if model == default_model():
        word = "Usual"
    elif known is None or usual is None:
        return f"{model.rsplit('/', 1)[-1] if is_directory(model) else model}{only}"
    else:
        order = list(KNOWN)
        word = "Faster" if order.index(model) < order.index(usual.name) else "Better, slower"
    return f"{word}{only} ({model.rsplit('/', 1)[-1] if is_directory(model) else model})"
