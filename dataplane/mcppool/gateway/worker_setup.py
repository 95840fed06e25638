"""The start of one of several processes of a gateway, as its supervisor prepares it."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass

from mcppool.pipeline.peers import Peers


@dataclass(frozen=True, slots=True)
class WorkerSetup:
    """`sockets` are bound to the address for clients, and share it with those of the other processes. `keys` is the
    text of a key file, for a gateway without one. `peers` returns the other processes, as a pool sees them. The process
    serves no admin port: its supervisor does."""

    sockets: tuple[socket.socket, ...]
    keys: str
    peers: Callable[[str], Peers]
