"""The catalog of a pool: the merged catalogs of its endpoints, in the form that calls need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mcppool.upstream.catalog import ToolInfo
from mcppool.upstream.endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class PoolCatalog:
    """An immutable snapshot, made anew after each probe with a change.

    `discover` is the raw `server/discover` result of one of the endpoints, None while none has given one; `legacy`
    tells that all known endpoints speak only the legacy era.
    """

    discover: bytes | None = None
    legacy: bool = False
    tools: Mapping[str, ToolInfo] = field(default_factory=dict)

    @property
    def cold(self) -> bool:
        """Whether no endpoint has ever answered."""
        return self.discover is None and not self.legacy


def merge(endpoints: Iterable[Endpoint], last: PoolCatalog) -> PoolCatalog:
    """The catalog of the pool; if no endpoint has one (any more), the last."""
    catalogs = [e.catalog for e in endpoints if e.catalog is not None]
    if not catalogs:
        return last
    modern = [c for c in catalogs if c.discover is not None]
    tools: dict[str, ToolInfo] = {}
    for catalog in catalogs:
        for name, tool in catalog.tools.items():
            tools[name] = _agree(tools.get(name, tool), tool)
    return PoolCatalog(modern[0].discover if modern else None, not modern, tools)


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
