"""Caps on connections, streams and bytes, for each client and in all. No client may use up the listener.

The streams and bytes of an authenticated client count for its principal. Connections, and the streams and bytes of
other clients, count for the address. Behind a proxy every client has the proxy's address; raise the caps per client to
the total caps there.
"""

from __future__ import annotations

import ipaddress
import resource
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from mcppool.policy.memory_budget import MemoryAccount, MemoryBudget
from mcppool.spec import ListenerSpec

SHARE_OF_COUNTS: Final = 4
"""Divisor: by default one client or principal may have a quarter of all connections and of all streams."""
SHARE_OF_MEMORY: Final = 2
"""Divisor: by default one client or principal may hold half of the total memory."""
SHARE_OF_FILES: Final = 0.75
"""Share of the files that the process may open for clients: the admin port, checks and servers need the rest."""
MEMORY_OF_CONNECTION: Final = 64 * 1024
"""Bytes that a connection may need without being charged."""
IPV6_PREFIX: Final = 64
"""Bits of an IPv6 address that identify a client: a client has all addresses below them."""


@dataclass
class ClientCaps:
    """Upper bounds for one address, for one principal, and for all together; they may change at any time."""

    connections: int
    connections_per_client: int
    streams: int
    streams_per_client: int
    memory_per_client: float
    streams_per_principal: int
    memory_per_principal: float


UNLIMITED: Final = ClientCaps(1 << 60, 1 << 60, 1 << 60, 1 << 60, float("inf"), 1 << 60, float("inf"))


def caps_of(spec: ListenerSpec, memory: MemoryBudget) -> ClientCaps:
    """The caps of the configuration, and defaults for keys that are not set."""
    connections = spec.max_connections or most_connections(memory)
    return ClientCaps(
        connections,
        spec.max_connections_per_client or max(connections // SHARE_OF_COUNTS, 1),
        spec.max_streams,
        spec.max_streams_per_client or max(spec.max_streams // SHARE_OF_COUNTS, 1),
        spec.max_memory_per_client or memory.room / SHARE_OF_MEMORY,
        spec.max_streams_per_principal or max(spec.max_streams // SHARE_OF_COUNTS, 1),
        spec.max_memory_per_principal or memory.room / SHARE_OF_MEMORY,
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


class ClientUsage:
    """The resources that one client uses: open `connections`, `streams` without a natural end, and `held` bytes of
    bodies and unread answers.

    The client is an address, with an empty `pool`, or a principal of a pool; `key` identifies it. `forget` is called
    when it uses nothing any more.
    """

    __slots__ = ("_forget", "caps", "connections", "held", "key", "pool", "streams")

    def __init__(
        self, key: str, caps: ClientCaps, pool: str = "", forget: Callable[[ClientUsage], None] = lambda _: None
    ) -> None:
        self.key = key
        self.pool = pool
        self.caps = caps
        self.connections = 0
        self.streams = 0
        self.held = 0
        self._forget = forget

    def reserve(self, account: MemoryAccount, size: int) -> bool:
        """Charge `size` bytes to the client and to an account of the budget. False: one of them has no room."""
        if self.held + size > self.max_memory or not account.reserve(size):
            return False
        self.held += size
        return True

    def charge(self, account: MemoryAccount, size: int) -> None:
        """Charge bytes that are already there, or give them back if `size` is negative."""
        account.charge(size)
        self.hold(size)

    def hold(self, size: int) -> None:
        """The same for bytes that the account has already counted: they move from one client to another."""
        self.held += size
        if not self.held:
            self._forget_if_unused()

    def open_stream(self) -> None:
        """A stream without a natural end has opened."""
        self.streams += 1

    def close_stream(self) -> None:
        """It has ended."""
        self.streams -= 1
        self._forget_if_unused()

    def join(self) -> None:
        """One more connection is the client's."""
        self.connections += 1

    def leave(self) -> None:
        """A connection has closed, or is another client's. Its bytes may be given back later."""
        self.connections -= 1
        self._forget_if_unused()

    @property
    def max_memory(self) -> float:
        """Upper bound on `held`."""
        return self.caps.memory_per_principal if self.pool else self.caps.memory_per_client

    @property
    def max_streams(self) -> int:
        """Upper bound on `streams`."""
        return self.caps.streams_per_principal if self.pool else self.caps.streams_per_client

    @property
    def full(self) -> bool:
        """Whether the client holds all the bytes that it may."""
        return self.held >= self.max_memory

    def _forget_if_unused(self) -> None:
        if not (self.connections or self.streams or self.held):
            self._forget(self)


class Clients:
    """Every address, and every principal of a pool, that uses something."""

    def __init__(self, caps: ClientCaps) -> None:
        self.caps = caps
        self.connections = 0
        self._clients: dict[tuple[str, str], ClientUsage] = {}

    def set_caps(self, caps: ClientCaps) -> None:
        """Take over changed caps, for connected clients too."""
        self.caps = caps
        for client in self._clients.values():
            client.caps = caps

    def arrive(self, address: str) -> ClientUsage:
        """A connection of this address is open."""
        self.connections += 1
        return self._join("", _client_key(address))

    def depart(self, client: ClientUsage) -> None:
        """A connection of this address has closed."""
        self.connections -= 1
        client.leave()

    def authenticated(self, pool: str, principal: str) -> ClientUsage:
        """A connection has brought a call of a principal."""
        return self._join(pool, principal)

    def _join(self, pool: str, key: str) -> ClientUsage:
        client = self._clients.get((pool, key))
        if client is None:
            client = self._clients[pool, key] = ClientUsage(key, self.caps, pool, self._forget)
        client.join()
        return client

    def _forget(self, client: ClientUsage) -> None:
        self._clients.pop((client.pool, client.key), None)

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
