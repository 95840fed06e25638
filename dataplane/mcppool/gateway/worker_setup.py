"""The start of one of several processes of a gateway, as its supervisor prepares it."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass

from mcppool.pipeline.peers import Peers
from mcppool.spec import Snapshot


@dataclass(frozen=True, slots=True)
class WorkerSetup:
    """`sockets` are bound to the address for clients, and share it with those of the other processes. `keys` is the
    text of a key file, for a gateway without one. `peers` returns the other processes, as a pool sees them. `whole`
    returns a snapshot as it was before this process took its share. The process serves no admin port: its supervisor
    does."""

    sockets: tuple[socket.socket, ...]
    keys: str
    peers: Callable[[str], Peers]
    whole: Callable[[Snapshot], Snapshot]
