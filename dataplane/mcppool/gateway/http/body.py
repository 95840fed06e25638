"""The incoming body of one request: held within the budgets, or thrown away except for its two ends."""

from __future__ import annotations

from typing import Final

from mcppool.gateway.http.client_caps import ClientUsage
from mcppool.policy.memory_budget import MemoryAccount
from mcppool.wire.bulk import BULK, Bulk

UNCHARGED: Final = 16 * 1024
"""Bytes of each body that are not charged: most calls are smaller, and the number of connections is bounded."""
STEP: Final = 128 * 1024
"""Bytes that are charged at once."""
COPIES: Final = 4
"""Copies of a body at the peak: as received, in parts while it is parsed, in the request to a server."""
END: Final = 4096
"""Bytes of each end that are kept of a discarded body: they may contain the id of its request."""


class Body:
    """One body. `lost`: there was no room for all of it. `charged` bytes are given back with `release`."""

    __slots__ = ("_account", "_client", "_data", "charged", "lost")

    def __init__(self, client: ClientUsage, account: MemoryAccount) -> None:
        self._client = client
        self._account = account
        self._data = Bulk()
        self.charged = 0
        self.lost = False

    def add(self, piece: bytes) -> None:
        """A part has come."""
        data = self._data
        size = len(data) + len(piece)
        if not self.lost and COPIES * size > self.charged + UNCHARGED:
            more = max(COPIES * size - self.charged, STEP)
            if self._client.reserve(self._account, more):
                self.charged += more
            else:
                self._lose()
        data.extend(piece)
        if self.lost and len(data) > 4 * END:
            del data[END:-END]

    def hold(self, whole: bytes) -> bytes:
        """Take the whole body at once, or its two ends."""
        if self._client.reserve(self._account, COPIES * len(whole)):
            self.charged = COPIES * len(whole)
            return Bulk(whole) if len(whole) > BULK else whole
        self.lost = True
        return whole[:END] + whole[-END:]

    def take(self) -> bytes:
        """All of it, as `Bulk` if it is large, or its two ends."""
        if self.lost:
            del self._data[END:-END]
        data, self._data = self._data, Bulk()
        return data if len(data) > BULK else bytes(data)

    def move(self, client: ClientUsage) -> None:
        """The body is this client's."""
        if self.charged:
            client.hold(self.charged)
            self._client.hold(-self.charged)
        self._client = client

    def release(self) -> None:
        """It is no longer needed."""
        if self.charged:
            self._client.charge(self._account, -self.charged)
            self.charged = 0

    def _lose(self) -> None:
        self.lost = True
        self.release()
        del self._data[END:-END]
