"""A line to a server that is slow, that can be cut, and that counts what goes over it."""

from __future__ import annotations

import socket
import threading
import time

BLOCK = 32 * 1024


class SlowLine:
    """Passes TCP connections on to a port of this machine.

    `sent` counts the bytes that the server was given. `bytes_per_s` of 0 is as fast as it goes.
    """

    def __init__(self, to_port: int, bytes_per_s: int = 0) -> None:
        self._to_port = to_port
        self.bytes_per_s = bytes_per_s
        self.sent = 0
        self.whole = True
        self.stands = False
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        # Small buffers, or the sender believes that megabytes have arrived which are still on their way.
        self._server = socket.socket()
        self._server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * BLOCK)
        self._server.bind(("127.0.0.1", 0))
        self._server.listen(64)
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Break every connection, and refuse new ones, until `mend`."""
        with self._lock:
            self.whole = False
            for one in self._open:
                _shut(one)

    def mend(self) -> None:
        self.whole = True

    def close(self) -> None:
        self.cut()
        self._server.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return  # closed
            try:
                far = socket.create_connection(("127.0.0.1", self._to_port), timeout=5)
            except OSError:
                near.close()  # the server is away
                continue
            far.settimeout(None)
            with self._lock:
                if not self.whole:
                    near.close()
                    far.close()
                    continue
                self._open |= {near, far}
            threading.Thread(target=self._connect, args=(near, far), daemon=True).start()

    def _connect(self, near: socket.socket, far: socket.socket) -> None:
        there = threading.Thread(target=self._pass_on, args=(near, far, True), daemon=True)
        there.start()
        self._pass_on(far, near, False)
        there.join()
        with self._lock:
            self._open -= {near, far}
            # A sender learns of it at once, because not all of what it sent was read.
            near.close()
            far.close()

    def _pass_on(self, source: socket.socket, target: socket.socket, to_server: bool) -> None:
        try:
            while data := source.recv(BLOCK):
                if to_server and self.bytes_per_s:
                    time.sleep(len(data) / self.bytes_per_s)
                while self.stands:
                    time.sleep(0.05)
                target.sendall(data)
                if to_server:
                    self.sent += len(data)
        except OSError:
            pass  # cut, or one side has gone: the other one learns of it below
        _shut(source)
        _shut(target)


def _shut(one: socket.socket) -> None:
    try:
        one.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # is already
