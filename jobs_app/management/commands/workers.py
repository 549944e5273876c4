import os
from importlib import import_module

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connections

CONNECTIONS_LAST_S = 300
WORKERS_NICE = 10


class Command(BaseCommand):
    help = (
        "Run the workers, without anything that watches over them. "
        "`jobrunner` starts this; nobody else needs to."
    )

    def handle(self, *args: object, **options: object) -> None:
        if settings.LIVE_HOSTS:
            # Whoever speaks now comes first. Uploads get what is left of the processors.
            os.nice(WORKERS_NICE)
        # The workers ask the database several times a second, so their connections stay open.
        connections.settings["default"]["CONN_MAX_AGE"] = CONNECTIONS_LAST_S
        if settings.PROVIDERS:
            # Loading this takes a second. Modules that are loaded before the workers are forked are shared by
            # all of them.
            import_module("speech.engines.openai.engine")
        if settings.TRANSLATOR:
            import_module("speech.engines.openai.chat")
        call_command("qcluster")
