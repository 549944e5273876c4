"""Answer whether the server is alive and whether it can work."""

from __future__ import annotations

import logging
import math
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from django.conf import settings
from django.core.files.storage import FileSystemStorage, default_storage
from django.db import DatabaseError, InterfaceError, connection, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from jobs_app.models import Runner
from transcribe_site.watching.askers import may_see_metrics
from transcribe_site.watching.prepared import unprepared

logger = logging.getLogger(__name__)

LOOK_AGAIN_AFTER_S = 3
WRITE_WITHIN_S = 1.0


@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Answer that this process is alive. Nothing else is checked."""
    return JsonResponse({"status": "alive"})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """Answer whether uploads can be stored now and will be transcribed; if not, 503 with the reasons.

    Strangers get only the codes of the reasons. The people who run the site also get the sentences, which
    name folders.
    """
    reasons, devices = last_look.result()
    if not reasons:
        shown = {"devices": devices} if devices and may_see_metrics(request) else {}
        return JsonResponse({"status": "ready", **shown})
    if may_see_metrics(request):
        detail = " ".join(reason["detail"] for reason in reasons)
    else:
        detail = "The server cannot work at the moment. Its log says why."
        reasons = [{"code": code} for code in dict.fromkeys(reason["code"] for reason in reasons)]
    return JsonResponse({"detail": detail, "code": "not_ready", "reasons": reasons}, status=503)


def devices_of_workers() -> dict[str, str]:
    """Return what the models of each machine compute on, as its job runner last reported."""
    runners = Runner.objects.alive().exclude(devices="").order_by("name")
    try:
        return dict(runners.values_list("name", "devices"))
    except (DatabaseError, InterfaceError):
        # The next look says that the database is away.
        return {}


class LastLook:
    """The result of the last check, which is kept for some seconds, so that many requests cost no more than
    one.

    A request that comes during a check waits for its result.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self.forget()

    def forget(self) -> None:
        self._found: list[dict[str, str]] = []
        self._devices: dict[str, str] = {}
        self._until = -math.inf

    def result(self) -> tuple[list[dict[str, str]], dict[str, str]]:
        """Return why the site cannot work, and what its models compute on if it can."""
        with self._lock:
            if time.monotonic() >= self._until:
                found = [*database_and_workers(), *storage()]
                if found and found != self._found:
                    logger.warning("Not ready: %s", " ".join(reason["detail"] for reason in found))
                self._found = found
                self._devices = {} if found else devices_of_workers()
                self._until = time.monotonic() + LOOK_AGAIN_AFTER_S
            return self._found, self._devices


last_look = LastLook()


def database_and_workers() -> Iterator[dict[str, str]]:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        missing = list(unprepared())
        yield from missing
        # The tables of another version may lack the columns of the next queries.
        if any(reason["code"] == "migrations_pending" for reason in missing):
            return
        if not can_write():
            yield {
                "code": "database_read_only",
                "detail": "The database cannot be written. Is its disk full, or its lock held by another?",
            }
        if not Runner.objects.alive().exists():
            yield {
                "code": "no_worker",
                "detail": "No worker has shown lately that it takes work. Is `manage.py jobrunner` running?",
            }
    except (DatabaseError, InterfaceError):
        yield {
            "code": "database",
            "detail": "The database does not answer. Is it running, and DATABASE_URL right?",
        }


def can_write() -> bool:
    """Try to write a row, roll it back, and return whether that worked."""
    now = timezone.now()
    try:
        with short_waits(), transaction.atomic():
            Runner.objects.bulk_create([Runner(name=f"readyz:{uuid.uuid4()}", workers=0, beat_at=now)])
            transaction.set_rollback(True)
    except (DatabaseError, InterfaceError) as error:
        logger.info("The database cannot be written: %s", error)
        return False
    return True


@contextmanager
def short_waits() -> Iterator[None]:
    """In this context, statements wait for locks of the database for at most WRITE_WITHIN_S."""
    wait_ms = int(WRITE_WITHIN_S * 1000)
    if connection.vendor == "sqlite":
        usual_ms = int(connection.settings_dict["OPTIONS"]["timeout"] * 1000)
        short, usual = f"PRAGMA busy_timeout = {wait_ms}", f"PRAGMA busy_timeout = {usual_ms}"
    else:
        short, usual = f"SET statement_timeout = {wait_ms}", "RESET statement_timeout"
    with connection.cursor() as cursor:
        cursor.execute(short)
    try:
        yield
    finally:
        if connection.is_usable():
            with connection.cursor() as cursor:
                cursor.execute(usual)


def storage() -> Iterator[dict[str, str]]:
    folders = [settings.FILE_UPLOAD_TEMP_DIR]
    if isinstance(default_storage, FileSystemStorage):
        folders.append(settings.MEDIA_ROOT)
    for folder in folders:
        try:
            # A file is written, because permission bits do not show that a file system is read-only or
            # broken.
            with tempfile.TemporaryFile(dir=folder) as f:
                f.write(b"x")
                f.flush()
            full = shutil.disk_usage(folder).free < settings.MIN_FREE_DISK_BYTES
        except OSError as e:
            detail = (
                f"{folder.name}/ in DATA_DIR cannot be written ({e.strerror}). Check its disk and its owner."
            )
            yield {"code": "storage", "detail": detail}
            continue
        if full:
            detail = f"{folder.name}/ in DATA_DIR has less than MIN_FREE_DISK_MB left. Make room."
            yield {"code": "storage_full", "detail": detail}
