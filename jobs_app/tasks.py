"""What queued messages name. Their dotted paths are stored in messages, so they are never renamed."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings

from jobs_app import claims, queue, work
from jobs_app.guard import beat


def stopping_file() -> Path:
    """Exists while the job runner of this machine stops: its workers then take nothing new."""
    return Path(settings.RUN_DIR) / "stopping"


def work_once() -> None:
    """Do the best unit of work there is, and see to it that the next one finds a worker."""
    beat()
    if stopping_file().exists():
        return
    work.run_one()
    if claims.anything_claimable():
        queue.wake()
