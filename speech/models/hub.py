"""Fetch the files of a model from a hub, or from a mirror of it: `HF_ENDPOINT`.

Only that server is asked, and the one to which it redirects. What was interrupted goes on where it stopped.
huggingface_hub is not used: it throws away what an interrupted download has got, and asks a second kind of
server (xet) for large files.
"""

from __future__ import annotations

import http.client
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

from speech.errors import CannotInstall

BLOCK_BYTES = 1024 * 1024
MOST_LISTING_BYTES = 8 * BLOCK_BYTES
_COMMIT = re.compile(r"[\w.-]{1,100}", re.ASCII)
BUSY = (408, 429, 500, 502, 503, 504)
UNREACHABLE = (URLError, http.client.HTTPException, ConnectionError, TimeoutError)

Progress = Callable[[str, int, int | None], None]
"""Is called with the name of a file, how much of it is here, and its size, in bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFile:
    """A file of a repository. `size` and `sha256` are what the hub says, if it does."""

    name: str
    size: int | None = None
    sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hub:
    """A server that speaks the API of the Hugging Face Hub, as far as it is needed here.

    An interrupted download is tried again after each of `pauses_s`, counted anew whenever something has come.
    """

    endpoint: str
    token: str = ""
    timeout_s: float = 30
    pauses_s: tuple[float, ...] = (1, 2, 4, 8)

    def files(self, repository: str, revision: str) -> tuple[str, list[HubFile]]:
        """Return the commit that `revision` stands for, and the files of the repository.

        Raises:
            CannotInstall: there is no such thing, or the hub does not answer.
        """
        what = f"{repository}@{revision}"
        path = f"api/models/{quote(repository)}/revision/{quote(revision, safe='')}?blobs=true"
        try:
            with self._open(path) as answer:
                text = answer.read(MOST_LISTING_BYTES)
        except HTTPError as e:
            raise CannotInstall(self._why(e.code, what)) from e
        except UNREACHABLE as e:
            raise CannotInstall(
                f"{self.endpoint} cannot be reached ({_reason(e)}). Check the network and HF_ENDPOINT, or "
                "install from a folder or an archive."
            ) from e
        try:
            listing = json.loads(text)
            files = [_hub_file(one) for one in listing["siblings"]]
            if _COMMIT.fullmatch(listing["sha"]):
                return listing["sha"], files
            problem = None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
            problem = e
        raise CannotInstall(
            f"{self.endpoint} does not answer as a model hub does. Check HF_ENDPOINT."
        ) from problem

    def fetch(
        self, repository: str, commit: str, file: HubFile, folder: Path, limit: int, progress: Progress
    ) -> Path:
        """Download a file into `folder` and return its path. What is there of it already is not sent again.

        Raises:
            CannotInstall: it did not come, or is longer than `limit` bytes.
            OSError: it cannot be written.
        """
        target, part = folder / file.name, folder / f"{file.name}.part"
        if target.is_file():
            return target
        path = f"{quote(repository)}/resolve/{quote(commit, safe='')}/{quote(file.name)}"
        failures = 0
        while True:
            before = _size(part)
            try:
                if self._get_more(path, part, file, limit, progress):
                    part.rename(target)
                    return target
                problem = "the connection ended early"
            except HTTPError as e:
                if e.code not in BUSY:
                    raise CannotInstall(self._why(e.code, file.name)) from e
                problem = f"status {e.code}"
            except UNREACHABLE as e:
                problem = _reason(e)
            failures = 0 if _size(part) > before else failures + 1
            if failures > len(self.pauses_s):
                raise CannotInstall(
                    f"{file.name} did not come from {self.endpoint} ({problem}). Run the same command again: "
                    "it goes on where it stopped."
                )
            time.sleep(self.pauses_s[failures - 1] if failures else 0)

    def _get_more(self, path: str, part: Path, file: HubFile, limit: int, progress: Progress) -> bool:
        """Add what one request brings to `part`. Return whether that is all of the file."""
        here = _size(part)
        if file.size is not None and here == file.size:
            return True
        with self._open(path, begin=here) as answer:
            resumed = answer.status == 206 and _begins_at(answer) == here
            here = here if resumed else 0
            rest = answer.headers.get("Content-Length")
            size = here + int(rest) if rest and rest.isdecimal() else file.size
            if max(size or 0, file.size or 0) > limit:
                raise CannotInstall(f"{file.name} is larger than MAX_MODEL_MB allows.")
            with part.open("ab" if resumed else "wb") as target:
                while block := answer.read(BLOCK_BYTES):
                    here += len(block)
                    if here > limit:
                        raise CannotInstall(f"{file.name} is larger than MAX_MODEL_MB allows.")
                    target.write(block)
                    progress(file.name, here, size)
        whole = size is None or here == size
        if file.size is not None and (here > file.size or (whole and here < file.size)):
            # A proxy may have answered with a page of its own. Nothing must be added to that.
            part.unlink()
            raise CannotInstall(
                f"{file.name} is {'longer' if here > file.size else 'shorter'} than the hub says. Run the "
                "same command again."
            )
        return whole

    def _open(self, path: str, begin: int = 0) -> Any:
        request = Request(f"{self.endpoint}/{path}", headers={"User-Agent": "transcribe"})  # noqa: S310
        if begin:
            request.add_header("Range", f"bytes={begin}-")
        if self.token:
            # It is not for the server to which the hub redirects.
            request.add_unredirected_header("Authorization", f"Bearer {self.token}")
        try:
            return urlopen(request, timeout=self.timeout_s)  # noqa: S310  the setting takes http and https
        except HTTPError as e:
            if begin and e.code == 416:
                return self._open(path)
            raise

    def _why(self, status: int, what: str) -> str:
        if status == 404:
            return f"{self.endpoint} has no {what}. Check the name and the revision."
        if status in (401, 403):
            return (
                f"{self.endpoint} does not give {what} to everybody, or there is no such model. Check the "
                "name; if it is right, accept its terms there and set HF_TOKEN."
            )
        return f"{self.endpoint} answered with status {status} when asked for {what}. Try again later."


def _hub_file(one: dict[str, Any]) -> HubFile:
    lfs = one.get("lfs") or {}
    size = lfs.get("size", one.get("size"))
    return HubFile(
        name=str(one["rfilename"]),
        size=size if isinstance(size, int) else None,
        sha256=str(lfs.get("sha256") or ""),
    )


def _begins_at(answer: http.client.HTTPResponse) -> int | None:
    """Return where a part begins, from `Content-Range: bytes 100-199/200`."""
    begin = (answer.headers.get("Content-Range") or "").removeprefix("bytes ").partition("-")[0]
    return int(begin) if begin.isdecimal() else None


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", "") or error or type(error).__name__)
