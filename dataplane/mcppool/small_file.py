"""Reading of small files, such as keys and secrets, on the event loop."""

from __future__ import annotations

import errno
import os
import stat


def read_small_file(path: str, most: int) -> bytes:
    """The first `most` bytes of a regular file.

    Raises OSError, also for anything but a regular file: a pipe in its place would stop the event loop.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "Not a regular file", path)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(most)
    finally:
        os.close(descriptor)
