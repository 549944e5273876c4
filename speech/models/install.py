"""Install a model: from a hub, a folder or an archive, with its sums checked, at once or not at all."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from errno import EDQUOT, ENOSPC
from pathlib import Path

from speech.errors import CannotInstall
from speech.models import store
from speech.models.archives import copy_folder, require_room, unpack
from speech.models.catalogue import KNOWN, WANTED, KnownModel, of_repository
from speech.models.hub import Hub, Progress
from speech.models.store import Installed
from speech.text.languages import ENGLISH, languages_of

FETCHING = ".fetching"
"""What has come of models that are not complete, each in a folder."""
LEFTOVER_S = 3600
LONGEST_NAME = 200
ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How large a model may be, and how much of the disk must stay free, in bytes."""

    model: int
    spare: int


def install(
    wanted: str, models_dir: Path, hub: Hub, limits: Limits, progress: Progress, *, name: str = ""
) -> Installed:
    """Install a model and return what is known of it.

    `wanted` is a name of the catalogue, `owner/name` or `owner/name@revision` on the hub, a folder, or an
    archive. Under `name` people choose it; without, it gets the one that it comes with.

    Raises:
        CannotInstall: it says why, and nothing has changed.
    """
    try:
        source = Path(wanted).expanduser()
        with _only_one(models_dir):
            # A folder that is called like a model of the catalogue is meant if it is written as ./small.
            if wanted not in KNOWN and (source.is_dir() or source.is_file()):
                return _from_disk(source, name or _name_of(source), models_dir, limits)
            return _from_hub(wanted, name, models_dir, hub, limits, progress)
    except RuntimeError as e:
        raise CannotInstall(f"{wanted[:200]}: {e}") from e
    except OSError as e:
        if e.errno in (ENOSPC, EDQUOT):
            raise CannotInstall(f"The disk became full. Make room in {models_dir}, then try again.") from e
        raise CannotInstall(f"{e.filename or models_dir}: {e.strerror or e}") from e


@contextmanager
def _only_one(models_dir: Path) -> Iterator[None]:
    """Let one process install at a time, and remove what one that was killed has left."""
    begun = models_dir / FETCHING
    begun.mkdir(parents=True, exist_ok=True)
    handle = os.open(begun, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for left in models_dir.glob(".new-*"):
            if time.time() - left.stat().st_mtime > LEFTOVER_S:
                shutil.rmtree(left, ignore_errors=True)
        yield
    except BlockingIOError as e:
        raise CannotInstall("Another model is being installed. Wait until that has ended.") from e
    finally:
        os.close(handle)


def _from_hub(
    wanted: str, name: str, models_dir: Path, hub: Hub, limits: Limits, progress: Progress
) -> Installed:
    repository, _, revision = wanted.partition("@")
    known = KNOWN.get(repository)
    if known is None and not ("/" in repository and store.is_name(repository)):
        raise CannotInstall(
            f"There is no model {wanted[:200]!r}. Choose one of {', '.join(KNOWN)}; owner/name or "
            "owner/name@revision of a hub; or a folder or an archive that is here."
        )
    _require_name(name := name or repository)
    if known is not None:
        repository, revision = known.repository, revision or known.revision
    if name in KNOWN and KNOWN[name].repository != repository:
        raise CannotInstall(
            f"{name} is the name of {KNOWN[name].repository}. Give this model another one, with --name."
        )
    commit, listed = hub.files(repository, revision or "main")
    files = [file for file in listed if file.name in WANTED]
    store.require_names({file.name for file in files})
    # What has come stays here until the model is installed.
    begun = _begun(repository, commit, models_dir)
    begun.mkdir(parents=True, exist_ok=True)
    missing = sum(file.size or 0 for file in files) - _size_of(begun)
    require_room(models_dir, missing, limits.spare)
    left = limits.model
    for file in files:
        left -= hub.fetch(repository, commit, file, begun, left, progress).stat().st_size
    store.require_model_files(begun)
    key = f"{repository}@{commit}"
    table = known.sums if known and commit == known.revision else _sums_for(repository, commit)
    checked = store.check_sums(
        begun,
        table=table,
        hub={file.name: file.sha256 for file in files},
        recorded=store.recorded_sums(key, models_dir),
    )
    with store.new_folder(models_dir) as folder:
        for each in checked:
            (begun / each).rename(folder / each)
        model = Installed(
            name=name,
            source=f"{hub.endpoint}/{repository}",
            repository=repository,
            revision=commit,
            english_only=_is_english(folder, known or of_repository(repository)),
            files=checked,
        )
        store.record_sums(key, checked, models_dir)
        store.place(folder, model, models_dir)
    _forget(repository, models_dir)
    return model


def _begun(repository: str, commit: str, models_dir: Path) -> Path:
    return models_dir / FETCHING / f"{store.folder_of(repository, models_dir).name}@{commit}"


def _size_of(folder: Path) -> int:
    size = 0
    for file in folder.iterdir():
        with suppress(FileNotFoundError):  # it was renamed just now
            size += file.stat().st_size
    return size


def unfinished(models_dir: Path) -> dict[str, int]:
    """Return how many bytes have come of what is not installed yet, by its repository on the hub."""
    found: dict[str, int] = {}
    for folder in sorted((models_dir / FETCHING).glob("*@*")):
        repository = folder.name.partition("@")[0].replace("--", "/")
        found[repository] = found.get(repository, 0) + _size_of(folder)
    return found


def forget_unfinished(name: str, models_dir: Path) -> bool:
    """Delete what has come of a model that is not installed. Return whether there was anything.

    Raises:
        CannotInstall: it is being installed.
    """
    repository = KNOWN[name].repository if name in KNOWN else name
    if repository not in unfinished(models_dir):
        return False
    with _only_one(models_dir):
        _forget(repository, models_dir)
    return True


def _forget(repository: str, models_dir: Path) -> None:
    for folder in (models_dir / FETCHING).glob(f"{store.folder_of(repository, models_dir).name}@*"):
        shutil.rmtree(folder, ignore_errors=True)


def _from_disk(source: Path, name: str, models_dir: Path, limits: Limits) -> Installed:
    _require_name(name)
    known = KNOWN.get(name)
    size = sum((source / each).stat().st_size for each in WANTED if (source / each).is_file())
    require_room(models_dir, size or source.stat().st_size, limits.spare)
    with store.new_folder(models_dir) as folder:
        if source.is_dir():
            copy_folder(source, folder, limits.model)
        else:
            unpack(source, folder, limits.model)
        store.require_model_files(folder)
        checked = store.check_sums(folder, table=known.sums if known else {}, hub={}, recorded={})
        model = Installed(
            name=name,
            source=str(source.resolve()),
            repository=known.repository if known else "",
            english_only=_is_english(folder, known),
            files=checked,
        )
        store.place(folder, model, models_dir)
    return model


def _require_name(name: str) -> None:
    if not store.is_name(name) or name.count("--") or len(name) > LONGEST_NAME:
        raise CannotInstall(
            f"{name[:200]!r} is no name for a model. Give it one with --name, such as my-small."
        )
    if name in KNOWN and KNOWN[name].packaged:
        raise CannotInstall(
            f"The model {name} comes with this program. Give yours another name, with --name."
        )


def _name_of(source: Path) -> str:
    """Return the name of the model in a folder or an archive: `small` for faster-whisper-small.tar.gz.

    The cache of a hub's client has it in models--Systran--faster-whisper-small/snapshots/536b06….
    """
    path = source.resolve()
    name = path.parent.parent.name.rpartition("--")[2] if path.parent.name == "snapshots" else path.name
    if source.is_file():
        name = next((name.removesuffix(end) for end in ENDINGS if name.endswith(end)), name)
    for known in KNOWN.values():
        if known.repository.endswith(f"/{name}"):
            return known.name
    return name.removeprefix("faster-whisper-").removeprefix("faster-")


def _sums_for(repository: str, commit: str) -> Mapping[str, str]:
    """Return the sums of a repository that was named itself, if it is one of the catalogue's."""
    return next(
        (each.sums for each in KNOWN.values() if (each.repository, each.revision) == (repository, commit)), {}
    )


def _is_english(folder: Path, known: KnownModel | None) -> bool:
    return known.english_only if known else languages_of(str(folder)) == ENGLISH
