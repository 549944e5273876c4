"""`make run`: the whole site on this machine, as production serves it, until Ctrl-C. `make dev` adds reload.

python -m deploy.run [--dev]

The web server and the workers are child processes: both stop when this one does, and when one of them
ends by itself the other is stopped too. HOST, PORT and every setting come from the environment.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import django
import psutil
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connection

from deploy import sample
from deploy.prepare import prepare
from speech.errors import SpeechError
from transcribe_site import env

if TYPE_CHECKING:
    from django.contrib.auth.models import User

ROOT = Path(__file__).resolve().parent.parent
READY_WITHIN_S = 120
KILLED_WITHIN_S = 10
WILDCARDS = ("0.0.0.0", "::")  # noqa: S104  someone who gives one of them wants the whole network


STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# make and whoever started it may send the same signal twice; a person who is in a hurry needs longer.
SAME_SIGNAL_S = 1.0
more_signals_at: list[float] = []


class CannotRun(Exception):
    """Ends with exit code 1; the message is one sentence for the person at the terminal."""


def say(text: str = "") -> None:
    print(text, flush=True)


def interrupt(*_: object) -> None:
    """The first signal ends the run. Later ones are only noted: they must not interrupt the stopping."""
    for number in STOP_SIGNALS:
        signal.signal(number, lambda *_: more_signals_at.append(time.monotonic()))
    raise KeyboardInterrupt


def main() -> int:
    dev = "--dev" in sys.argv[1:]
    # make sends SIGTERM on, a terminal SIGINT; a shell in the background has made us deaf to the latter.
    for number in STOP_SIGNALS:
        signal.signal(number, interrupt)
    try:
        run(dev=dev)
    except KeyboardInterrupt:
        say("Stopped.")
    except (CannotRun, ImproperlyConfigured, SpeechError) as e:
        say(f"Cannot run: {e}")
        return 1
    except OperationalError as e:
        say(f"Cannot run: the database does not answer: {str(e).strip().splitlines()[0]}")
        return 1
    except OSError as e:
        say(f"Cannot run: {e.filename}: {e.strerror}" if e.filename else f"Cannot run: {e}")
        return 1
    return 0


def run(*, dev: bool) -> None:
    host = env.text("HOST", "127.0.0.1")
    port = env.number("PORT", 8000, at_least=1, at_most=65535)
    set_environment(host, dev=dev)
    django.setup()
    with alone(settings.RUN_DIR):
        require_free(host, port)
        say("Preparing the speech model, the database and the static files ...")
        prepare()
        account = first_staff_account()
        url = url_of(host, port)
        with Children(grace_s=settings.STOP_GRACE_S + 15) as children:
            children.start("web server", *web_command(host, port, dev=dev))
            children.start("job runner", sys.executable, "manage.py", "jobrunner")
            wait_until_ready(url, children)
            say(f"The site is up: {url}/")
            # A reload would break it off, and with https alone it could not be sent from here.
            if account and not (dev or settings.HTTPS) and wants_sample(account):
                show_sample(url, account, children)
            say(
                f"\nOpen {url}/ in a browser. Ctrl-C stops everything; the data stays in {settings.DATA_DIR}."
            )
            while True:
                children.check()
                time.sleep(0.5)


def set_environment(host: str, *, dev: bool) -> None:
    """Settings for one's own machine, where the environment does not say otherwise."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "transcribe_site.settings")
    # Progress and transcript are what this terminal is for.
    os.environ.setdefault("LOG_LEVEL", "INFO" if dev else "WARNING")
    if dev:
        os.environ.setdefault("DEBUG", "True")
    # Nothing terminates TLS in front of it.
    os.environ.setdefault("HTTPS", "False")
    os.environ["ALLOWED_HOSTS"] = ",".join(dict.fromkeys([*env.items("ALLOWED_HOSTS"), *names_of(host)]))
    if not env.text("SECRET_KEY"):
        make_secret_key(Path(env.text("DATA_DIR", str(ROOT / "var"))))


def names_of(host: str) -> list[str]:
    """Under which names a browser may ask for a site that listens on `host`."""
    names = ["localhost", "127.0.0.1", "[::1]"]
    if host in WILDCARDS:
        names += [socket.gethostname(), socket.getfqdn()]
        for addresses in psutil.net_if_addrs().values():
            names += [
                in_url(address.address.split("%")[0])
                for address in addresses
                if address.family in (socket.AF_INET, socket.AF_INET6)
            ]
    else:
        names.append(in_url(host))
    return names


def in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def url_of(host: str, port: int) -> str:
    local = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://{in_url(local)}:{port}"


def make_secret_key(data_dir: Path) -> None:
    """This installation's key, made the first time; the settings find it there."""
    path = data_dir / "secret_key"
    if path.exists():
        return
    data_dir.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}")
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_urlsafe(50))
    unfinished.rename(path)


@contextlib.contextmanager
def alone(run_dir: Path) -> Iterator[None]:
    """Two of these on one data folder would take each other's workers for leftovers."""
    with open(run_dir / "make_run.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotRun(
                f"another `make run` or `make dev` already uses {run_dir.parent}: stop it first, "
                "or choose another folder with DATA_DIR."
            ) from None
        yield


def require_free(host: str, port: int) -> None:
    """Raises CannotRun when the web server could not listen there."""
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as e:
        reason = os.strerror(e.errno) if e.errno and e.errno > 0 else e.strerror
        raise CannotRun(
            f"port {port} on {host} cannot be used ({reason}): "
            "stop what uses it, or choose another, as in `make run PORT=8001`."
        ) from None


def first_staff_account() -> User | None:
    """The oldest staff account; the first time it is made, and its password is shown this once."""
    from django.contrib.auth import get_user_model

    users = get_user_model().objects
    if users.filter(is_staff=True).exists():
        return users.filter(is_staff=True, is_active=True).order_by("pk").first()
    password = secrets.token_urlsafe(12)
    name = next(
        n for n in ("admin", f"admin-{secrets.token_hex(2)}") if not users.filter(username=n).exists()
    )
    account = users.create_superuser(name, password=password)
    say(
        f"\n    Your account:  {name}\n    Its password:  {password}\n"
        "    This is shown once. `manage.py changepassword` sets another.\n"
    )
    return account


def web_command(host: str, port: int, *, dev: bool) -> list[str]:
    if dev:
        return [sys.executable, "manage.py", "runserver", f"{in_url(host)}:{port}"]
    return [
        *(sys.executable, "-m", "uvicorn", "transcribe_site.asgi:application"),
        *("--host", host, "--port", str(port)),
        *("--log-level", "warning", "--no-server-header", "--timeout-graceful-shutdown", "10"),
    ]


class Children:
    """Processes that live and end together."""

    def __init__(self, *, grace_s: float) -> None:
        self._grace_s = grace_s
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Children:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, name: str, *command: str) -> None:
        # In a session of its own: Ctrl-C must reach it through stop(), once, and not from the terminal.
        self._processes[name] = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, start_new_session=True
        )

    def check(self) -> None:
        """Raises CannotRun when one of them has ended."""
        for name, process in self._processes.items():
            if process.poll() is not None:
                raise CannotRun(
                    f"the {name} ended with exit code {process.returncode}; its messages are above."
                )

    def stop(self) -> None:
        """Ask all of them to end, wait, and kill what is left, with their own children."""
        family = []
        for process in self._processes.values():
            with contextlib.suppress(psutil.NoSuchProcess):
                child = psutil.Process(process.pid)
                family += [child, *child.children(recursive=True)]
        began = time.monotonic()
        for process in self._processes.values():
            process.terminate()
        left = family
        while left and time.monotonic() - began < self._grace_s:
            _, left = psutil.wait_procs(left, timeout=0.3)
            if any(at > began + SAME_SIGNAL_S for at in more_signals_at):
                say("Killing what still runs; its work is done again at the next start.")
                break
        for child in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        psutil.wait_procs(left, timeout=KILLED_WITHIN_S)
        for process in self._processes.values():
            process.wait()


def wait_until_ready(url: str, children: Children) -> None:
    from jobs_app.models import Runner

    deadline = time.monotonic() + READY_WITHIN_S
    why = "no worker has started"
    # The site is asked last: it logs each time that it must say no.
    while not Runner.objects.alive().exists() or (why := sample.readiness(url)):
        children.check()
        if time.monotonic() > deadline:
            raise CannotRun(f"the site was not ready after {READY_WITHIN_S} s: {why}")
        time.sleep(0.3)
    # Whatever answered may be another program's server, while ours could not start.
    children.check()
    connection.close()


def wants_sample(account: User) -> bool:
    """The first time, and again when the first time was interrupted."""
    from jobs_app.models import JOB_ACTIVE, TranscriptionJob

    mine = TranscriptionJob.objects.filter(session__owner=account)
    return (
        not mine.exists()
        or mine.filter(session__chunks__sha256=sample.sha256(), status__in=JOB_ACTIVE).exists()
    )


def show_sample(url: str, account: User, children: Children) -> None:
    """Send the sample as a client would, and show what comes back."""
    from rest_framework.authtoken.models import Token

    say(f"\nSending {sample.SAMPLE.relative_to(ROOT)} through the API ...")
    api = sample.Api(url, Token.objects.get_or_create(user=account)[0].key)

    def statuses(job_id: str) -> Iterator[dict[str, Any]]:
        while True:
            children.check()
            yield (status := api.status(job_id))
            if status["status"] in sample.FINAL:
                return
            time.sleep(0.5)

    try:
        job_id = api.send()
        for line in sample.progress_lines(statuses(job_id)):
            say(f"    {line}")
        status = api.status(job_id)
        if status["status"] == "completed":
            say(f"\n{api.transcript(job_id).strip()}")
        else:
            say(f"The sample was not transcribed: {status['error'] or status['status']}")
    except sample.ApiError as e:
        say(f"The sample was not transcribed: {e}")


if __name__ == "__main__":
    sys.exit(main())
