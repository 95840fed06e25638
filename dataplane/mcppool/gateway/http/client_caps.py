"""Caps on connections, streams and bytes, for each client address and in all. No client may use up the listener.

Behind a proxy every client has the proxy's address; raise the caps per client to the total caps there.
"""

from __future__ import annotations

import ipaddress
import resource
from dataclasses import dataclass
from typing import Final

from mcppool.policy.memory_budget import MemoryAccount, MemoryBudget
from mcppool.spec import ListenerSpec

SHARE_OF_COUNTS: Final = 4
"""Divisor: by default one client may have a quarter of all connections and of all streams."""
SHARE_OF_MEMORY: Final = 2
"""Divisor: by default one client may hold half of the total memory."""
SHARE_OF_FILES: Final = 0.75
"""Share of the files that the process may open for clients: the admin port, checks and servers need the rest."""
MEMORY_OF_CONNECTION: Final = 64 * 1024
"""Bytes that a connection may need without being charged."""
IPV6_PREFIX: Final = 64
"""Bits of an IPv6 address that identify a client: a client has all addresses below them."""


@dataclass
class ClientCaps:
    """Upper bounds for one client, and for all together; they may change at any time."""

    connections: int
    connections_per_client: int
    streams: int
    streams_per_client: int
    memory_per_client: float


UNLIMITED: Final = ClientCaps(1 << 60, 1 << 60, 1 << 60, 1 << 60, float("inf"))


def caps_of(spec: ListenerSpec, memory: MemoryBudget) -> ClientCaps:
    """The caps of the configuration, and defaults for keys that are not set."""
    connections = spec.max_connections or most_connections(memory)
    return ClientCaps(
        connections,
        spec.max_connections_per_client or max(connections // SHARE_OF_COUNTS, 1),
        spec.max_streams,
        spec.max_streams_per_client or max(spec.max_streams // SHARE_OF_COUNTS, 1),
        spec.max_memory_per_client or memory.room / SHARE_OF_MEMORY,
    )


def most_connections(memory: MemoryBudget) -> int:
    """Upper bound on client connections, from file descriptors and memory."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 1 << 20 if files == resource.RLIM_INFINITY else int(files * SHARE_OF_FILES)
    if memory.limit is not None:
        most = min(most, int(memory.room // MEMORY_OF_CONNECTION))
    return max(most, 1)


def most_waiting() -> int:
    """Length of the accept queue: the listener accepts all connections at once, and sees a cap only after that."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 16 if files == resource.RLIM_INFINITY else max(int(files * (1 - SHARE_OF_FILES) / 2), 16)


class ClientAddress:
    """One address: its open `connections`, its `streams` without a natural end, and `held` bytes of bodies and unread
    answers."""

    __slots__ = ("address", "caps", "connections", "held", "streams")

    def __init__(self, address: str, caps: ClientCaps) -> None:
        self.address = address
        self.caps = caps
        self.connections = 0
        self.streams = 0
        self.held = 0

    def reserve(self, account: MemoryAccount, size: int) -> bool:
        """Charge `size` bytes to the client and to an account of the budget. False: one of them has no room."""
        if self.held + size > self.caps.memory_per_client or not account.reserve(size):
            return False
        self.held += size
        return True

    def charge(self, account: MemoryAccount, size: int) -> None:
        """Charge bytes that are already there, or give them back if `size` is negative."""
        self.held += size
        account.charge(size)

    @property
    def full(self) -> bool:
        """Whether the client holds all the bytes that it may."""
        return self.held >= self.caps.memory_per_client


class Clients:
    """Every address with a connection."""

    def __init__(self, caps: ClientCaps) -> None:
        self.caps = caps
        self.connections = 0
        self.streams = 0
        self._clients: dict[str, ClientAddress] = {}

    def set_caps(self, caps: ClientCaps) -> None:
        """Take over changed caps, for connected clients too."""
        self.caps = caps
        for client in self._clients.values():
            client.caps = caps

    def arrive(self, address: str) -> ClientAddress:
        """A connection of this address is open."""
        key = _client_key(address)
        client = self._clients.get(key)
        if client is None:
            client = self._clients[key] = ClientAddress(key, self.caps)
        client.connections += 1
        self.connections += 1
        return client

    def leave(self, client: ClientAddress) -> None:
        """A connection has closed. Its bytes may be given back later."""
        client.connections -= 1
        self.connections -= 1
        if not client.connections:
            self._clients.pop(client.address, None)

    def __len__(self) -> int:
        return len(self._clients)


def _client_key(address: str) -> str:
    """IPv4 addresses one by one, also those written as IPv6; IPv6 addresses by their network."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((parsed, IPV6_PREFIX), strict=False))
