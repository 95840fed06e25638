"""Reads the catalog of an endpoint."""

from __future__ import annotations

from itertools import islice

import msgspec

from mcppool.upstream.catalog import EndpointCatalog, ToolInfo, ToolPage
from mcppool.upstream.probing.messages import is_unknown_method
from mcppool.upstream.probing.probe import LegacySession, Probe, ProbeFailed
from mcppool.wire.members import UNREADABLE

MAX_PAGES = 100  # for each list, because the cursors of a faulty server may never end
MAX_TOOLS = 10_000  # tools that the catalog knows by name; any other tool counts as unsafe
MAX_CURSOR = 64 * 1024  # upper bound on the characters of a cursor

_page = msgspec.json.Decoder(ToolPage)


async def read_tools(probe: Probe, session: LegacySession | None) -> dict[str, ToolInfo]:
    """Read all pages of `tools/list`; a server that does not know this method has no tools.

    Raises ProbeFailed for any other error, because a passing fault says nothing about the tools.
    """
    tools: dict[str, ToolInfo] = {}
    params: dict[str, object] = {}
    for _ in range(MAX_PAGES):
        call = probe.legacy(session, "tools/list", **params) if session else probe.modern("tools/list", **params)
        response, message = await call
        if isinstance(message.result, msgspec.UnsetType):
            if is_unknown_method(message.error):
                break
            raise ProbeFailed(f"tools/list was answered with HTTP {response.status} and an error")
        try:
            page = _page.decode(message.result)
        except UNREADABLE as error:
            raise ProbeFailed(f"tools/list was answered with a broken result: {error}") from error
        tools |= page.infos()
        if page.nextCursor is None or len(page.nextCursor) > MAX_CURSOR or len(tools) >= MAX_TOOLS:
            break
        params = {"cursor": page.nextCursor}
    return dict(islice(tools.items(), MAX_TOOLS))


async def read_catalog(probe: Probe, session: LegacySession | None, discover: bytes | None) -> EndpointCatalog:
    """Read the catalog of the endpoint, on `session` from a legacy server. Raises AttemptFailed or ProbeFailed."""
    return EndpointCatalog(session is None, discover, await read_tools(probe, session))
