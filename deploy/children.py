"""The child processes of `make run`.

They live and end together, whatever ends the process that started them.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
KILLED_WITHIN_S = 10
# make and the program that started it may send the same signal twice. A person in a hurry needs longer for a
# second one.
SAME_SIGNAL_S = 1.0
PR_SET_PDEATHSIG = 1
more_signals_at: list[float] = []


class CannotRun(Exception):
    """The site cannot run.

    The exit code becomes 1; the message is one sentence for the person at the terminal.
    """


def say(text: str = "") -> None:
    # The terminal may be gone, which may be the reason for stopping.
    with contextlib.suppress(BrokenPipeError, OSError):
        print(text, flush=True)


def end_with_parent() -> None:
    """Have the kernel end this process when its parent is gone, even if SIGKILL ended the parent."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Children:
    """Processes that live and end together.

    `record` names a file that lists them while they run. If they outlive this process after all, the next run
    finds them there.
    """

    def __init__(self, *, grace_s: float, record: Path | None = None) -> None:
        self._grace_s = grace_s
        self._record = record
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Children:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._record is not None:
            self._record.unlink(missing_ok=True)

    def start(self, name: str, *command: str) -> None:
        # The child has its own session, because Ctrl-C must reach it once, through stop(), and not from the
        # terminal.
        self._processes[name] = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=end_with_parent,
        )
        if self._record is not None:
            running = {name: _identity(process.pid) for name, process in self._processes.items()}
            self._record.write_text(json.dumps(running), encoding="utf-8")

    def check(self) -> None:
        """Raise CannotRun if one of them has ended."""
        for name, process in self._processes.items():
            if process.poll() is not None:
                raise CannotRun(
                    f"the {name} ended with exit code {process.returncode}; its messages are above."
                )

    def stop(self) -> None:
        """Ask all of them to end, wait, and kill what is left, with their own children."""
        end_family([process.pid for process in self._processes.values()], grace_s=self._grace_s)
        for process in self._processes.values():
            process.wait()


def end_leftovers(record: Path, *, grace_s: float) -> None:
    """End the processes that an earlier run has left because it was killed, if the kernel did not
    end them.
    """
    try:
        left = json.loads(record.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return
    for name, (pid, started_at) in left.items():
        # Another process may have the same number by now.
        if _identity(pid) == [pid, started_at]:
            say(f"Stopping the {name} (process {pid}), which an earlier run left behind ...")
            end_family([pid], grace_s=grace_s)
    record.unlink(missing_ok=True)


def end_family(pids: list[int], *, grace_s: float) -> None:
    """Ask these processes to end, wait for them and their descendants, and kill what is left."""
    family = []
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            family += [process, *process.children(recursive=True)]
    began = time.monotonic()
    for process in family:
        if process.pid in pids:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
    left = family
    while left and time.monotonic() - began < grace_s:
        _, left = psutil.wait_procs(left, timeout=0.3)
        if any(at > began + SAME_SIGNAL_S for at in more_signals_at):
            say("Killing what still runs; its work is done again at the next start.")
            break
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=KILLED_WITHIN_S)


def who_listens(port: int) -> str:
    """Return which process has this port, in words; empty if it cannot be seen, such as another person's."""
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                name = psutil.Process(connection.pid).name()
                return f"process {connection.pid}, {name}"
    return ""


def _identity(pid: int) -> list[float]:
    """Return what distinguishes a process from a later one with the same number; empty if it is gone."""
    try:
        return [pid, psutil.Process(pid).create_time()]
    except psutil.NoSuchProcess:
        return []
