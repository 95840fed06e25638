"""Where the lines of an audit log go: a file that is renamed when it is full, or a descriptor of the process."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from typing import Final

from mcppool.spec.sections.audit import AuditSpec

MAX_OPENED: Final = 100
"""Upper bound on how often a file is opened for one write, because other processes rename it."""


def unwritable(path: str) -> str | None:
    """The reason why a file cannot be appended to or made; None if it can."""
    if os.path.isdir(path):
        return "it is a folder"
    if os.path.exists(path):
        return None if os.access(path, os.W_OK) else "permission denied"
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        return f"there is no folder {folder}"
    return None if os.access(folder, os.W_OK | os.X_OK) else f"permission denied in {folder}"


class SinkUnavailable(OSError):
    """Lines cannot be written now. `retry_after`: seconds after which to try again, if the receiver names them."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class AuditSink:
    """Where lines go."""

    def configure(self, spec: AuditSpec) -> None:
        """Take over changed bounds."""

    def write(self, lines: Sequence[bytes]) -> None:
        """Write the lines, which have no newline. Raises OSError if that fails: the caller writes them again later."""

    def close(self) -> None:
        """Close the files that were opened here."""


class DescriptorSink(AuditSink):
    """A descriptor of the process, which somebody reads. The workers of a gateway share it: a lock of the file keeps
    the lines of one process together."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, lines: Sequence[bytes]) -> None:
        """Write the lines."""
        with _locked(self._descriptor):
            write_all(self._descriptor, _joined(lines))


class FileSink(AuditSink):
    """A file that is renamed when it is full. One that somebody else has renamed or removed is opened anew.

    Two processes have the same one while a worker takes the place of another. So each looks, renames and writes with a
    lock of the file.
    """

    def __init__(self, spec: AuditSpec) -> None:
        self._path = spec.file or ""
        self._descriptor = -1
        self.configure(spec)

    def configure(self, spec: AuditSpec) -> None:
        """Take over size and number of files."""
        self._max_size, self._keep = spec.max_size, spec.keep

    def write(self, lines: Sequence[bytes]) -> None:
        """Write all of the lines, or none."""
        data = _joined(lines)
        for _ in range(MAX_OPENED):
            self._open()
            with _locked(self._descriptor):
                if self._is_there():
                    size = os.fstat(self._descriptor).st_size
                    if not size or size + len(data) <= self._max_size:
                        self._append(data, size)
                        return
                    self._rename()
            self.close()  # its name belongs to no file, or to another one
        raise OSError(f"{self._path} is renamed again and again")

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> None:
        """Open the file, unless one is open."""
        if self._descriptor < 0:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY
            self._descriptor = os.open(self._path, flags, 0o600)

    def _is_there(self) -> bool:
        """Whether the open file still has its name."""
        try:
            there = os.stat(self._path)
        except FileNotFoundError:
            return False
        ours = os.fstat(self._descriptor)
        return (there.st_ino, there.st_dev) == (ours.st_ino, ours.st_dev)

    def _append(self, data: bytes, size: int) -> None:
        try:
            write_all(self._descriptor, data)
        except OSError:
            with contextlib.suppress(OSError):  # no half of a line, and no line twice
                os.ftruncate(self._descriptor, size)
            raise

    def _rename(self) -> None:
        for number in range(self._keep - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                os.replace(f"{self._path}.{number}", f"{self._path}.{number + 1}")
        os.replace(self._path, f"{self._path}.1")


@contextlib.contextmanager
def _locked(descriptor: int) -> Iterator[None]:
    """Keep other processes from writing meanwhile. The system gives the lock back when a process ends."""
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX)
    except OSError:  # a kind of file without locks; a write of up to 4 KiB to a pipe stays together even so
        yield
        return
    try:
        yield
    finally:
        fcntl.lockf(descriptor, fcntl.LOCK_UN)


def _joined(lines: Sequence[bytes]) -> bytes:
    return b"\n".join((*lines, b""))


def write_all(descriptor: int, data: bytes) -> None:
    """Write all bytes to a descriptor. Raises OSError."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
