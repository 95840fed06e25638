"""The snapshot for a pool's gateways, in its ConfigMap.

Equal input gives equal bytes: the generation rises, and the ConfigMap is written, only if the content differs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final

from mcppool.spec import (
    ConfigError,
    EndpointSpec,
    ListenerSpec,
    LoggingSpec,
    MetricsSpec,
    Snapshot,
    read_snapshot,
    render_snapshot,
)
from mcppool.spec.resource import Resource
from mcppool.spec.sections.gateway import GatewaySpec
from mcppool_operator.children import ADMIN_PORT, MCP_PORT, SNAPSHOT_KEY, Owner
from mcppool_operator.children.keys import keys_in_snapshot
from mcppool_operator.resolve import ResolvedEndpoint, State
from mcppool_operator.resources import CONFIG_MAP
from mcppool_operator.rotation import UNCHANGED, KeyState

MAX_BYTES: Final = 1_000_000
"""The API server accepts objects up to about 1 MiB; the metadata needs a part of that."""


CLUSTER_DOMAIN: Final = "cluster.local"
"""The domain of nearly all clusters; other names are listed in `gateway.allowedHosts`."""

HIGHEST: Final = 2**53
"""No term and no generation gets here by counting; a higher one was written by hand."""


class SnapshotTooLargeError(Exception):
    """The snapshot of a pool does not fit into a ConfigMap."""


@dataclass(frozen=True, slots=True)
class Published:
    """A snapshot in its ConfigMap."""

    snapshot: Snapshot
    text: str

    @property
    def order(self) -> tuple[int, int]:
        """Order of two snapshots: the later one is larger."""
        return self.snapshot.term, self.snapshot.generation


def published_text(config_map: Mapping[str, Any] | None) -> str | None:
    """Return the text of the snapshot in a ConfigMap, valid or not; None if there is none."""
    text = ((config_map or {}).get("data") or {}).get(SNAPSHOT_KEY)
    return text if isinstance(text, str) else None


def read_published(config_map: Mapping[str, Any] | None) -> Published | None:
    """Return the snapshot in a ConfigMap; None if there is none, or none that can be read."""
    text = published_text(config_map)
    if text is None:
        return None
    try:
        snapshot = read_snapshot(text)
    except ConfigError:
        return None
    return Published(snapshot, text) if max(snapshot.term, snapshot.generation) < HIGHEST else None


def published_endpoints(published: Published | None, pool: str) -> tuple[EndpointSpec, ...]:
    """Return the endpoints of a pool in a snapshot."""
    pools = published.snapshot.pools if published else ()
    return next((entry.endpoints for entry in pools if entry.name == pool), ())


def endpoint_specs(
    endpoints: Sequence[ResolvedEndpoint], known: AbstractSet[str] = frozenset()
) -> tuple[EndpointSpec, ...]:
    """Return the endpoints for gateways: the ready ones, and the terminating ones that still serve.

    If none is ready, those with a URL in `known` stay: the published ones, and the ones that were ready recently. A
    cluster marks all pods not ready when it has not heard from its nodes for a while, for example after an outage of
    the API server; gateways find out for themselves which ones answer.
    """
    if any(endpoint.state is State.READY for endpoint in endpoints):
        known = frozenset()
    return tuple(
        EndpointSpec(
            url=endpoint.url,
            weight=endpoint.weight,
            zone=endpoint.zone,
            priority=endpoint.priority,
            host=endpoint.host,
            draining=endpoint.state is State.DRAINING,
        )
        for endpoint in endpoints
        if endpoint.state is not State.NOT_READY or endpoint.url in known
    )


def service_names(resource: Resource) -> tuple[str, ...]:
    """Return the names of the gateways' Service inside its cluster, which are unique."""
    name = f"{resource.name}-mcp-gateway"
    inside = f"{name}.{resource.namespace}"
    return (name, inside, f"{inside}.svc", f"{inside}.svc.{CLUSTER_DOMAIN}")


def _outside_names(gateway: GatewaySpec) -> tuple[str, ...]:
    named = gateway.route.hostnames if gateway.route is not None else ()
    return tuple(dict.fromkeys((*gateway.allowed_hosts, *named)))


def next_snapshot(
    resource: Resource,
    endpoints: tuple[EndpointSpec, ...],
    term: int,
    before: Published | None,
    keys: KeyState = UNCHANGED,
) -> Published:
    """Return the next snapshot after `before`: the same object if nothing changed. Raises SnapshotTooLargeError.

    A new leader's term begins, for a pool, with its first change: gateways need not read an unchanged snapshot again.
    """

    admin_host = f"{resource.name}-mcp-admin.{resource.namespace}.svc"

    def render(term: int, generation: int) -> Published:
        snapshot = Snapshot(
            term=term,
            generation=generation,
            pools=(resource.pool.model_copy(update={"endpoints": endpoints}),),
            # The listener inside the pod is the operator's choice, not the pool's.
            listener=ListenerSpec(
                listen=f"0.0.0.0:{MCP_PORT}",
                **keys_in_snapshot(keys),
                allowed_hosts=(*service_names(resource), *_outside_names(resource.gateway)),
                tls=resource.gateway.tls,
                external_url=resource.gateway.external_url,
            ),
            metrics=MetricsSpec(
                host="0.0.0.0",  # noqa: S104
                port=ADMIN_PORT,
                allowed_hosts=(*service_names(resource), admin_host),
                gateways=(f"http://{admin_host}:{ADMIN_PORT}",),
            ),
            logging=LoggingSpec(format="json"),
            limits=resource.limits,
        )
        return Published(snapshot, render_snapshot(snapshot))

    if before is not None:
        same = render(before.snapshot.term, before.snapshot.generation)
        if same.text == before.text:
            return same
    published = render(term, before.snapshot.generation + 1 if before else 1)
    if len(published.text.encode()) > MAX_BYTES:
        raise SnapshotTooLargeError(f"{len(endpoints)} endpoints make a snapshot of more than {MAX_BYTES} bytes")
    return published


def config_map(owner: Owner, published: Published, annotations: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the ConfigMap with a snapshot."""
    child = owner.child(CONFIG_MAP, owner.config_name, data={SNAPSHOT_KEY: published.text})
    if annotations:
        child["metadata"]["annotations"] = dict(annotations)
    return child


def reference(owner: Owner, published: Published) -> dict[str, Any]:
    """Return the part of a pool's status about its snapshot."""
    snapshot = published.snapshot
    return {
        "configMapName": owner.config_name,
        "hash": snapshot.hash,
        "generation": snapshot.generation,
        "term": snapshot.term,
    }
