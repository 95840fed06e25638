"""What an endpoint offers, as its prober has read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import msgspec

from mcppool.wire.headers import PARAM_PREFIX
from mcppool.wire.members import UNREADABLE
from mcppool.wire.param_headers import places_in

MAX_PARAMS = 64  # of a tool
_NO_PARAMS: Mapping[str, tuple[str, ...]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ToolInfo:
    """What we need to know of a tool: its annotations, None where the server does not say, and where in its arguments
    the values of `Mcp-Param-*` headers stand, by the header's name in lower case."""

    name: str
    read_only: bool | None = None
    idempotent: bool | None = None
    params: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _NO_PARAMS)


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
    inputSchema: msgspec.Raw = msgspec.Raw()  # noqa: N815


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
                _params(bytes(tool.inputSchema)),
            )
            for tool in self.tools
            if len(tool.name) <= MAX_TOOL_NAME
        }


def _params(schema: bytes) -> Mapping[str, tuple[str, ...]]:
    """Where a tool's arguments stand that clients repeat in headers. A name that stands twice is nobody's."""
    if b"x-mcp-header" not in schema:
        return _NO_PARAMS
    found: dict[str, tuple[str, ...]] = {}
    twice: set[str] = set()
    try:
        places = places_in(msgspec.json.decode(schema))
    except UNREADABLE:  # for clients to judge
        return _NO_PARAMS
    for path, token in places.items():
        name = PARAM_PREFIX + token.lower()
        if name in found:
            twice.add(name)
        elif len(found) < MAX_PARAMS:
            found[name] = path
    return {name: path for name, path in found.items() if name not in twice}
