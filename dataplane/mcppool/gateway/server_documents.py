"""Metadata documents of servers that check credentials themselves (RFC 9728, RFC 8414), from any replica."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from time import monotonic
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from mcppool.access.metadata import WELL_KNOWN, metadata_path
from mcppool.pipeline.pool.pool import ServerPool
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.failures import AttemptFailed, BadAnswer
from mcppool.upstream.named_metadata import origin_of
from mcppool.upstream.probing.probe import open_probe
from mcppool.upstream.timeouts import within

STALE: Final = 300.0
"""Seconds that a document is still served while no server answers."""
MAX_KEPT: Final = 32
"""Upper bound on the documents that are kept for that."""
MISSED: Final = 2.0
"""Seconds that a missing document is remembered."""
MAX_ASKED: Final = 3
"""Upper bound on the replicas that are asked for one document."""
PATIENCE: Final = 10.0
"""Seconds for the answer of one replica."""
MAX_BODY: Final = 64 * 1024
"""Upper bound in bytes on a document."""
MAX_ISSUERS: Final = 8
"""Upper bound on the authorization servers at the pool's own origin whose metadata is served."""
NO_STORE: Final = b"no-store"
MAX_CACHE_CONTROL: Final = 256
"""Upper bound in bytes on a server's `Cache-Control` that reaches the client."""
ISSUER_PATHS: Final = ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration")
"""Paths of the metadata of servers that issue tokens themselves."""


class FoundDocument(NamedTuple):
    """A server's document. `cache_control` is the server's own; `no-store` if it sends none."""

    body: bytes
    cache_control: bytes


class ServersUnavailable(Exception):
    """No server answers, so it is unknown whether the document exists."""


class ServerDocuments:
    """The documents of one pool's servers: those at the well-known paths, those that a challenge of a server has named,
    and those of authorization servers that a server's metadata has named, at the origin of `resources`, the pool's URLs
    as clients type them.

    A server is asked for each document anew, because a client asks again when its token is refused, and must see a
    change. Unknown clients may ask, so there is one request at a time for each document.
    """

    def __init__(self, pool: ServerPool, resources: Collection[str] = ()) -> None:
        self._pool = pool
        self._own = [metadata_path(resource) for resource in resources]
        self._origins = frozenset(origin for resource in resources if (origin := origin_of(resource)) is not None)
        self._issuers: dict[str, str] = {}  # the path of an issuer's metadata → the issuer
        self._last: dict[str, tuple[float, FoundDocument]] = {}
        self._missed: dict[str, float] = {}
        self._asking: dict[str, asyncio.Task[FoundDocument | None]] = {}

    @property
    def own_paths(self) -> list[str]:
        """The well-known paths for the pool's URLs as clients type them."""
        return self._own

    async def names(self, path: str) -> bool:
        """Whether a server has named a document at `path`, which is not one of the fixed paths."""
        if self._is_named(path) or path in self._issuers:
            return True
        if not any(name in path for name in ISSUER_PATHS):
            return False
        for place in (*self._named_paths(), *self._own[:1]):  # another gateway may have served the server's metadata
            with suppress(ServersUnavailable):
                await self.get(place)
        return path in self._issuers

    async def get(self, path: str) -> FoundDocument | None:
        """The document at a path that the pool serves; None if no server has one. Raises ServersUnavailable."""
        if monotonic() < self._missed.get(path, 0.0):
            return None
        asking = self._asking.get(path)
        if asking is None:
            asking = self._asking[path] = asyncio.create_task(self._find(path), name=f"document {path}")
            asking.add_done_callback(lambda task: self._asked(path, task))
        return await asyncio.shield(asking)

    def _asked(self, path: str, task: asyncio.Task[FoundDocument | None]) -> None:
        self._asking.pop(path, None)
        if not task.cancelled():
            task.exception()  # the waiters have it

    async def _find(self, path: str) -> FoundDocument | None:
        """Ask one replica after the other, those that are available first."""
        answered = False
        endpoints = sorted(self._pool.endpoints.values(), key=lambda endpoint: not endpoint.available)
        for endpoint in endpoints[:MAX_ASKED]:
            try:
                found = await self._ask(endpoint, path)
            except (AttemptFailed, TimeoutError):
                continue
            answered = True
            if found is not None:
                self._keep(path, found)
                return found
        if not answered:
            until, last = self._last.get(path, (0.0, None))
            if last is None or monotonic() >= until:
                raise ServersUnavailable
            return last
        self._last.pop(path, None)
        self._missed = {each: until for each, until in self._missed.items() if until > monotonic()}
        self._missed[path] = monotonic() + MISSED
        return None

    async def _ask(self, endpoint: Endpoint, path: str) -> FoundDocument | None:
        """The document of one replica. Raises AttemptFailed or TimeoutError if the replica does not answer."""
        named = self._is_named(path)
        for place in (path,) if named or path in self._issuers else _places(path, urlsplit(endpoint.spec.url).path):
            status, found = await _fetch(endpoint, place)
            if status >= 500:
                raise TimeoutError
            document = _object(found.body) if status == 200 else None
            if document is None or (named and not isinstance(document.get("resource"), str)):
                continue
            if path in self._issuers and document.get("issuer") != self._issuers[path]:
                continue
            self._note_issuers(document.get("authorization_servers"))
            return found
        return None

    def _keep(self, path: str, found: FoundDocument) -> None:
        self._last.pop(path, None)
        self._last[path] = monotonic() + STALE, found
        if len(self._last) > MAX_KEPT:
            del self._last[next(iter(self._last))]

    def _is_named(self, path: str) -> bool:
        return any(endpoint.metadata.at(path) in self._origins for endpoint in self._pool.endpoints.values())

    def _named_paths(self) -> list[str]:
        each = (endpoint.metadata.paths(self._origins) for endpoint in self._pool.endpoints.values())
        return list(dict.fromkeys(path for paths in each for path in paths))[:MAX_ISSUERS]

    def _note_issuers(self, issuers: object) -> None:
        """Note the authorization servers at the pool's own origin, whose metadata clients look for there."""
        for issuer in issuers[:MAX_ISSUERS] if isinstance(issuers, list) else ():
            if isinstance(issuer, str) and origin_of(issuer) in self._origins:
                own = urlsplit(issuer).path.rstrip("/")
                for path in (*(name + own for name in ISSUER_PATHS), f"{own}{ISSUER_PATHS[1]}"):
                    self._issuers[path] = issuer
        while len(self._issuers) > MAX_ISSUERS * 3:
            del self._issuers[next(iter(self._issuers))]


async def _fetch(endpoint: Endpoint, path: str) -> tuple[int, FoundDocument]:
    """The status and the body of a server's answer. Raises AttemptFailed or TimeoutError."""
    async with within(PATIENCE), open_probe(endpoint, PATIENCE) as probe:
        response = await probe.get(path)
        body = bytearray()
        while chunk := await response.next_chunk():
            body += chunk
            if len(body) > MAX_BODY:
                raise BadAnswer(f"a document of more than {MAX_BODY} bytes")
        said = response.header(b"cache-control") or b""
        return response.status, FoundDocument(bytes(body), said if 0 < len(said) <= MAX_CACHE_CONTROL else NO_STORE)


def _places(path: str, own: str) -> tuple[str, ...]:
    """The possible places of a server's document: at the client's own path, before its own path, or at the root."""
    for name in (WELL_KNOWN, *ISSUER_PATHS):
        if path.startswith(name):
            own = own.rstrip("/")
            return tuple(dict.fromkeys((path, name + own, name)))
    return (path,)


def _object(body: bytes) -> Mapping[str, Any] | None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None
