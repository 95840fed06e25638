"""The union of the filters of all clients of a pool, within limits.

The union goes to every server in one request, so it must stay small. Each client (a verified principal, else an
address) has a part of the limit, so that one client cannot keep the others from listening.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from mcppool.pipeline.subscriptions.filter import Filter

MAX_URIS: Final = 1024
MAX_URI: Final = 8 * 1024
MAX_FILTER: Final = 64 * 1024
"""Upper bounds on one `subscriptions/listen`: named resources; bytes of one URI; bytes of all of them."""

MAX_WANTED: Final = 1024 * 1024
MAX_WANTED_OF_ONE: Final = MAX_WANTED // 4
"""Upper bounds in bytes on the different URIs of all clients of a pool, and of one client."""


def too_much(filter: Filter) -> str | None:
    """The reason why a filter is too large; None if it is not. Names the field, the value and the limit."""
    place = "params.notifications.resourceSubscriptions"
    if len(filter.uris) > MAX_URIS:
        return f"{place}: {len(filter.uris)} URIs; allowed are {MAX_URIS}"
    longest = max(map(size_of, filter.uris), default=0)
    if longest > MAX_URI:
        return f"{place}: a URI of {longest} bytes; allowed are {MAX_URI}"
    size = sum(map(size_of, filter.uris))
    return f"{place}: {size} bytes of URIs; allowed are {MAX_FILTER}" if size > MAX_FILTER else None


class FilterUnion:
    """The union of filters, each of which counts for a client."""

    def __init__(self) -> None:
        self._lists: Counter[str] = Counter()
        self._uris: Counter[str] = Counter()
        self._bytes = 0
        self._of: Counter[str] = Counter()  # bytes by client, each filter's own
        self.union = Filter()

    def add(self, filter: Filter, owner: str) -> str | None:
        """Add a filter. If the union would become too large, nothing is added, and the reason is returned."""
        size = sum(map(size_of, filter.uris))
        if size and self._of[owner] + size > MAX_WANTED_OF_ONE:
            return f"one client listens for more than {MAX_WANTED_OF_ONE} bytes of URIs"
        more = sum(size_of(uri) for uri in filter.uris if uri not in self._uris)
        if more and self._bytes + more > MAX_WANTED:
            return f"the clients of the pool listen for more than {MAX_WANTED} bytes of URIs"
        self._bytes += more
        if size:
            self._of[owner] += size
        before = len(self._lists) + len(self._uris)
        self._lists.update(filter.lists)
        self._uris.update(filter.uris)
        if len(self._lists) + len(self._uris) != before:
            self.union = Filter(frozenset(self._lists), frozenset(self._uris))
        return None

    def remove(self, filter: Filter, owner: str) -> None:
        """Remove an added filter."""
        self._of[owner] -= sum(map(size_of, filter.uris))
        if self._of[owner] <= 0:
            del self._of[owner]
        gone = 0
        for counts, names in ((self._lists, filter.lists), (self._uris, filter.uris)):
            counts.subtract(names)
            for name in names:
                if counts[name] <= 0:
                    del counts[name]
                    gone += 1
                    self._bytes -= size_of(name) if counts is self._uris else 0
        if gone:
            self.union = Filter(frozenset(self._lists), frozenset(self._uris))


def size_of(uri: str) -> int:
    """Bytes of a URI."""
    return len(uri) if uri.isascii() else len(uri.encode("utf-8", "surrogatepass"))
