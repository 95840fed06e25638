"""Reads the objects of a pool's source, and resolves its endpoints."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from mcppool.spec.sections.source import SourceSpec
from mcppool_operator.api import KubeApi
from mcppool_operator.children import Owner
from mcppool_operator.children.server import PORT
from mcppool_operator.resolve import Resolution, ResolvedEndpoint, ServiceRef, State, resolve_service, resolve_static
from mcppool_operator.resources import ENDPOINT_SLICE, SERVICE
from mcppool_operator.triggers import SLICE_SERVICE_LABEL


async def read(api: KubeApi, owner: Owner, source: SourceSpec) -> Resolution:
    """Return the present endpoints of a source, by consistent reads."""
    if source.static is not None:
        return resolve_static(
            ResolvedEndpoint(
                entry.url,
                State.READY,
                weight=entry.weight,
                zone=entry.zone,
                priority=entry.priority,
                host=entry.host,
            )
            for entry in source.static.endpoints
        )
    ref = service_of(owner, source)
    service, slices = await asyncio.gather(
        api.get(SERVICE, owner.namespace, ref.name),
        api.list(ENDPOINT_SLICE, owner.namespace, labels=f"{SLICE_SERVICE_LABEL}={ref.name}"),
    )
    resolution = resolve_service(ref, service, slices, gateways=owner.gateway_name)
    if resolution.problem is not None and source.service is None and service is None:
        # A Service of ours that is about to be created.
        return Resolution(problem=replace(resolution.problem, reason="Pending", unknown=True))
    return resolution


def service_of(owner: Owner, source: SourceSpec) -> ServiceRef:
    """Return the Service whose EndpointSlices are the source. Pure."""
    if source.pods is not None:
        return ServiceRef(owner.pods_name, PORT, path=source.pods.path, scheme=source.pods.scheme)
    if source.managed is not None:
        return ServiceRef(owner.server_name, PORT, path=source.managed.path)
    assert source.service is not None
    named = source.service
    return ServiceRef(
        named.name, named.port, path=named.path, scheme=named.scheme, include_not_ready=named.include_not_ready
    )
