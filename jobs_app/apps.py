import sys
from importlib import import_module

from django.apps import AppConfig
from django.conf import settings


class JobsConfig(AppConfig):
    name = "jobs_app"
    verbose_name = "Transcription jobs"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from jobs_app import checks  # noqa: F401  registers the system checks

        if settings.PROVIDERS and "qcluster" in sys.argv:
            # It takes a second, and the workers share what is loaded before they are forked.
            import_module("speech.engines.openai")
