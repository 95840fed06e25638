"""What an endpoint offers, as its prober has read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import msgspec


@dataclass(frozen=True, slots=True)
class ToolInfo:
    """What we need to know of a tool: its annotations, None where the server does not say."""

    name: str
    read_only: bool | None = None
    idempotent: bool | None = None


@dataclass(frozen=True, slots=True)
class EndpointCatalog:
    """One endpoint's offer.

    `discover` is the raw JSON of its `server/discover` result and None for a server that speaks legacy only.
    """

    modern: bool
    discover: bytes | None = None
    tools: Mapping[str, ToolInfo] = field(default_factory=lambda: MappingProxyType({}))


MAX_TOOL_NAME = 1024  # characters; the protocol wants no more than 128, and longer names are not known


class _Annotations(msgspec.Struct):
    readOnlyHint: bool | None = None  # noqa: N815 (the wire's spelling)
    idempotentHint: bool | None = None  # noqa: N815


class _Tool(msgspec.Struct):
    name: str
    annotations: _Annotations | None = None


class ToolPage(msgspec.Struct):
    """One page of a `tools/list` result."""

    tools: list[_Tool]
    nextCursor: str | None = None  # noqa: N815

    def infos(self) -> dict[str, ToolInfo]:
        """The page's tools by name."""
        return {
            tool.name: ToolInfo(
                tool.name,
                tool.annotations.readOnlyHint if tool.annotations else None,
                tool.annotations.idempotentHint if tool.annotations else None,
            )
            for tool in self.tools
            if len(tool.name) <= MAX_TOOL_NAME
        }
