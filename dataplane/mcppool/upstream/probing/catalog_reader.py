"""Reads the catalog of an endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from itertools import islice

import msgspec

from mcppool.upstream.catalog import EndpointCatalog, ToolInfo, ToolPage
from mcppool.upstream.probing.failures import ProbeFailed
from mcppool.upstream.probing.messages import is_unknown_method
from mcppool.upstream.probing.probe import LegacySession, Probe
from mcppool.wire.members import UNREADABLE

MAX_PAGES = 100  # for each list, because the cursors of a faulty server may never end
MAX_TOOLS = 10_000  # tools that the catalog knows by name; any other tool counts as unsafe
IN_ONE_STEP = 20  # tools between two turns of the event loop: a new definition takes 0.1 ms
MAX_CURSOR = 64 * 1024  # upper bound on the characters of a cursor

_page = msgspec.json.Decoder(ToolPage)


async def read_tools(probe: Probe, session: LegacySession | None, known: Mapping[str, ToolInfo]) -> dict[str, ToolInfo]:
    """Read all pages of `tools/list`; a server that does not know this method has no tools. `known` are the tools of
    the last time.

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
            for number, tool in enumerate(page.infos(known)):
                tools[tool.name] = tool
                if number % IN_ONE_STEP == IN_ONE_STEP - 1:
                    await asyncio.sleep(0)
        except UNREADABLE as error:
            raise ProbeFailed(f"tools/list was answered with a broken result: {error}") from error
        if page.nextCursor is None or len(page.nextCursor) > MAX_CURSOR or len(tools) >= MAX_TOOLS:
            break
        params = {"cursor": page.nextCursor}
    return dict(islice(tools.items(), MAX_TOOLS))


async def read_catalog(
    probe: Probe, session: LegacySession | None, discover: bytes | None, last: EndpointCatalog | None
) -> EndpointCatalog:
    """Read the catalog of the endpoint, on `session` from a legacy server; `last` is that of the last time, which is
    returned if the new one is equal. Raises AttemptFailed or ProbeFailed."""
    known = last.tools if last is not None else {}
    tools = await read_tools(probe, session, known)
    offer = hash(frozenset((tool.name, tool.digest) for tool in tools.values()))
    found = EndpointCatalog(session is None, discover, tools, offer)
    return last if last is not None and found == last else found
