"""Optional kinds of children: their CRDs belong to other projects, and may be installed later."""

from __future__ import annotations

import time
from typing import Final

from mcppool.spec import Resource
from mcppool_operator.api import KubeApi
from mcppool_operator.children.table import CHILDREN
from mcppool_operator.resources import HTTP_ROUTE, SERVICE_MONITOR, Kind

OPTIONAL: Final = tuple(child.kind for child in CHILDREN if not child.built_in)

ASK_AGAIN: Final = 60.0
"""Seconds for which it is remembered which of them the API server knows."""


def wanted(resource: Resource) -> frozenset[Kind]:
    """Return which of them a pool asks for. Pure."""
    route = resource.gateway.route
    asked = {
        SERVICE_MONITOR: resource.gateway.service_monitor.enabled,
        HTTP_ROUTE: route is not None and route.type == "http_route",
    }
    return frozenset(kind for kind, is_wanted in asked.items() if is_wanted)


class OptionalKinds:
    """Which of them the API server knows."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._known: frozenset[Kind] = frozenset()
        self._ask_at = 0.0

    async def served(self, asked: frozenset[Kind] = frozenset()) -> frozenset[Kind]:
        """Say so; a pool that asks for one does not take a "no" of some time ago."""
        if time.monotonic() >= self._ask_at or not asked <= self._known:
            self._known = frozenset([kind for kind in OPTIONAL if await self._api.served(kind)])
            self._ask_at = time.monotonic() + ASK_AGAIN
        return self._known
