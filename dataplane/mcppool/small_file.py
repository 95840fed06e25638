"""Small files, such as keys and secrets: they are read on the event loop, and read again when they change."""

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


def file_version(path: str) -> tuple[int, int, int] | None:
    """A value that changes with a file, be it written or replaced; None if there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
