"""Take a model out of a folder or an archive, for machines without a network.

An archive may be hostile: only plain files of known names are written, each under a name of ours and never
more than a limit.
"""

from __future__ import annotations

import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from stat import S_ISLNK
from typing import IO

from speech.errors import CannotInstall
from speech.models.catalogue import WANTED

BLOCK_BYTES = 1024 * 1024
MOST_MEMBERS = 1000
DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)
"""What Python's modules raise for an archive that they cannot read."""


def copy_folder(source: Path, target: Path, limit: int) -> None:
    """Copy the files of a model. They may be links, as in the cache of a hub's client.

    Raises:
        CannotInstall: they are larger than `limit` bytes together.
        OSError: one cannot be read or written.
    """
    left = limit
    for name in WANTED:
        if (source / name).is_file():
            with (source / name).open("rb") as file:
                left -= _copy(file, target / name, left)


def unpack(source: Path, target: Path, limit: int) -> None:
    """Write the files of the model in a tar or zip archive into `target`. The rest of it is left out.

    Raises:
        CannotInstall: it is no archive, is damaged, is larger than `limit` bytes, or is made to do harm.
        OSError: a file cannot be written.
    """
    left = limit
    try:
        for name, file in _members(source):
            if file is None or (target / name).exists():
                raise CannotInstall(f"The archive has {name} twice. Make one of the folder of one model.")
            left -= _copy(file, target / name, left)
    except DAMAGED as e:
        raise CannotInstall(f"{source.name} is no tar or zip archive, or is damaged ({e}).") from e
    except OSError as e:
        if e.errno is None:  # a compressed file that is damaged
            raise CannotInstall(f"{source.name} is damaged ({e}).") from e
        raise


def _members(source: Path) -> Iterator[tuple[str, IO[bytes] | None]]:
    """Yield the files of a model, each by its name without folders."""
    if zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as packed:
            for number, info in enumerate(packed.infolist()):
                is_plain = not S_ISLNK(info.external_attr >> 16)
                if name := _wanted(info.filename, number, is_folder=info.is_dir(), is_plain=is_plain):
                    with packed.open(info) as file:
                        yield name, file
        return
    with tarfile.open(source, "r|*") as tar:
        for number, member in enumerate(tar):
            is_plain = member.isreg()
            if name := _wanted(member.name, number, is_folder=member.isdir(), is_plain=is_plain):
                yield name, tar.extractfile(member)


def _wanted(path: str, number: int, *, is_folder: bool, is_plain: bool) -> str:
    """Return the name of a file that belongs to a model; '' if it is of no use.

    Raises:
        CannotInstall: no honest archive of a model has this in it.
    """
    parts = PurePosixPath(path.replace("\\", "/")).parts
    if number >= MOST_MEMBERS or path.startswith(("/", "\\")) or ".." in parts or ":" in path[:3]:
        raise CannotInstall(
            "The archive is refused: it has a path that leaves its folder, or too many files "
            f"({path[:100]!r})."
        )
    if is_folder:
        return ""
    if not is_plain:
        raise CannotInstall(
            f"The archive is refused: {path[:100]!r} is a link or a device. Pack plain files (tar "
            "--dereference)."
        )
    return parts[-1] if parts and parts[-1] in WANTED else ""


def _copy(source: IO[bytes], target: Path, limit: int) -> int:
    """Copy at most `limit` bytes, and return how many there were."""
    size = 0
    with target.open("xb") as file:
        while block := source.read(BLOCK_BYTES):
            size += len(block)
            if size > limit:
                raise CannotInstall(f"{target.name} is larger than MAX_MODEL_MB allows.")
            file.write(block)
    return size


def require_room(folder: Path, needed: int, spare: int) -> None:
    """Refuse what would leave less than `spare` bytes of the disk free.

    Raises:
        CannotInstall: it says how much is needed.
    """
    free = shutil.disk_usage(folder).free
    if free < needed + spare:
        raise CannotInstall(
            f"The disk is too full: the model needs {needed / 1e6:.0f} MB, and {spare / 1e6:.0f} MB must "
            f"stay free, but only {free / 1e6:.0f} MB are. Make room in {folder}."
        )
