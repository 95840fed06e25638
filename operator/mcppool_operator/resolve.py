"""Resolves the endpoints of a pool from the objects of the cluster. Pure.

One rule governs everything here: an empty list is an answer only if the cluster gave it. If something is missing (the
Service, its port, its EndpointSlices) there is no answer, and the last published endpoints stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any


class State(IntEnum):
    """State of an endpoint; of two reports about one address the higher one counts."""

    NOT_READY = 0
    DRAINING = 1
    READY = 2


@dataclass(frozen=True, slots=True)
class ResolvedEndpoint:
    """One address of a pool."""

    url: str
    state: State
    weight: int = 100
    zone: str | None = None
    priority: int = 0
    host: str | None = None
    target: str | None = None  # the pod of the address, for people
    reason: str | None = None  # why it is not ready, for people


@dataclass(frozen=True, slots=True)
class SourceProblem:
    """The reason why there is no result: a condition's reason and message."""

    reason: str
    message: str
    unknown: bool = False  # not wrong, only not known yet


@dataclass(frozen=True, slots=True)
class Resolution:
    """The endpoints of a pool, in a fixed order; or, with a `problem`, none that can be trusted."""

    endpoints: tuple[ResolvedEndpoint, ...] = ()
    problem: SourceProblem | None = None

    def of(self, *states: State) -> list[ResolvedEndpoint]:
        """Return the endpoints in any of these states."""
        return [endpoint for endpoint in self.endpoints if endpoint.state in states]


@dataclass(frozen=True, slots=True)
class ServiceRef:
    """A Service as the source of endpoints."""

    name: str
    port: str | int
    path: str = "/mcp"
    scheme: str = "http"
    include_not_ready: bool = False


@dataclass(slots=True)
class _Found:
    endpoints: dict[str, ResolvedEndpoint] = field(default_factory=dict)
    without_port: int = 0  # addresses in slices without the port
    with_port: int = 0


def resolve_service(
    ref: ServiceRef, service: Mapping[str, Any] | None, slices: Sequence[Mapping[str, Any]], gateways: str = ""
) -> Resolution:
    """Return the endpoints of a Service's port, from its EndpointSlices; `gateways` is the pool's own Deployment."""
    if gateways and _leads_to(gateways, ref, slices):
        message = f'Service "{ref.name}" leads to the pool\'s own gateways, which would call themselves'
        return Resolution(problem=SourceProblem("SourceIsGateway", message))
    if service is None:
        return Resolution(problem=SourceProblem("ServiceNotFound", f'Service "{ref.name}" does not exist'))
    spec = service.get("spec", {})
    if spec.get("type") == "ExternalName":
        return Resolution(
            problem=SourceProblem(
                "ServiceUnsupported",
                f'Service "{ref.name}" is of type ExternalName, which has no endpoints; use source type Static',
            )
        )
    port = _service_port(ref, spec.get("ports") or ())
    if isinstance(port, SourceProblem):
        return Resolution(problem=port)
    family = (spec.get("ipFamilies") or ["IPv4"])[0]
    include_not_ready = ref.include_not_ready or bool(spec.get("publishNotReadyAddresses"))
    found = _Found()
    for endpoint_slice in slices:
        if endpoint_slice.get("addressType") == family:
            _read_slice(ref, endpoint_slice, port.get("name") or "", include_not_ready, found)
    if found.without_port and not found.with_port:
        return Resolution(
            problem=SourceProblem(
                "PortNotFound", f'no endpoint of Service "{ref.name}" has the port {_port_text(ref.port)}'
            )
        )
    if not slices and spec.get("selector"):
        # The controller makes a slice even for a Service that selects nothing, so it has not processed this one yet.
        return Resolution(
            problem=SourceProblem("Pending", f'Service "{ref.name}" has no EndpointSlice yet', unknown=True)
        )
    return Resolution(tuple(sorted(found.endpoints.values(), key=lambda endpoint: endpoint.url)))


def _leads_to(gateways: str, ref: ServiceRef, slices: Sequence[Mapping[str, Any]]) -> bool:
    targets = [
        (entry.get("targetRef") or {}).get("name", "")
        for endpoint_slice in slices
        for entry in endpoint_slice.get("endpoints") or ()
    ]
    return ref.name == gateways or any(name.startswith(f"{gateways}-") for name in targets)


def resolve_static(endpoints: Iterable[ResolvedEndpoint]) -> Resolution:
    """Return the endpoints in the pool itself: assumed ready, because the gateways check them."""
    return Resolution(tuple(sorted(endpoints, key=lambda endpoint: endpoint.url)))


def _service_port(ref: ServiceRef, ports: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | SourceProblem:
    for port in ports:
        if ref.port in (port.get("name"), port.get("port")):
            return port
    names = ", ".join(str(port.get("name") or port.get("port")) for port in ports) or "none"
    return SourceProblem("PortNotFound", f'Service "{ref.name}" has no port {_port_text(ref.port)}; it has: {names}')


def _port_text(port: str | int) -> str:
    return f'named "{port}"' if isinstance(port, str) else str(port)


def _read_slice(
    ref: ServiceRef, endpoint_slice: Mapping[str, Any], port_name: str, include_not_ready: bool, found: _Found
) -> None:
    # The number of a named port may differ between slices: each slice has its own.
    number = next(
        (port.get("port") for port in endpoint_slice.get("ports") or () if (port.get("name") or "") == port_name), None
    )
    for entry in endpoint_slice.get("endpoints") or ():
        addresses = entry.get("addresses") or ()
        if not addresses:
            continue
        if number is None:
            found.without_port += 1
            continue
        found.with_port += 1
        state = _state(entry.get("conditions") or {}, include_not_ready)
        if state is None:
            continue
        host = f"[{addresses[0]}]" if ":" in addresses[0] else addresses[0]
        endpoint = ResolvedEndpoint(
            url=f"{ref.scheme}://{host}:{number}{ref.path}",
            state=state,
            zone=entry.get("zone") or None,
            target=(entry.get("targetRef") or {}).get("name"),
            reason={State.NOT_READY: "NotReady", State.DRAINING: "Terminating"}.get(state),
        )
        known = found.endpoints.get(endpoint.url)  # an address may be in two slices while they are rebalanced
        if known is None or endpoint.state > known.state:
            found.endpoints[endpoint.url] = endpoint
        elif known.zone is None and endpoint.state == known.state:
            found.endpoints[endpoint.url] = replace(known, zone=endpoint.zone)


def _state(conditions: Mapping[str, Any], include_not_ready: bool) -> State | None:
    """Return the state of an endpoint; None if it terminates and no longer serves."""
    ready = conditions.get("ready") is not False
    serving = conditions.get("serving")
    if conditions.get("terminating"):
        return State.DRAINING if (ready if serving is None else serving) or include_not_ready else None
    return State.READY if ready or include_not_ready else State.NOT_READY
