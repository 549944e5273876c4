"""The folder in which the processes of one machine note that they are alive, and which of them does what.

The job runner is one process, and its workers are others, which Django-Q2 starts. The age of a file, its
existence, or a lock on it shows what the queue cannot show when it is broken.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import TextIO

from django.conf import settings


def beat() -> None:
    """Note for the job runner that a worker takes work."""
    _file("beat").touch()


def last_beat() -> float | None:
    """Return when a worker last called `beat`, in seconds since the epoch; None if none has done so yet."""
    try:
        return _file("beat").stat().st_mtime
    except FileNotFoundError:
        return None


def stop_taking_work() -> None:
    """Make workers take no new work, because the job runner stops."""
    _file("stopping").touch()


def take_work_again() -> None:
    _file("stopping").unlink(missing_ok=True)


def is_stopping() -> bool:
    return _file("stopping").exists()


def cluster_file() -> Path:
    """Return the file with the workers' process group.

    It is for a job runner that starts after one was killed.
    """
    return _file("cluster.pid")


def take_lock(name: str) -> TextIO | None:
    """Take the lock `name` of this machine, and hold it until the file is closed. Return None if it is taken.

    The file contains the id of the process that holds the lock.
    """
    file = _file(f"{name}.lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def holder(name: str) -> str:
    """Return the id of the process that last took this lock, as text for people."""
    return _file(f"{name}.lock").read_text() or "unknown"


def _file(name: str) -> Path:
    return Path(settings.RUN_DIR) / name
