"""A file whose bytes come from other files."""

from __future__ import annotations

import errno
import io
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class VirtualFile(io.RawIOBase):
    """A seekable file of `_length` bytes. A subclass sets the length, and reads the bytes in `_read_at`."""

    _length = 0
    _position = 0

    def _read_at(self, position: int, size: int) -> bytes:
        """Read 1 to `size` bytes at `position`, which lies before the end.

        There may be fewer than `size` only where bytes of another file follow.
        """
        raise NotImplementedError

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._length}[whence]
        if start + offset < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._position = start + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        size = min(len(view), self._length - self._position)
        if size <= 0:
            return 0
        data = self._read_at(self._position, size)
        view[: len(data)] = data
        self._position += len(data)
        return len(data)
