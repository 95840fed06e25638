"""The open files of this process: a test that closes something asserts that none of its files is left."""

from __future__ import annotations

import os
import socket
from contextlib import suppress


def held() -> set[str]:
    """The names of the open descriptors: each socket and each pipe has a number of its own."""
    return set(_numbers())


def described(names: set[str]) -> list[str]:
    """These descriptors, with the addresses of sockets."""
    numbers = _numbers()
    return [f"{name} ({_addresses(numbers[name])})" for name in sorted(names & set(numbers))]


def numbers_of(names: set[str]) -> list[int]:
    """The numbers of these descriptors."""
    return [number for name, number in _numbers().items() if name in names]


def _numbers() -> dict[str, int]:
    numbers = {}
    for number in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # that of the listing itself
            numbers[os.readlink(f"/proc/self/fd/{number}")] = int(number)
    return {name: number for name, number in numbers.items() if not name.startswith("/proc/")}


def _addresses(number: int) -> str:
    try:
        with socket.socket(fileno=os.dup(number)) as sock:
            ours = sock.getsockname()
            with suppress(OSError):
                return f"from {ours} to {sock.getpeername()}"
            return f"at {ours}, not connected"
    except OSError:
        return "no socket"
