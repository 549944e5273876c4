"""`make run`: the whole site on this machine, as production serves it, until Ctrl-C. `make dev` adds reload.

    python -m deploy.run [--dev] [--with-parent]

The web server and the workers are child processes. Both stop when this process does, whatever ends it; and if
one of them ends by itself, the other is stopped too. With `--with-parent` this process ends when its own
parent does, such as make. HOST, PORT and every setting come from the environment.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import django
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connection

from deploy import sample
from deploy.addresses import in_url, names_of, url_of
from deploy.children import (
    CannotRun,
    Children,
    end_leftovers,
    end_with_parent,
    more_signals_at,
    say,
    who_listens,
)
from deploy.prepare import prepare
from speech.errors import SpeechError
from transcribe_site import env, start

if TYPE_CHECKING:
    from people_app.models import User

ROOT = Path(__file__).resolve().parent.parent
READY_WITHIN_S = 120
# How uvicorn serves live words. Sound does not get smaller by compression, and no message is larger. Most
# proxies keep a silent connection for a minute.
WEBSOCKETS = (
    *("--ws", "transcribe_site.edge.unread:Protocol"),
    *("--ws-max-size", "65536", "--ws-per-message-deflate", "false"),
    *("--ws-ping-interval", "40", "--ws-ping-timeout", "20"),
)

# SIGHUP comes when the terminal is closed.
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def interrupt(*_: object) -> None:
    """End the run at the first signal.

    Later ones are only noted, because they must not interrupt the stopping.
    """
    for number in STOP_SIGNALS:
        signal.signal(number, lambda *_: more_signals_at.append(time.monotonic()))
    raise KeyboardInterrupt


def main() -> int:
    dev = "--dev" in sys.argv[1:]
    # Accounts, transcripts and logins must be readable for nobody else on this machine.
    os.umask(0o077)
    # make passes SIGTERM on, and a terminal sends SIGINT. A shell in the background makes its children ignore
    # SIGINT.
    if "--with-parent" in sys.argv[1:]:
        end_with_parent()
    for number in STOP_SIGNALS:
        # If nohup has made this process ignore SIGHUP, that is intended.
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
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
    """Run the site until a signal comes or one of its processes ends. Raises CannotRun."""
    host = env.text("HOST", "127.0.0.1")
    port = env.number("PORT", 8000, at_least=1, at_most=65535)
    data_dir = Path(env.text("DATA_DIR", str(ROOT / "var"))).resolve()
    with alone(data_dir / "run"):
        set_environment(host, data_dir, dev=dev)
        start.prepare()
        django.setup()
        record = settings.RUN_DIR / "make_run.children"
        end_leftovers(record, grace_s=settings.STOP_GRACE_S + 15)
        require_free(host, port)
        say("Preparing the speech model, the database and the static files ...")
        prepare()
        account = first_staff_account()
        url = url_of(host, port)
        with Children(grace_s=settings.STOP_GRACE_S + 15, record=record) as children:
            children.start("web server", *web_command(host, port, dev=dev))
            children.start("job runner", sys.executable, "manage.py", "jobrunner")
            wait_until_ready(url, children)
            say(f"The site is up: {url}{settings.URL_PREFIX}/")
            # A reload would break the sample off, and with https alone it could not be sent from here.
            if account and not (dev or settings.HTTPS) and wants_sample(account):
                show_sample(url, account, children)
            say(
                f"\nOpen {url}{settings.URL_PREFIX}/ in a browser. "
                f"Ctrl-C stops everything; the data stays in {settings.DATA_DIR}."
            )
            while True:
                children.check()
                time.sleep(0.5)


def set_environment(host: str, data_dir: Path, *, dev: bool) -> None:
    """Set what one's own machine needs, if the environment does not say otherwise."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "transcribe_site.settings")
    # This terminal is for progress and the transcript, so other messages are few.
    os.environ.setdefault("LOG_LEVEL", "INFO" if dev else "WARNING")
    if dev:
        os.environ.setdefault("DEBUG", "True")
    # No proxy terminates TLS in front of the site.
    os.environ.setdefault("HTTPS", "False")
    os.environ["ALLOWED_HOSTS"] = ",".join(dict.fromkeys([*env.items("ALLOWED_HOSTS"), *names_of(host)]))
    if not env.text("SECRET_KEY"):
        make_secret_key(data_dir)


def make_secret_key(data_dir: Path) -> None:
    """Make this installation's key at the first start. The settings find it there.

    Call it under `alone`, so that of two runs that begin at once neither replaces the other's key.
    """
    path = data_dir / "secret_key"
    if path.exists():
        return
    data_dir.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_urlsafe(50))
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)


@contextlib.contextmanager
def alone(run_dir: Path) -> Iterator[None]:
    """Hold a lock on the data folder. Two runs would take each other's workers for leftovers."""
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise CannotRun(f"DATA_DIR: {run_dir} cannot be made ({e.strerror})") from e
    with open(run_dir / "make_run.lock", "a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotRun(
                f"another `make run` or `make dev` (process {_holder(run_dir)}) already uses "
                f"{run_dir.parent}: stop it first, or choose another folder with DATA_DIR."
            ) from None
        lock.seek(0)
        lock.truncate()
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _holder(run_dir: Path) -> str:
    return (run_dir / "make_run.lock").read_text() or "unknown"


def require_free(host: str, port: int) -> None:
    """Raise CannotRun if the web server cannot listen there."""
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as e:
        reason = os.strerror(e.errno) if e.errno and e.errno > 0 else e.strerror
        if who := who_listens(port):
            reason = f"{reason}: {who}"
        raise CannotRun(
            f"port {port} on {host} cannot be used ({reason}): "
            "stop what uses it, or choose another, as in `make run PORT=8001`."
        ) from None


def first_staff_account() -> User | None:
    """Return the oldest staff account. The first time, make one and show its password, only this once."""
    from people_app.models import User

    users = User.objects
    if users.filter(is_staff=True).exists():
        return users.filter(is_staff=True, is_active=True).order_by("pk").first()
    password = secrets.token_urlsafe(12)
    name = next(
        n for n in ("admin", f"admin-{secrets.token_hex(2)}") if not users.filter(name_key=n).exists()
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
        *("--http", "transcribe_site.edge.header_clock:Protocol"),
        *WEBSOCKETS,
        *("--log-level", "warning", "--no-server-header", "--timeout-graceful-shutdown", "10"),
        # Without a proxy of this site, any program on this machine can send an X-Forwarded-For header.
        *(() if settings.BEHIND_PROXY else ("--no-proxy-headers",)),
    ]


def wait_until_ready(url: str, children: Children) -> None:
    from jobs_app.models import Runner

    deadline = time.monotonic() + READY_WITHIN_S
    why = "no worker has started"
    # The site is asked last, because it logs each time that it is not ready.
    while not Runner.objects.alive().exists() or (why := sample.readiness(url)):
        children.check()
        if time.monotonic() > deadline:
            raise CannotRun(f"the site was not ready after {READY_WITHIN_S} s: {why}")
        time.sleep(0.3)
    # Another program may have answered, while this web server could not start.
    children.check()
    connection.close()


def wants_sample(account: User) -> bool:
    """Whether to send the sample: the first time, and again if the first time was interrupted."""
    from jobs_app.models import JOB_ACTIVE, TranscriptionJob

    mine = TranscriptionJob.objects.filter(session__owner=account)
    return (
        not mine.exists()
        or mine.filter(session__chunks__sha256=sample.sha256(), status__in=JOB_ACTIVE).exists()
    )


def show_sample(url: str, account: User, children: Children) -> None:
    """Send the sample as a client would, and show the answers."""
    from people_app.models import ApiToken, TokenRights

    say(f"\nSending {sample.SAMPLE.relative_to(ROOT)} through the API ...")
    token = ApiToken.objects.issue(account, "The sample of `make run`", rights=TokenRights.SEND)
    api = sample.Api(url, token.key)

    def statuses(job_id: str) -> Iterator[sample.Status]:
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
    finally:
        token.delete()


if __name__ == "__main__":
    sys.exit(main())
