"""The sockets of the workers: each place has its own on the same port (`SO_REUSEPORT`), and the kernel spreads new
connections over them by the hash of the addresses (docs/explanation/decisions/0020-several-processes.md).

The supervisor keeps each socket open. So connections that arrive while a worker starts again wait for it, and an end
loses only the calls inside it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import Final

Address = tuple[int, str, int]
"""A family, a host and a port."""

_KINDS: Final = (socket.AF_INET, socket.AF_INET6)


def reserve(hosts: Sequence[str], port: int) -> list[socket.socket]:
    """Bind a socket for each address of the hosts, on the same port; port 0 takes a free one. Raises OSError if another
    program has the port."""
    bound: list[socket.socket] = []
    try:
        for family, host in _resolved(hosts, port):
            same = bound[0].getsockname()[1] if bound else port
            if same:  # without SO_REUSEPORT, this fails if another gateway of this user has the port
                _bind((family, host, same), shared=False).close()
            bound.append(_bind((family, host, same), shared=True))
    except OSError:
        close(bound)
        raise
    return bound


def addresses(bound: Sequence[socket.socket]) -> list[Address]:
    """The addresses of sockets."""
    return [(sock.family, *sock.getsockname()[:2]) for sock in bound]


def bind(wanted: Sequence[Address]) -> list[socket.socket]:
    """More sockets on the addresses of others. Raises OSError."""
    made: list[socket.socket] = []
    try:
        for address in wanted:
            sock = _bind(address, shared=True)
            made.append(sock)
    except OSError:
        close(made)
        raise
    return made


def close(sockets: Sequence[socket.socket]) -> None:
    """Close them all."""
    for sock in sockets:
        sock.close()


def _resolved(hosts: Sequence[str], port: int) -> list[tuple[int, str]]:
    found: dict[tuple[int, str], None] = {}
    for host in hosts:
        for family, _, _, _, address in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            if family in _KINDS:
                found[family, str(address[0])] = None
    return list(found)


def _bind(address: Address, *, shared: bool) -> socket.socket:
    family, host, port = address
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        why = os.strerror(error.errno or 0).lower()
        raise OSError(error.errno, f"error while attempting to bind on address {(host, port)!r}: {why}") from None
    return sock
