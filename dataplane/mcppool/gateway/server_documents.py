"""Metadata documents of servers that check credentials themselves (RFC 9728, RFC 8414), from any replica."""

from __future__ import annotations

import asyncio
import json
from time import monotonic
from typing import Final
from urllib.parse import urlsplit

from mcppool.access.metadata import WELL_KNOWN
from mcppool.pipeline.pool.pool import ServerPool
from mcppool.upstream.oauth.http import send
from mcppool.upstream.oauth.token_response import TokenUnavailable

KEPT: Final = 30.0
"""Seconds for which a document is kept."""
MISSED: Final = 2.0
"""Seconds for which a missing document is remembered."""
MOST_ASKED: Final = 3
"""Upper bound on the replicas that are asked for one document."""
ISSUER_PATHS: Final = ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration")
"""Paths of the metadata of servers that issue tokens themselves."""


class ServerDocuments:
    """The documents of one pool's servers. Unknown clients may ask for them, so servers are asked at a bounded rate."""

    def __init__(self, pool: ServerPool) -> None:
        self._pool = pool
        self._kept: dict[str, tuple[float, bytes | None]] = {}
        self._lock = asyncio.Lock()

    async def get(self, path: str) -> bytes | None:
        """The document at one of the paths that the router serves; None if no server has one."""
        async with self._lock:
            until, document = self._kept.get(path, (0.0, None))
            now = monotonic()
            if now >= until:
                document = await self._fetch(path)
                self._kept[path] = now + (KEPT if document is not None else MISSED), document
            return document

    async def _fetch(self, path: str) -> bytes | None:
        endpoints = sorted(self._pool.endpoints.values(), key=lambda endpoint: not endpoint.available)
        for endpoint in endpoints[:MOST_ASKED]:
            url = urlsplit(endpoint.spec.url)
            for place in _places(path, url.path):
                try:
                    answer = await send(f"{url.scheme}://{url.netloc}{place}", self._pool.spec.tls.ca_file)
                except TokenUnavailable:
                    break  # the next replica may answer
                if answer.status == 200 and _is_object(answer.body):
                    return answer.body
        return None


def _places(path: str, own: str) -> tuple[str, ...]:
    """The possible places of a server's document: at the client's own path, before its own path, or at the root."""
    for name in (WELL_KNOWN, *ISSUER_PATHS):
        if path.startswith(name):
            own = own.rstrip("/")
            return tuple(dict.fromkeys((path, name + own, name)))
    return (path,)


def _is_object(body: bytes) -> bool:
    try:
        return isinstance(json.loads(body), dict)
    except (ValueError, RecursionError):
        return False
