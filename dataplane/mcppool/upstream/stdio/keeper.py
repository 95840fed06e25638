"""The keeper: a small program that starts the processes of local servers for the gateway, and ends them when the
gateway is gone.

It imports none of our packages and has one thread, for three reasons. Forking is safe in it. PR_SET_PDEATHSIG, which
the kernel binds to the forking thread, is bound to a thread that lives as long as the keeper. And when the gateway is
killed, by SIGKILL too, the keeper sees the end of its link, and ends all programs.

Everything that a program has started ends with it: its process group, and the processes that left the group, which the
keeper recognises by a variable in their environment. Orphans become the keeper's children (PR_SET_CHILD_SUBREAPER), so
none is left as a zombie.

Messages on the link (SOCK_SEQPACKET) to the keeper: `run N` with four descriptors: standard input, output and error of
program N, and a file with the command as JSON; `kill N SIGNAL`: signals its process group; `end N`: kills everything of
it at once. From the keeper: `started N PID`, `failed N ERRNO`, `ended N STATUS` (as `os.waitpid` gives it).
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import socket
import sys
import time

MARK = "MCPPOOL_PROCESS"
"""The environment variable that marks the processes of a program."""

GRACE = 1.0
"""Seconds between SIGTERM and SIGKILL for running programs when the gateway is gone."""

Wanted = dict[str, "list[str] | dict[str, str]"]

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
SWEEPS = 20  # over the remains of a program, which may go on starting processes meanwhile


class Keeper:
    """Programs by number; each is the leader of a session and a process group of its own."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._prctl = ctypes.CDLL(None, use_errno=True).prctl
        self._pids: dict[int, int] = {}
        self._own = os.getpid()
        self._prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def run(self) -> None:
        """Serve until the link ends, then end everything."""
        woken, wakes = os.pipe()
        for end in (woken, wakes):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # the gateway ends this process: by closing the link
        poll = select.poll()
        poll.register(self._link, select.POLLIN)
        poll.register(woken, select.POLLIN)
        while True:
            ready = dict(poll.poll())
            if woken in ready:
                os.read(woken, 4096)
                self._reap()
            if self._link.fileno() in ready and not self._take():
                break
        self._end_all()

    def _take(self) -> bool:
        """One message; False at the end of the link."""
        try:
            message, descriptors, _, _ = socket.recv_fds(self._link, 256, 4, socket.MSG_CMSG_CLOEXEC)
        except OSError:
            return False
        if not message:
            return False
        verb, number, *rest = message.decode().split()
        if verb == "run":
            self._start(int(number), descriptors)
        elif int(number) in self._pids:
            if verb == "kill":
                _signal_group(self._pids[int(number)], int(rest[0]))
            else:
                self._end(int(number))
        return True

    def _tell(self, message: str) -> None:
        try:
            self._link.send(message.encode())
        except OSError:
            pass  # the gateway is gone, which `_take` finds out

    def _start(self, number: int, descriptors: list[int]) -> None:
        *streams, what = descriptors
        with os.fdopen(what, "rb") as file:
            file.seek(0)
            wanted = json.load(file)
        failing, fails = os.pipe()  # exec closes both
        pid = os.fork()
        if pid == 0:
            self._become(wanted, streams, fails, number)
        for descriptor in (*streams, fails):
            os.close(descriptor)
        with os.fdopen(failing, "rb") as file:
            code = file.read()
        if code:
            os.waitpid(pid, 0)
            self._tell(f"failed {number} {code.decode()}")
        else:
            self._pids[number] = pid
            self._tell(f"started {number} {pid}")

    def _become(self, wanted: Wanted, streams: list[int], fails: int, number: int) -> None:
        """In the child: become the program. Never returns."""
        try:
            os.setsid()
            self._prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
            if os.getppid() != self._own:
                os._exit(1)
            signal.set_wakeup_fd(-1)
            for signal_number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
                signal.signal(signal_number, signal.SIG_DFL)
            # Copies above 2 first: a stream may already have one of the target numbers.
            copies = [os.dup(descriptor) if descriptor < 3 else descriptor for descriptor in streams]
            for place, descriptor in enumerate(copies):
                os.dup2(descriptor, place)
            command, environment = wanted["command"], wanted["environment"]
            assert isinstance(command, list)
            assert isinstance(environment, dict)
            os.execvpe(command[0], command, {**environment, MARK: _mark(self._own, number)})  # noqa: S606
        except OSError as error:
            os.write(fails, str(error.errno or 0).encode())
        finally:
            os._exit(127)

    def _reap(self) -> None:
        numbers = {pid: number for number, pid in self._pids.items()}
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            number = numbers.get(pid)
            if number is not None:
                del self._pids[number]
                _signal_group(pid, signal.SIGKILL)
                self._end_marked(number)
                self._tell(f"ended {number} {status}")

    def _end(self, number: int) -> None:
        _signal_group(self._pids[number], signal.SIGKILL)
        self._end_marked(number)

    def _end_marked(self, number: int | None) -> None:
        """Kill the remains of one program, or of all, until none is left."""
        mark = f"{MARK}={_mark(self._own, number)}".encode()
        for _ in range(SWEEPS):
            left = [pid for pid in _processes() if pid != self._own and _is_marked(pid, mark, whole=number is not None)]
            if not left:
                return
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass
            time.sleep(0.005)

    def _end_all(self) -> None:
        for pid in self._pids.values():
            _signal_group(pid, signal.SIGTERM)
        until = time.monotonic() + GRACE
        while self._pids and time.monotonic() < until:
            time.sleep(0.02)
            self._reap()
        for pid in self._pids.values():
            _signal_group(pid, signal.SIGKILL)
        self._end_marked(None)


def _mark(keeper: int, number: int | None) -> str:
    return f"{keeper}." if number is None else f"{keeper}.{number}"


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _is_marked(pid: int, mark: bytes, *, whole: bool) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            variables = file.read().split(b"\0")
    except OSError:
        return False  # gone, or another user's; a zombie reads as empty
    return mark in variables if whole else any(variable.startswith(mark) for variable in variables)


def _signal_group(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except OSError:
        pass  # no process of it is left


if __name__ == "__main__":
    Keeper(socket.socket(fileno=int(sys.argv[1]))).run()
