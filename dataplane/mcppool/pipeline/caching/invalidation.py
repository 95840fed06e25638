"""Listens for changes of cached answers: a change that a server announces invalidates them at once.

It listens only once there is a cached answer. It watches the most recently cached resources, up to `MAX_WATCHED` and
`MAX_WATCHED_BYTES`; the others expire by their `ttlMs` alone.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from mcppool.pipeline.catalog import PoolCatalog
from mcppool.pipeline.settings import Settings
from mcppool.pipeline.subscriptions.filter import Filter, list_of
from mcppool.pipeline.subscriptions.hub import SubscriptionHub
from mcppool.pipeline.subscriptions.union import size_of
from mcppool.policy.cache_rules import READ

MAX_WATCHED = 256
MAX_WATCHED_BYTES = 256 * 1024  # of their URIs
RENEWED_EVERY = 2.0  # seconds between two renewals of the filter: each opens the upstream streams anew

_READ = f"{READ} "


class CacheInvalidation:
    """Keeps the pool's own subscription in step with the cached answers. `invalidate` gets the tags that a change
    concerns."""

    def __init__(self, settings: Settings, hub: SubscriptionHub, invalidate: Callable[[tuple[str, ...]], None]) -> None:
        self._settings = settings
        self._hub = hub
        self._invalidate = invalidate
        self._lists: set[str] = set()
        self._uris: OrderedDict[str, int] = OrderedDict()  # with their bytes
        self._bytes = 0
        self._stale = False
        self._catalog: PoolCatalog | None = None
        self._not_before = 0.0
        self._listening = Filter()
        self._fresh = Filter()  # the part requested last: its streams may not be open yet

    def kept(self, tag: str) -> None:
        """An answer with this tag was cached."""
        if not tag.startswith(_READ):
            if tag not in self._lists:
                self._lists.add(tag)
                self._stale = True
            return
        uri = tag.removeprefix(_READ)
        if uri not in self._uris:
            self._stale = True
            self._uris[uri] = size_of(uri)
            self._bytes += self._uris[uri]
        self._uris.move_to_end(uri)
        while len(self._uris) > MAX_WATCHED or self._bytes > MAX_WATCHED_BYTES:
            self._bytes -= self._uris.popitem(last=False)[1]

    def sweep(self, now: float) -> None:
        """Listen for the currently cached answers, if these have changed."""
        self._hub.watch(self._listening, self)  # the filters of clients concern cached answers, too
        if now < self._not_before:
            return
        self._fresh = Filter()
        if not self._stale and (not self._lists or self._catalog is self._settings.catalog):
            return
        self._not_before = now + RENEWED_EVERY
        self._stale = False
        self._catalog = self._settings.catalog
        wanted = Filter(frozenset(self._lists), frozenset(self._uris)).honoured(self._catalog.discover)
        self._fresh, self._listening = wanted.without(self._listening), wanted
        self._hub.watch(wanted, self)

    def close(self) -> None:
        """Stop listening."""
        self._hub.watch(Filter(), None)

    def changed(self, method: str, uri: str | None) -> None:
        """A server announces a change; a change in a part of a resource concerns the resource."""
        name = list_of(method)
        if name is not None:
            self._invalidate((name,))
        elif uri is not None:
            tags = tuple(f"{_READ}{u}" for u in self._uris if uri == u or uri.startswith(f"{u.rstrip('/')}/"))
            if tags:
                self._invalidate(tags)

    def missed(self, what: Filter) -> None:
        """Changes of these may have been missed.

        Until a stream opens for the first time, a cached answer expires by its time alone, as without any stream:
        dropping it would fetch every resource twice.
        """
        what = what.without(self._fresh)
        self._invalidate((*sorted(what.lists), *(f"{_READ}{uri}" for uri in sorted(what.uris))))
