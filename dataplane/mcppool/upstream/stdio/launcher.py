"""The gateway's end of the link to the keeper: starts programs through it, and learns of their ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence

from mcppool.upstream.stdio import keeper
from mcppool.upstream.stdio.interpreter import own_interpreter

FAREWELL = 5.0  # seconds for a keeper to end everything; it takes a little over one

OnExit = Callable[[int | None], None]
"""Called with the wait status of an ended program, None if that is unknown."""


class ChildProcess:
    """A running program: its process id, and the gateway's ends of its streams."""

    def __init__(self, launcher: Launcher, number: int, pid: int, streams: tuple[int, int, int]) -> None:
        self.pid = pid
        self.stdin, self.stdout, self.stderr = streams
        self._launcher = launcher
        self._number = number

    def signal(self, number: int) -> None:
        """Send a signal to the process group of the program, as long as it runs."""
        self._launcher.tell(f"kill {self._number} {int(number)}")

    def kill(self) -> None:
        """End the program and everything that it has started, at once."""
        self._launcher.tell(f"end {self._number}")


class Launcher:
    """Starts programs that end with this process. The keeper starts with the first of them, and again if it is lost."""

    def __init__(self) -> None:
        self._link: socket.socket | None = None
        self._keeper: subprocess.Popen[bytes] | None = None
        self._numbers = 0
        self._starting: dict[int, asyncio.Future[int]] = {}
        self._running: dict[int, OnExit] = {}

    async def start(self, command: Sequence[str], environment: Mapping[str, str], on_exit: OnExit) -> ChildProcess:
        """Run a program with exactly this environment. Raises OSError with the reason if it cannot be run."""
        link = self._link or self._open()
        self._numbers += 1
        number = self._numbers
        ours, theirs = _pipes()
        starting = self._starting[number] = asyncio.get_running_loop().create_future()
        self._running[number] = on_exit
        try:
            _send(link, number, theirs, {"command": list(command), "environment": dict(environment)})
            pid = await starting
        except BaseException:
            self._running.pop(number, None)
            for descriptor in ours:
                os.close(descriptor)
            raise
        finally:
            self._starting.pop(number, None)
            if not starting.done():
                starting.cancel()
            for descriptor in theirs:
                os.close(descriptor)
        return ChildProcess(self, number, pid, ours)

    def tell(self, message: str) -> None:
        """Send the keeper a message; a keeper that is gone has ended everything."""
        if self._link is not None:
            with contextlib.suppress(OSError):
                self._link.send(message.encode())

    async def close(self) -> None:
        """End everything that runs, and the keeper."""
        kept = self._keeper
        self._lose()
        if kept is not None:
            try:
                await asyncio.to_thread(kept.wait, FAREWELL)
            except subprocess.TimeoutExpired:
                kept.kill()
                await asyncio.to_thread(kept.wait)

    # --- the link ------------------------------------------------------------------------------------------------

    def _open(self) -> socket.socket:
        python = own_interpreter()
        link, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with other:
            self._keeper = subprocess.Popen(
                [*python, "-I", "-S", keeper.__file__, str(other.fileno())],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=[other.fileno()], start_new_session=True,
            )  # fmt: skip
        link.setblocking(False)
        asyncio.get_running_loop().add_reader(link.fileno(), self._hear)
        self._link = link
        return link

    def _hear(self) -> None:
        assert self._link is not None
        try:
            message = self._link.recv(256)
        except BlockingIOError:
            return
        except OSError:
            message = b""
        if not message:
            self._lose()
            return
        verb, number, value = message.decode().split()
        starting = self._starting.get(int(number))
        if verb == "ended":
            if on_exit := self._running.pop(int(number), None):
                on_exit(int(value))
        elif starting is None or starting.done():  # its starter has stopped waiting
            self.tell(f"end {number}")
        elif verb == "started":
            starting.set_result(int(value))
        else:
            starting.set_exception(OSError(int(value), os.strerror(int(value))))

    def _lose(self) -> None:
        """The link has ended: the keeper ends all programs, or was killed, and they with it."""
        link, self._link = self._link, None
        if link is None:
            return
        asyncio.get_running_loop().remove_reader(link.fileno())
        link.close()
        kept, self._keeper = self._keeper, None
        if kept is not None:
            kept.poll()
        for starting in self._starting.values():
            if not starting.done():
                starting.set_exception(OSError("the keeper of local servers has ended"))
        running, self._running = self._running, {}
        for on_exit in running.values():
            on_exit(None)


def _pipes() -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """The ends of three pipes: the gateway's, then the program's."""
    opened: list[int] = []
    try:
        for _ in range(3):
            opened += os.pipe()
    except OSError:
        for descriptor in opened:
            os.close(descriptor)
        raise
    in_read, in_write, out_read, out_write, err_read, err_write = opened
    return (in_write, out_read, err_read), (in_read, out_write, err_write)


def _send(link: socket.socket, number: int, streams: tuple[int, int, int], what: Mapping[str, object]) -> None:
    """The command goes in an unnamed file, because it may be longer than a message."""
    file = os.memfd_create("mcppool-run")
    try:
        with os.fdopen(file, "wb", closefd=False) as writer:
            writer.write(json.dumps(what).encode())
        socket.send_fds(link, [f"run {number}".encode()], [*streams, file])
    finally:
        os.close(file)
