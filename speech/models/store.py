"""The folder of installed models. Each is a folder in it, which is there as a whole or not at all."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from speech.errors import CannotInstall
from speech.models.catalogue import NEEDED, VOCABULARIES, WANTED

NOTE = "installed.json"
SUMS = ".sums.json"
"""The sums that were recorded, by repository and commit. They outlive the models."""
WHOSE = {"table": "as this program knows", "hub": "as the hub says", "recorded": "as it had at first"}
_NAME = re.compile(r"[A-Za-z0-9]([\w.-]*\w)?(/\w([\w.-]*\w)?)?", re.ASCII)
_HEADER = re.compile(rb".{4}\x0c\x00WhisperSpec\x00", re.DOTALL)
"""How CTranslate2 begins a file with a Whisper model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledFile:
    """`checked` says what its sum was compared with: `table`, `hub`, or nothing when it was `recorded`."""

    sha256: str
    size: int
    checked: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What the note in the folder of an installed model says. `source` is for people."""

    name: str
    source: str
    repository: str = ""
    revision: str = ""
    english_only: bool = False
    files: Mapping[str, InstalledFile] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files.values())

    @property
    def checked(self) -> str:
        """Return the weakest check that all of its files have passed: `table`, `hub` or `recorded`."""
        return max((file.checked for file in self.files.values()), key=("table", "hub", "recorded").index)


def is_name(name: str) -> bool:
    """Whether a model may have this name: one like `small`, or `owner/name`."""
    return _NAME.fullmatch(name) is not None


def folder_of(name: str, models_dir: Path) -> Path:
    return models_dir / name.replace("/", "--")


def installed(name: str, models_dir: Path) -> Installed | None:
    """Return what is known of an installed model; None if it is not installed, or not all of it is there.

    Only the sizes of the files are compared. `verify` reads them.
    """
    if not is_name(name):
        return None
    folder = folder_of(name, models_dir)
    found = read_note(folder)
    try:
        whole = found and all((folder / file).stat().st_size == one.size for file, one in found.files.items())
    except OSError:
        return None
    return found if found and whole and found.name == name else None


def read_note(folder: Path) -> Installed | None:
    """Return what the note in a folder says of its model; None if there is none that can be read."""
    try:
        note = json.loads((folder / NOTE).read_bytes())
        files = {file: InstalledFile(**one) for file, one in note.pop("files").items()}
        return Installed(**note, files=files)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def all_installed(models_dir: Path) -> list[Installed]:
    """Return the models that were installed into this folder, by name."""
    names = sorted(path.parent.name.replace("--", "/") for path in models_dir.glob(f"[!.]*/{NOTE}"))
    return [found for name in names if (found := installed(name, models_dir))]


def verify(model: Installed, models_dir: Path) -> list[str]:
    """Read all files of an installed model. Return those that are not what they were."""
    folder = folder_of(model.name, models_dir)
    return [name for name, file in model.files.items() if sum_of(folder / name) != file.sha256]


def sum_of(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def require_names(there: Collection[str]) -> None:
    """Refuse files that are not those of a Whisper model for CTranslate2, by their names.

    Raises:
        CannotInstall: it says what is missing.
    """
    missing = [name for name in NEEDED if name not in there]
    if not missing and not any(name in there for name in VOCABULARIES):
        missing = [VOCABULARIES[0]]
    if missing:
        raise CannotInstall(
            f"This is no model for faster-whisper: it has no {', '.join(missing)}. Choose one in the format "
            "of CTranslate2, as those of Systran are."
        )


def require_model_files(folder: Path) -> None:
    """Refuse a folder that has no Whisper model for CTranslate2 in it.

    Raises:
        CannotInstall: it says what is missing, or wrong. What is wrong is deleted, to be fetched again.
    """
    there = {name for name in WANTED if (folder / name).is_file()}
    require_names(there)
    with (folder / "model.bin").open("rb") as weights:
        wrong = [] if _HEADER.match(weights.read(18)) else ["model.bin"]
    wrong += [name for name in sorted(there) if name.endswith(".json") and not _is_json(folder / name)]
    if wrong:
        for name in wrong:
            (folder / name).unlink()
        raise CannotInstall(
            f"This is no Whisper model in the format of CTranslate2, or it is damaged: look at {wrong[0]}."
        )


def _is_json(file: Path) -> bool:
    try:
        return isinstance(json.loads(file.read_bytes()), dict | list)
    except (ValueError, RecursionError):
        return False


def check_sums(
    folder: Path, *, table: Mapping[str, str], hub: Mapping[str, str], recorded: Mapping[str, str]
) -> dict[str, InstalledFile]:
    """Compare the files in a folder with their sums, and return what they are.

    Each sum that is known must be right; a file counts as checked by the first way that knows one.

    Raises:
        CannotInstall: a file is not what it should be. It is deleted, so that it is fetched again.
    """
    ways = {"table": table, "hub": hub, "recorded": recorded}
    found = {}
    for name in (name for name in WANTED if (folder / name).is_file()):
        file = folder / name
        actual = sum_of(file)
        expected = {way: sums[name] for way, sums in ways.items() if sums.get(name)}
        if wrong := next((way for way, digest in expected.items() if digest != actual), ""):
            file.unlink()
            raise CannotInstall(
                f"{name} has the SHA-256 {actual[:16]}…, and not {expected[wrong][:16]}… {WHOSE[wrong]}. It "
                "was damaged or changed on its way; nothing is installed. Try again, or another source."
            )
        checked = next(iter(expected), "recorded")
        found[name] = InstalledFile(sha256=actual, size=file.stat().st_size, checked=checked)
    return found


@contextmanager
def new_folder(models_dir: Path) -> Iterator[Path]:
    """Give a folder for the files of a model. It is removed at the end unless it was placed."""
    models_dir.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=".new-", dir=models_dir))
    try:
        yield unfinished
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def place(folder: Path, model: Installed, models_dir: Path) -> Path:
    """Move a folder with all files of a model to its place, at once. One of the same name is replaced."""
    note = asdict(model)
    (folder / NOTE).write_text(json.dumps(note, indent=2))
    for name in (*model.files, NOTE):
        with (folder / name).open("rb") as file:
            os.fsync(file.fileno())
    folder.chmod(0o755)
    target = folder_of(model.name, models_dir)
    with alone(models_dir), new_folder(models_dir) as old:
        if target.exists():
            target.rename(old / "model")
        folder.rename(target)
    return target


def remove(name: str, models_dir: Path) -> None:
    """Delete an installed model.

    Raises:
        CannotInstall: there is none of this name.
    """
    target = folder_of(name, models_dir)
    if not is_name(name) or not (target / NOTE).is_file():
        raise CannotInstall(f"There is no installed model {name!r}. `manage.py models` lists them.")
    with alone(models_dir), new_folder(models_dir) as old:
        target.rename(old / "model")


def recorded_sums(key: str, models_dir: Path) -> dict[str, str]:
    """Return the sums of the files that were recorded under `key`, a repository and its commit."""
    sums = _sums(models_dir).get(key)
    return dict(sums) if isinstance(sums, dict) else {}


def record_sums(key: str, files: Mapping[str, InstalledFile], models_dir: Path) -> None:
    with alone(models_dir):
        sums = _sums(models_dir) | {key: {name: file.sha256 for name, file in files.items()}}
        unfinished = models_dir / f"{SUMS}.new"
        unfinished.write_text(json.dumps(sums, indent=2))
        unfinished.rename(models_dir / SUMS)


def _sums(models_dir: Path) -> dict[str, object]:
    try:
        sums = json.loads((models_dir / SUMS).read_bytes())
    except (OSError, ValueError):
        return {}
    return sums if isinstance(sums, dict) else {}


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a lock, so that one process works at a time. It ends with the process that holds it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
