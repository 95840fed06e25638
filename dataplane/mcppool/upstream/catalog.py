"""The tools and capabilities of an endpoint, as its prober has read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import msgspec

from mcppool.wire.headers import PARAM_PREFIX
from mcppool.wire.members import UNREADABLE
from mcppool.wire.param_headers import places_in
from mcppool.wire.tool_digest import tool_digest

MAX_PARAMS = 64  # for each tool
_NO_PARAMS: Mapping[str, tuple[str, ...]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ToolInfo:
    """The facts about a tool that the gateway uses: its annotations, None if the server gives none, and the paths in
    its arguments of the values that clients repeat in `Mcp-Param-*` headers, by header name in lower case. `digest` is
    that of its definition; empty if the replicas' definitions differ. `raw` is a hash of the definition's bytes."""

    name: str
    read_only: bool | None = None
    idempotent: bool | None = None
    params: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _NO_PARAMS)
    digest: str = ""
    raw: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class EndpointCatalog:
    """The catalog of one endpoint.

    `discover` is the raw JSON of its `server/discover` result, None for a server that speaks only the legacy era.
    """

    modern: bool
    discover: bytes | None = None
    tools: Mapping[str, ToolInfo] = field(default_factory=lambda: MappingProxyType({}))
    offer: int = 0
    """A hash of the tools' definitions, the same for replicas that offer the same."""


MAX_TOOL_NAME = 1024  # characters; the protocol recommends 128 at most; the gateway ignores longer names


class _Annotations(msgspec.Struct):
    readOnlyHint: bool | None = None  # noqa: N815 (the wire's spelling)
    idempotentHint: bool | None = None  # noqa: N815


class _Tool(msgspec.Struct):
    name: str
    annotations: _Annotations | None = None
    inputSchema: msgspec.Raw = msgspec.Raw()  # noqa: N815


_tool = msgspec.json.Decoder(_Tool)


class ToolPage(msgspec.Struct):
    """One page of a `tools/list` result."""

    tools: list[msgspec.Raw]
    nextCursor: str | None = None  # noqa: N815

    def infos(self, known: Mapping[str, ToolInfo]) -> Iterator[ToolInfo]:
        """The page's tools; `known` are those of the last time, whose digests need not be computed again. Raises one of
        UNREADABLE."""
        for raw in self.tools:
            tool = _tool.decode(raw)
            if len(tool.name) > MAX_TOOL_NAME:
                continue
            data = bytes(raw)
            mark, former = hash(data), known.get(tool.name)
            yield ToolInfo(
                tool.name,
                tool.annotations.readOnlyHint if tool.annotations else None,
                tool.annotations.idempotentHint if tool.annotations else None,
                _params(bytes(tool.inputSchema)),
                former.digest if former is not None and former.raw == mark else tool_digest(data),
                mark,
            )


def _params(schema: bytes) -> Mapping[str, tuple[str, ...]]:
    """Paths of the arguments that clients repeat in headers. A header name that occurs twice is left out."""
    if b"x-mcp-header" not in schema:
        return _NO_PARAMS
    found: dict[str, tuple[str, ...]] = {}
    twice: set[str] = set()
    try:
        places = places_in(msgspec.json.decode(schema))
    except UNREADABLE:  # the gateway leaves the judgement to clients
        return _NO_PARAMS
    for path, token in places.items():
        name = PARAM_PREFIX + token.lower()
        if name in found:
            twice.add(name)
        elif len(found) < MAX_PARAMS:
            found[name] = path
    return {name: path for name, path in found.items() if name not in twice}
