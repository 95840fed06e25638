"""The union of the filters of all clients of a pool, within limits.

The union goes to every server in one request, so it must stay small. Each client (a verified principal, else an
address) has a part of the limit, so that one client cannot keep the others from listening.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final, TypeVar

from mcppool.pipeline.subscriptions.filter import Filter, WatchedTask

_T = TypeVar("_T")

MAX_URIS: Final = 1024
MAX_URI: Final = 8 * 1024
MAX_FILTER: Final = 64 * 1024
"""Upper bounds on one `subscriptions/listen`: named resources, and tasks; bytes of one URI; bytes of all of them."""

MAX_WANTED: Final = 1024 * 1024
MAX_WANTED_PER_CLIENT: Final = MAX_WANTED // 4
"""Upper bounds in bytes on the different URIs and task ids of all clients of a pool, and of one client."""


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


def too_many_tasks(ids: list[str]) -> str | None:
    """The same for the sealed ids of tasks in a filter."""
    place = "params.notifications.taskIds"
    if len(ids) > MAX_URIS:
        return f"{place}: {len(ids)} ids; allowed are {MAX_URIS}"
    longest = max(map(size_of, ids), default=0)
    return f"{place}: an id of {longest} bytes; allowed are {MAX_URI}" if longest > MAX_URI else None


class FilterUnion:
    """The union of filters, each of which counts for a client."""

    def __init__(self) -> None:
        self._lists: Counter[str] = Counter()
        self._uris: Counter[str] = Counter()
        self._tasks: Counter[WatchedTask] = Counter()
        self._bytes = 0
        self._of: Counter[str] = Counter()  # bytes by client, each filter's own
        self.union = Filter()

    def add(self, filter: Filter, owner: str) -> str | None:
        """Add a filter. If the union would become too large, nothing is added, and the reason is returned."""
        size = _size(filter.uris, filter.tasks)
        if size and self._of[owner] + size > MAX_WANTED_PER_CLIENT:
            return f"one client listens for more than {MAX_WANTED_PER_CLIENT} bytes of URIs and task ids"
        more = _size(filter.uris - self._uris.keys(), filter.tasks - self._tasks.keys())
        if more and self._bytes + more > MAX_WANTED:
            return f"the clients of the pool listen for more than {MAX_WANTED} bytes of URIs and task ids"
        self._bytes += more
        if size:
            self._of[owner] += size
        before = self._count
        self._lists.update(filter.lists)
        self._uris.update(filter.uris)
        self._tasks.update(filter.tasks)
        if self._count != before:
            self._renew()
        return None

    def remove(self, filter: Filter, owner: str) -> None:
        """Remove an added filter."""
        self._of[owner] -= _size(filter.uris, filter.tasks)
        if self._of[owner] <= 0:
            del self._of[owner]
        before = self._count
        _take(self._lists, filter.lists)
        self._bytes -= _size(_take(self._uris, filter.uris), _take(self._tasks, filter.tasks))
        if self._count != before:
            self._renew()

    @property
    def _count(self) -> int:
        return len(self._lists) + len(self._uris) + len(self._tasks)

    def _renew(self) -> None:
        self.union = Filter(frozenset(self._lists), frozenset(self._uris), frozenset(self._tasks))


def _take(counts: Counter[_T], names: Iterable[_T]) -> list[_T]:
    """Count each name once less; returns those that are gone."""
    gone = []
    for name in names:
        counts[name] -= 1
        if counts[name] <= 0:
            del counts[name]
            gone.append(name)
    return gone


def _size(uris: Iterable[str], tasks: Iterable[WatchedTask]) -> int:
    return sum(map(size_of, uris)) + sum(size_of(task.id) for task in tasks)


def size_of(uri: str) -> int:
    """Bytes of a URI."""
    return len(uri) if uri.isascii() else len(uri.encode("utf-8", "surrogatepass"))
