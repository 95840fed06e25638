"""The catalog of a pool: the merged catalogs of its endpoints, as calls need it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mcppool.upstream.catalog import ToolInfo
from mcppool.upstream.endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class PoolCatalog:
    """An immutable picture, made anew after each probe that changed something.

    `discover` is the raw `server/discover` result of one of the endpoints, None while none has given one; `legacy`
    tells that endpoints were found, none of which speaks the modern era.
    """

    discover: bytes | None = None
    legacy: bool = False
    tools: Mapping[str, ToolInfo] = field(default_factory=dict)

    @property
    def cold(self) -> bool:
        """Whether no endpoint has ever answered."""
        return self.discover is None and not self.legacy


def merge(endpoints: Iterable[Endpoint], last: PoolCatalog) -> PoolCatalog:
    """The catalog of the pool; where no endpoint has one (any more), the last."""
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
    """What both endpoints say of a tool: a call may go to either, so a hint counts only where they give the same."""
    if one == other:
        return one
    return ToolInfo(
        one.name,
        one.read_only if one.read_only == other.read_only else None,
        one.idempotent if one.idempotent == other.idempotent else None,
        one.params if one.params == other.params else {},
    )
