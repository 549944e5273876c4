"""Run `speech.probing.probe` in a process of its own, with limits, because uploads are hostile and demuxers
are C.

Whatever a file does to that process, the caller lives on and gets an error that says so. The server process
is started with the first file, or by `start_server`. It serves all threads of this process, is started again
if it has died, and ends with this process. After a fork, the child process starts a server of its own.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, BinaryIO

from speech import errors
from speech.errors import SpeechError, UnreadableAudio
from speech.types import MediaInfo

logger = logging.getLogger(__name__)

REQUEST = struct.Struct("!II")
"""A request: seconds of processor time, and MiB of memory beyond what the process has at its start."""

_ROOT = Path(__file__).resolve().parents[2]
# The rest of the environment stays here, because it holds passwords and keys.
_PASSED_ON = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TMPDIR")
# The server must have no threads, because a fork would lose them.
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
_TOO_SLOW = (signal.SIGXCPU, signal.SIGALRM)
_HANGS = (
    "Looking at this file took too long, so it was given up. It may be damaged; "
    "play it in a media player, then export and upload it again."
)
_TOO_LARGE = (
    "Looking at this file took too much memory, so it was given up. It may be damaged; "
    "play it in a media player, then export and upload it again."
)
_CRASHES = (
    "This file makes the program that reads it fail, so it was given up. It may be damaged; "
    "play it in a media player, then export and upload it again."
)


class _Server:
    """A running server process, and this end of the socket to it."""

    def __init__(self) -> None:
        self.socket, theirs = socket.socketpair()
        with theirs:
            # There is no preexec_fn, because this process has threads. The server is not told to die with its
            # parent either: that would be the thread which starts it. It ends when the socket is closed,
            # whatever ends this process.
            self.process = subprocess.Popen(
                [sys.executable, "-m", "speech.probing.server", str(theirs.fileno())],
                cwd=_ROOT,
                env={name: os.environ[name] for name in _PASSED_ON if name in os.environ} | _ONE_THREAD,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )

    def end(self) -> None:
        self.socket.close()
        self.process.kill()
        self.process.wait()


class _Shared:
    server: _Server | None = None
    lock = threading.Lock()


_shared = _Shared()


def _forget() -> None:
    """Forget the parent's server in a forked child.

    It would outlive the parent if the child kept the socket open.
    """
    if _shared.server is not None:
        _shared.server.socket.close()
        # Only the parent can see the server end. Without this, Popen warns of a process that still runs.
        _shared.server.process.returncode = 0
    _shared.server, _shared.lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forget)


def start_server() -> None:
    """Start the server now, without waiting for it.

    Otherwise the first file would wait 0.3 s for the start.
    """
    with _shared.lock:
        if _shared.server is None:
            _shared.server = _Server()


def probe_safely(source: Path | BinaryIO, *, seconds: int = 10, memory_mib: int = 512) -> MediaInfo:
    """Do what `probe` does, in a process with at most `seconds` of processor time and `memory_mib` of memory.

    An open file needs a descriptor; its position does not change. Raises UnreadableAudio if the file makes
    that process hang, crash or exceed its limits; also what `probe` raises, and OSError if the disk fails or
    no process can be started.
    """
    if isinstance(source, Path):
        with source.open("rb") as file:
            return probe_safely(file, seconds=seconds, memory_mib=memory_mib)
    request = REQUEST.pack(seconds, memory_mib)
    # It is longer than the child's own time limit.
    patience_s = 3 * seconds + 10
    for _ in range(2):
        if answer := _ask(request, source.fileno(), patience_s):
            body, _, status = answer.rpartition(b"\n")
            return _understood(body, int(status))
        logger.warning("The process that looks at uploads is gone; it is started again")
    raise ChildProcessError("no process can be had that looks at uploads")


def _ask(request: bytes, file: int, patience_s: float) -> bytes:
    """Return the server's answer, with the child's exit status in its last line; b"" if the server
    has died.
    """
    with _shared.lock:
        if _shared.server is None:
            _shared.server = _Server()
        server = _shared.server
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(server.socket, [request], [file, theirs.fileno()])
            except (BrokenPipeError, ConnectionResetError):
                ours.close()
                _replace(server)
                return b""
    answer = b""
    with ours:
        ours.settimeout(patience_s)
        try:
            while some := ours.recv(1 << 16):
                answer += some
        except TimeoutError:
            raise UnreadableAudio(_HANGS) from None
        except ConnectionResetError:
            answer = b""
    if b"\n" in answer:
        return answer
    with _shared.lock:
        _replace(server)
    return b""


def _replace(server: _Server) -> None:
    """Forget a server that has died, unless another thread has done so. The caller holds the lock."""
    if _shared.server is server:
        server.end()
        _shared.server = None


def _understood(body: bytes, status: int) -> MediaInfo:
    if -status in _TOO_SLOW:
        raise UnreadableAudio(_HANGS)
    try:
        said: dict[str, Any] = json.loads(body)
    except ValueError:
        said = {}
    if "info" in said:
        return MediaInfo(**said["info"])
    if "errno" in said:
        raise OSError(said["errno"], os.strerror(said["errno"] or 0))
    if "memory" in said:
        logger.warning("A file took more memory to look at than PROBE_MEMORY_MB")
        raise UnreadableAudio(_TOO_LARGE)
    kind = getattr(errors, str(said.get("error")), None)
    if isinstance(kind, type) and issubclass(kind, SpeechError):
        raise kind(said["message"])
    logger.error("The process that looked at a file ended with %s. %s", status, said.get("bug", ""))
    raise UnreadableAudio(_CRASHES)
