import signal

from django.core.management.base import BaseCommand

from jobs_app.workers.live.host import Host


class Command(BaseCommand):
    help = (
        "Hear recordings while they are spoken, until SIGTERM or Ctrl-C. "
        "`jobrunner` starts as many of these as LIVE_HOSTS says; nobody else needs to."
    )

    # The job runner has made these checks. They would load all pages.
    requires_system_checks: list[str] = []

    def handle(self, *args: object, **options: object) -> None:
        host = Host()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, host.stop)
        host.run()
