"""Headers in which a tool requires some of its arguments (`Mcp-Param-*`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcppool.client.requests import Requests
from mcppool.wire.param_headers import Places, param_headers, places_in

MAX_PAGES = 100  # of `tools/list`, in the search for one tool


class ToolHeaders:
    """The places of arguments in headers, for the tools that have asked for them."""

    def __init__(self) -> None:
        self._places: dict[str, Places] = {}

    def known(self, name: str, arguments: Mapping[str, Any]) -> dict[str, str]:
        """The headers of a call, as far as the tool is known."""
        return param_headers(self._places.get(name, {}), arguments)

    async def find(self, requests: Requests, name: str, arguments: Mapping[str, Any]) -> dict[str, str]:
        """The headers of a call, after a look at the tool in the list. Raises CallFailed or RpcError."""
        places = self._places[name] = await _find_places(requests, name)
        return param_headers(places, arguments)


async def _find_places(requests: Requests, name: str) -> Places:
    params: dict[str, Any] = {}
    for _ in range(MAX_PAGES):
        page = await requests.send("tools/list", params, None, None, {})
        for tool in page.get("tools", ()):
            if tool.get("name") == name:
                return places_in(tool.get("inputSchema"))
        if page.get("nextCursor") is None:
            break
        params = {"cursor": page["nextCursor"]}
    return {}
