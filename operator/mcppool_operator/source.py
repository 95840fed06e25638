"""Reading what a pool's source refers to, and resolving it."""

from __future__ import annotations

import asyncio

from mcppool.spec import SourceSpec
from mcppool_operator.api import KubeApi
from mcppool_operator.resolve import Endpoint, Resolution, ServiceRef, State, resolve_service, resolve_static
from mcppool_operator.resources import ENDPOINT_SLICE, SERVICE
from mcppool_operator.triggers import SLICE_SERVICE_LABEL


async def read(api: KubeApi, namespace: str, source: SourceSpec) -> Resolution:
    """Return the endpoints that a source has at this moment, by consistent reads."""
    if source.service is not None:
        wanted = source.service
        ref = ServiceRef(
            wanted.name, wanted.port, path=wanted.path, scheme=wanted.scheme, include_not_ready=wanted.include_not_ready
        )
        service, slices = await asyncio.gather(
            api.get(SERVICE, namespace, ref.name),
            api.list(ENDPOINT_SLICE, namespace, labels=f"{SLICE_SERVICE_LABEL}={ref.name}"),
        )
        return resolve_service(ref, service, slices)
    if source.static is not None:
        return resolve_static(
            Endpoint(entry.url, State.READY, weight=entry.weight, zone=entry.zone, priority=entry.priority)
            for entry in source.static.endpoints
        )
    raise NotImplementedError(f"source type {source.type}")  # the specification refuses it before it comes here
