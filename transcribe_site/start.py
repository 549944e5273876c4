"""Prepare each process of the site before anything else."""

from __future__ import annotations

import os
import sys

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


def begin() -> None:
    """Prepare this process. If that is impossible, end it with one sentence on standard error."""
    try:
        prepare()
    except ImproperlyConfigured as error:
        sys.exit(f"Cannot start: {error}")


def prepare() -> None:
    """Read the settings, make the folders, and limit the threads of libraries.

    Raises:
        ImproperlyConfigured: a setting cannot be used, or a folder cannot be made.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "transcribe_site.settings")
    # The first use of a setting, in make_folders, reads all settings.
    make_folders()
    # numpy, ctranslate2 and onnxruntime read this when they are imported, so it must be set before that.
    os.environ.setdefault("OMP_NUM_THREADS", str(settings.ENGINE_THREADS))


def make_folders() -> None:
    """Make DATA_DIR, which only its owner and group can enter, and the folders in it."""
    folders = (
        settings.DATA_DIR,
        settings.MEDIA_ROOT,
        settings.FILE_UPLOAD_TEMP_DIR,
        settings.WORK_DIR,
        settings.RUN_DIR,
        settings.MODELS_DIR,
        settings.STATIC_ROOT,
    )
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            raise ImproperlyConfigured(f"DATA_DIR: {folder} cannot be made ({e.strerror})") from e
    # Recordings, transcripts and logins are in DATA_DIR. If another account owns the folder, only that
    # account can close it.
    if (entry := settings.DATA_DIR.stat()).st_mode & 0o007 and entry.st_uid == os.geteuid():
        settings.DATA_DIR.chmod(entry.st_mode & 0o7770)
