"""What must be done once before the site starts, and again after an upgrade. Doing it again is harmless.

    python -m deploy.prepare      (with the site's environment)

The speech model is put together, the database migrated, and the static files are collected.
"""

from __future__ import annotations

import os
import sys

import django
from django.conf import settings
from django.core.management import call_command

from speech.engines.models import model_path


def prepare() -> None:
    """Prepare what the settings name; `django.setup()` must have been called."""
    if "local" in settings.ENGINES:
        for model in settings.LOCAL_MODELS:
            # Puts the base model together; of the others it says here, not in a worker, that one is missing.
            model_path(model, settings.MODELS_DIR)
    call_command("migrate", verbosity=0, interactive=False)
    if not settings.DEBUG:
        call_command("collectstatic", verbosity=0, interactive=False)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "transcribe_site.settings")
    django.setup()
    prepare()
    sys.stdout.write("The model, the database and the static files are ready.\n")
