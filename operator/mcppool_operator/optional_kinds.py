"""Optional kinds of children: their CRDs belong to other projects, and may be installed later."""

from __future__ import annotations

import time
from typing import Final

from mcppool.spec.resource import Resource
from mcppool_operator.api import KubeApi
from mcppool_operator.children.table import CHILDREN
from mcppool_operator.resources import HTTP_ROUTE, SERVICE_MONITOR, Kind

OPTIONAL: Final = tuple(child.kind for child in CHILDREN if not child.built_in)

ASK_AGAIN: Final = 60.0
"""Seconds that the API server's answer about them is kept."""


def wanted(resource: Resource) -> frozenset[Kind]:
    """Return the optional kinds that a pool asks for. Pure."""
    route = resource.gateway.route
    asked = {
        SERVICE_MONITOR: resource.gateway.service_monitor.enabled,
        HTTP_ROUTE: route is not None and route.type == "http_route",
    }
    return frozenset(kind for kind, is_wanted in asked.items() if is_wanted)


class OptionalKinds:
    """The optional kinds that the API server knows."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._known: frozenset[Kind] = frozenset()
        self._ask_at = 0.0

    async def served(self, asked: frozenset[Kind] = frozenset()) -> frozenset[Kind]:
        """Return them; for a pool that asks for one, an older "no" is checked again."""
        if time.monotonic() >= self._ask_at or not asked <= self._known:
            self._known = frozenset([kind for kind in OPTIONAL if await self._api.served(kind)])
            self._ask_at = time.monotonic() + ASK_AGAIN
        return self._known
