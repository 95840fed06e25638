"""`status` of a McpServerPool: only the operator writes it, so it is no part of the models."""

from __future__ import annotations

from typing import Any

from mcppool.spec.generate.json_schema import integer_schema
from mcppool.spec.shape import Shape


def status_schema() -> dict[str, Any]:
    """The structural schema of `status`."""
    return _object(
        observedGeneration=_count("int64"),
        operator=_text("Installation of the operator that manages the pool: NAMESPACE/NAME of its Lease."),
        url=_text("URL for MCP clients in the cluster."),
        address=_text("Address for clients outside the cluster, if there is one: HOST/mcp."),
        endpoints=_object(
            total=_count(),
            ready=_count(),
            draining=_count(),
            summary=_text('"ready/total", for kubectl get.'),
            notReady=_list(
                "address",
                16,
                _object(["address"], address=_text(), targetName=_text(), reason=_text()),
                "A bounded sample; EndpointSlices hold the full list.",
            ),
        ),
        config=_object(
            configMapName=_text(),
            hash=_text("Hash of the last published snapshot."),
            generation=_count("int64"),
            term=_count("int64", "Term of the leader that published the snapshot."),
        ),
        gateway=_object(
            replicas=_count(),
            readyReplicas=_count(),
            updatedReplicas=_count(),
            syncedReplicas=_count(description="Gateways that serve config.hash."),
            sessions=_count(description="Sessions of clients at all gateways; large numbers are rounded down."),
            selector=_text("Selects the gateway pods, for the scale subresource."),
        ),
        sealingKeys=_object(
            id=_text("Key that seals session ids. Absent: the one made with the pool."),
            since=_text("Since when it seals.") | {"format": "date-time"},
            next=_text("Key of a rotation that some gateways do not accept yet."),
            accepted=_count(description="Number of keys that open session ids."),
            message=_text("Why a rotation does not begin."),
        ),
        conditions=_list("type", 16, _condition()),
    )


def _condition() -> dict[str, Any]:
    prefix = r"([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
    return _object(
        ["type", "status", "lastTransitionTime", "reason", "message"],
        type=_text() | {"maxLength": 316, "pattern": rf"^{prefix}(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$"},
        status=_text() | {"enum": ["True", "False", "Unknown"]},
        observedGeneration=_count("int64"),
        lastTransitionTime=_text() | {"format": "date-time"},
        reason=_text() | {"minLength": 1, "maxLength": 1024, "pattern": r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"},
        message=_text() | {"maxLength": 32768},
    )


def _object(required: list[str] | None = None, **properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", **({"required": required} if required else {}), "properties": properties}


def _list(key: str, most: int, items: dict[str, Any], description: str | None = None) -> dict[str, Any]:
    schema: dict[str, Any] = {"description": description} if description else {}
    lists = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}
    return schema | {"type": "array", "maxItems": most, **lists, "items": items}


def _count(width: str = "int32", description: str | None = None) -> dict[str, Any]:
    head = {"description": description} if description else {}
    return {**head, **integer_schema(Shape("integer", minimum=0)), "format": width}


def _text(description: str | None = None) -> dict[str, Any]:
    return ({"description": description} if description else {}) | {"type": "string"}
