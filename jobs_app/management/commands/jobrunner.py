import signal

from django.core.management.base import BaseCommand, CommandError

from jobs_app.workers.runner import AlreadyRunning, JobRunner


class Command(BaseCommand):
    help = (
        "Run the background workers until SIGTERM or Ctrl-C: starts them, starts them again when they die "
        "or hang, and finds work that was lost. This is the process for a service manager. "
        "WORKERS sets how many; docs/operations.md has the rest."
    )

    def handle(self, *args: object, **options: object) -> None:
        runner = JobRunner()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, runner.stop)
        try:
            runner.run()
        except AlreadyRunning as e:
            raise CommandError(str(e)) from e
