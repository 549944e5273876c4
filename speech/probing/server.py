"""The process that examines files for `speech.probing.child`. It forks one child for each file.

    python -m speech.probing.server DESCRIPTOR

The server has no threads and no secrets, and reads no byte of a file itself. Each request is one message on
the socket DESCRIPTOR: the limits, the file, and a socket for the answer. The child answers with a JSON
object. When the child has ended, the server adds a line with its exit status and closes the socket, so an
answer without such a line means that the server is gone. The server ends when the other side closes the
socket, and its children end with it.
"""

from __future__ import annotations

import ctypes
import gc
import io
import json
import logging
import os
import resource
import selectors
import signal
import socket
import sys
import traceback
from dataclasses import asdict
from typing import NoReturn

from speech.errors import SpeechError
from speech.probing.child import REQUEST
from speech.probing.probe import probe

MIB = 1 << 20
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_PAGE = resource.getpagesize()


class _File(io.RawIOBase):
    """A file from a descriptor, read from its beginning.

    It has its own position, so the sender's does not move.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._size = os.fstat(descriptor).st_size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._at >= self._size:
            return 0  # the position may be beyond what a file system can address
        count = os.preadv(self._descriptor, [buffer], self._at)
        self._at += count
        return count

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}
        if base[whence] + offset < 0:
            raise ValueError("before the beginning")
        self._at = base[whence] + offset
        return self._at

    def tell(self) -> int:
        return self._at


def serve(requests: socket.socket) -> None:
    """Answer requests until the other side closes the socket."""
    # This imports and builds, before the fork, everything that is otherwise built at its first use.
    _warm_up()
    gc.collect()
    gc.freeze()
    children: dict[int, socket.socket] = {}
    woken, wake = socket.socketpair()
    for end in (woken, wake):
        end.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    with selectors.DefaultSelector() as selector:
        selector.register(requests, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if woken in ready:
                woken.recv(4096)
                _reap(children)
            if requests in ready:
                message, descriptors, _, _ = socket.recv_fds(requests, REQUEST.size, 2)
                if len(descriptors) != 2:
                    return
                _start(message, descriptors, children)


def _start(message: bytes, descriptors: list[int], children: dict[int, socket.socket]) -> None:
    file, answer = descriptors[0], socket.socket(fileno=descriptors[1])
    parent = os.getpid()
    try:
        pid = os.fork()
    except OSError as error:
        with answer:
            _send(answer, json.dumps({"errno": error.errno}) + "\n0")
        os.close(file)
        return
    if pid == 0:
        _be_child(message, file, answer, parent)
    os.close(file)
    children[pid] = answer


def _reap(children: dict[int, socket.socket]) -> None:
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        with children.pop(pid) as answer:
            _send(answer, f"\n{os.waitstatus_to_exitcode(status)}")


def _send(answer: socket.socket, text: str) -> None:
    try:
        answer.sendall(text.encode())
    except (BrokenPipeError, ConnectionResetError):
        # The caller no longer waits for the answer.
        return


def _be_child(message: bytes, file: int, answer: socket.socket, parent: int) -> NoReturn:
    status = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _limit(*REQUEST.unpack(message), parent=parent)
        _send(answer, json.dumps(_look_at(file)))
        status = 0
    finally:
        os._exit(status)


def _limit(seconds: int, memory_mib: int, *, parent: int) -> None:
    """Set limits that the child cannot raise again. The child is ended when it exceeds one.

    It can get no new descriptor, so it can open no other file and no network connection.
    """
    signal.set_wakeup_fd(-1)
    if sys.platform.startswith("linux"):
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        with open("/proc/self/statm") as file:
            has = int(file.read().split()[0]) * _PAGE
        _lower(resource.RLIMIT_AS, has + memory_mib * MIB)
        if os.getppid() != parent:
            os._exit(1)
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, 0)
    # The signal of the first limit shows the reason. The second limit kills.
    _lower(resource.RLIMIT_CPU, seconds, seconds + 1)
    _lower(resource.RLIMIT_NPROC, 0)
    _lower(resource.RLIMIT_NOFILE, 0)
    # The time on the clock is limited, too, because waiting for a file system takes no processor time.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(3 * seconds)


def _lower(kind: int, limit: int, hard: int | None = None) -> None:
    most = resource.getrlimit(kind)[1]
    wanted = (limit, limit if hard is None else hard)
    least = wanted if most == resource.RLIM_INFINITY else (min(wanted[0], most), min(wanted[1], most))
    resource.setrlimit(kind, least)


def _look_at(descriptor: int) -> dict[str, object]:
    try:
        with io.BufferedReader(_File(descriptor), 1 << 16) as file:
            return {"info": asdict(probe(file))}
    except SpeechError as error:
        return {"error": type(error).__name__, "message": str(error)}
    except MemoryError:
        return {"memory": True}
    except OSError as error:
        return {"errno": error.errno}
    except Exception:  # noqa: BLE001  the caller logs it
        return {"bug": traceback.format_exc()[-4000:]}


def _warm_up() -> None:
    wav = b"RIFF\x2c\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data\x08\0\0\0"
    for content in (wav + bytes(8), b"fLaC" + bytes(40)):
        try:
            json.dumps(asdict(probe(io.BytesIO(content))))
        except SpeechError:
            continue


if __name__ == "__main__":
    # The parent is stopped with Ctrl-C, and closes the socket then.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.disable()
    with socket.socket(fileno=int(sys.argv[1])) as inherited:
        serve(inherited)
