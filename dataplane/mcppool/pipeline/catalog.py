"""The catalog of a pool: the merged catalogs of its endpoints, in the form that calls need."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from mcppool.policy.tool_differences import NO_DIFFERENCES, ToolDifferences, tool_differences
from mcppool.upstream.catalog import EndpointCatalog, ToolInfo
from mcppool.upstream.endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class PoolCatalog:
    """An immutable snapshot, made anew after each probe with a change.

    `discover` is the raw `server/discover` result of one of the endpoints, None while none has given one; `legacy`
    tells that all known endpoints speak only the legacy era. `differences` are the tools that the endpoints do not
    agree on.
    """

    discover: bytes | None = None
    legacy: bool = False
    tools: Mapping[str, ToolInfo] = field(default_factory=dict)
    differences: ToolDifferences = NO_DIFFERENCES

    @property
    def cold(self) -> bool:
        """Whether no endpoint has ever answered."""
        return self.discover is None and not self.legacy

    def fingerprint(self) -> str:
        """A short text that is the same for the same definitions of all tools."""
        digests = sorted((name, tool.digest) for name, tool in self.tools.items())
        return hashlib.sha256(msgspec.json.encode(digests)).hexdigest()[:16]


def merge(endpoints: Iterable[Endpoint], last: PoolCatalog) -> PoolCatalog:
    """The catalog of the pool; if no endpoint has one (any more), the last."""
    known = [(e.key, e.catalog) for e in endpoints if e.catalog is not None]
    if not known:
        return last
    discover = next((catalog.discover for _, catalog in known if catalog.discover is not None), None)
    offers = {catalog.offer: catalog for _, catalog in known}  # one of each: most replicas offer the same
    tools: dict[str, ToolInfo] = {}
    for catalog in offers.values():
        for name, tool in catalog.tools.items():
            tools[name] = _agree(tools.get(name, tool), tool)
    differences = NO_DIFFERENCES
    if len(offers) > 1:
        differences = tool_differences([(key, _digests(catalog)) for key, catalog in known])
    return PoolCatalog(discover, discover is None, tools, differences)


def _digests(catalog: EndpointCatalog) -> dict[str, str]:
    return {name: tool.digest for name, tool in catalog.tools.items()}


def _agree(one: ToolInfo, other: ToolInfo) -> ToolInfo:
    """The facts on which both endpoints agree: a call may go to either, so a hint counts only if both give the same."""
    if one == other:
        return one
    return ToolInfo(
        one.name,
        one.read_only if one.read_only == other.read_only else None,
        one.idempotent if one.idempotent == other.idempotent else None,
        one.params if one.params == other.params else {},
        one.digest if one.digest == other.digest else "",
    )
