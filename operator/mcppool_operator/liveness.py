"""Whether the watches work: which lists are done, and when each watch last received something.

kopf reports neither, so this module observes the connections of kopf (`aiohttp.TraceConfig`): a watch that begins
follows a finished list, and a second list of the same kind means that the watch has missed something. The API server
sends a bookmark once a minute; a watch that receives nothing for longer is dead.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from types import SimpleNamespace
from typing import Any, Final

import aiohttp
from yarl import URL

from mcppool_operator.resources import Kind

SILENCE: Final = 90.0
"""Seconds without a byte, bookmarks included, after which a watch counts as dead."""

GRACE: Final = 10.0
"""Seconds that a watch may take to come back: kopf opens each one again every few minutes."""


class _Watch:
    """The watch of one collection."""

    def __init__(self, kind: Kind, now: float) -> None:
        self.kind = kind
        self.listed = False  # once, from beginning to end
        self._response: aiohttp.ClientResponse | None = None
        self._heard = now
        self._bytes = -1

    def begun(self, response: aiohttp.ClientResponse, now: float) -> None:
        """Note an answer to a watch request."""
        self._response, self._heard, self._bytes = response, now, -1

    def trouble(self, now: float) -> str | None:
        """Return the trouble of the watch; None if there is none."""
        if not self.listed:
            return "not listed yet"
        response = self._response
        if response is None or response.closed or response.content.at_eof():
            return "no watch" if now - self._heard > GRACE else None
        if response.content.total_bytes != self._bytes:
            self._bytes, self._heard = response.content.total_bytes, now
        silent = now - self._heard
        return f"silent for {silent:.0f} s" if silent > SILENCE else None


class Watches:
    """All watches of the operator.

    `listed` is called when a kind has been fully listed in every namespace; `unsure` when its list begins again,
    because a watch has missed something.
    """

    def __init__(
        self,
        kinds: Iterable[Kind],
        namespaces: Collection[str],
        listed: Callable[[Kind], None],
        unsure: Callable[[Kind], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._on_listed, self._on_unsure = listed, unsure
        self._watches = {
            kind.path(namespace): _Watch(kind, clock()) for kind in kinds for namespace in (namespaces or (None,))
        }
        self.prefix = ""
        """The path prefix of the API server's address, if it is more than `/`."""
        self.trace = aiohttp.TraceConfig()
        self.trace.on_request_start.append(self._request_begins)
        self.trace.on_request_end.append(self._response_begins)

    def troubles(self) -> list[str]:
        """Return the troubles, a line for each watch; nothing if all lists are done and all watches receive."""
        now = self._clock()
        return [
            f"{path}: {trouble}" for path, watch in self._watches.items() if (trouble := watch.trouble(now)) is not None
        ]

    def _of(self, url: URL) -> _Watch | None:
        return self._watches.get(url.path.removeprefix(self.prefix))

    async def _request_begins(self, _: Any, __: SimpleNamespace, params: aiohttp.TraceRequestStartParams) -> None:
        watch = self._of(params.url)
        if watch is None or params.method != "GET":
            return
        if "watch" not in params.url.query:
            if watch.listed and "continue" not in params.url.query:
                watch.listed = False
                self._on_unsure(watch.kind)
        elif not watch.listed:
            watch.listed = True
            if all(other.listed for other in self._watches.values() if other.kind is watch.kind):
                self._on_listed(watch.kind)

    async def _response_begins(self, _: Any, __: SimpleNamespace, params: aiohttp.TraceRequestEndParams) -> None:
        watch = self._of(params.url)
        if watch is not None and "watch" in params.url.query and params.response.status == 200:
            watch.begun(params.response, self._clock())
