"""Prepare the site before its first start, and again after an upgrade. Doing it again is harmless.

    python -m deploy.prepare      (with the site's environment)

It puts the speech model together, migrates the database, and collects the static files.
"""

from __future__ import annotations

import sys

import django
from django.conf import settings
from django.core.management import call_command

from speech.engines.models import model_path
from transcribe_site import start
from transcribe_site.watching.prepared import of_another_version


def prepare() -> None:
    """Prepare what the settings name. `django.setup()` must have been called."""
    from jobs_app.engines.local_models import note_all

    if detail := of_another_version():
        sys.exit(f"Cannot start: {detail}")
    if "local" in settings.ENGINES:
        for model in settings.LOCAL_MODELS:
            # This puts the base model together. For another model that is missing, it fails here and not in a
            # worker.
            model_path(model, settings.MODELS_DIR)
    call_command("migrate", verbosity=0, interactive=False)
    note_all()
    if not settings.DEBUG:
        call_command("collectstatic", verbosity=0, interactive=False)


if __name__ == "__main__":
    start.begin()
    django.setup()
    prepare()
    sys.stdout.write("The model, the database and the static files are ready.\n")
