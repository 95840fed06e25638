"""`mcppool call`: one tool call, from the command line."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any

from mcppool import __version__
from mcppool.cli.answers import json_object, read_body
from mcppool.cli.reach import why_unreachable
from mcppool.wire.headers import encode_value
from mcppool.wire.versions import (
    LATEST_LEGACY,
    LATEST_MODERN,
    META_CLIENT_CAPABILITIES,
    META_CLIENT_INFO,
    META_PROTOCOL_VERSION,
)

if TYPE_CHECKING:
    import aiohttp

CLIENT = {"name": "mcppool call", "version": __version__}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the subcommand."""
    parser = subparsers.add_parser(
        "call",
        help="make one tool call",
        description="Call a tool of the MCP server (or gateway) at URL and print its result as JSON.",
    )
    parser.add_argument("url", metavar="URL", help="such as http://127.0.0.1:8080/mcp")
    parser.add_argument("tool", metavar="TOOL", help="the tool's name")
    parser.add_argument(
        "arguments", metavar="ARGUMENTS", nargs="?", default="{}", help="a JSON object, such as '{\"a\": 1}'"
    )
    parser.add_argument(
        "--timeout", type=float, default=60.0, metavar="SECONDS", help="give up after this time (default 60)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit status 0: a result; 1: the tool or the call failed; 2: wrong usage."""
    import aiohttp  # here, because only this subcommand and `status` need it at their start

    if not args.url.startswith(("http://", "https://")):
        print(f"mcppool call: URL: {args.url!r} is not a URL such as http://127.0.0.1:8080/mcp", file=sys.stderr)
        return 2
    try:
        arguments = json_object(args.arguments)
    except ValueError as error:
        print(f"mcppool call: ARGUMENTS: {args.arguments!r} is not a JSON object: {error}", file=sys.stderr)
        return 2
    try:
        answer = asyncio.run(_call(args.url, args.tool, arguments, args.timeout))
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        print(f"mcppool call: {args.url}: {why_unreachable(error)}", file=sys.stderr)
        return 1
    print(json.dumps(answer.get("result", answer.get("error")), indent=2, ensure_ascii=False))
    failed = "error" in answer or bool(answer["result"].get("isError"))
    return 1 if failed else 0


class _Caller:
    """JSON-RPC over HTTP, as much as one call needs."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url
        self._id = 0

    async def request(
        self, method: str, params: dict[str, Any], headers: dict[str, str]
    ) -> tuple[dict[str, Any], str | None]:
        """One request; its answer, and the session id that came with it."""
        self._id += 1
        body = {"jsonrpc": "2.0", "id": self._id, "method": method, "params": params}
        accept = {"accept": "application/json, text/event-stream"}
        async with self._session.post(self._url, json=body, headers={**accept, **headers}) as response:
            text = (await read_body(response)).decode("utf-8", "replace")
            if response.content_type == "text/event-stream":
                text = _last_data(text)
            try:
                answer = json_object(text)
            except ValueError:
                answer = {}
            if "error" not in answer and not isinstance(answer.get("result"), dict):
                raise ValueError(f"HTTP {response.status} and no JSON-RPC answer")
            return answer, response.headers.get("mcp-session-id")

    async def notify(self, method: str, headers: dict[str, str]) -> None:
        """One notification."""
        body = {"jsonrpc": "2.0", "method": method}
        accept = {"accept": "application/json, text/event-stream"}
        async with self._session.post(self._url, json=body, headers={**accept, **headers}):
            pass

    async def end(self, headers: dict[str, str]) -> None:
        """End the session."""
        async with self._session.delete(self._url, headers=headers):
            pass


async def _call(url: str, tool: str, arguments: dict[str, Any], timeout: float) -> dict[str, Any]:
    """Modern first; a server that does not know that era is spoken to in the older one."""
    import aiohttp

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout)) as session:
        caller = _Caller(session, url)
        meta = {META_PROTOCOL_VERSION: LATEST_MODERN, META_CLIENT_INFO: CLIENT, META_CLIENT_CAPABILITIES: {}}
        head = {"mcp-protocol-version": LATEST_MODERN}
        discovered, _ = await caller.request(
            "server/discover", {"_meta": meta}, {**head, "mcp-method": "server/discover"}
        )
        params: dict[str, Any] = {"name": tool, "arguments": arguments}
        if "result" in discovered:
            headers = {**head, "mcp-method": "tools/call", "mcp-name": encode_value(tool)}
            return (await caller.request("tools/call", {**params, "_meta": meta}, headers))[0]
        return await _call_legacy(caller, params)


async def _call_legacy(caller: _Caller, params: dict[str, Any]) -> dict[str, Any]:
    opening: dict[str, Any] = {"protocolVersion": LATEST_LEGACY, "capabilities": {}, "clientInfo": CLIENT}
    answer, session_id = await caller.request("initialize", opening, {})
    result = answer.get("result")
    if not isinstance(result, dict):
        return answer
    headers = {"mcp-protocol-version": str(result.get("protocolVersion", LATEST_LEGACY))}
    if session_id is not None:
        headers["mcp-session-id"] = session_id
    await caller.notify("notifications/initialized", headers)
    try:
        return (await caller.request("tools/call", params, headers))[0]
    finally:
        if session_id is not None:
            await caller.end(headers)


def _last_data(text: str) -> str:
    """The data of the last event that has any: the answer, after whatever notifications came before it."""
    events = [event for event in text.replace("\r\n", "\n").split("\n\n") if "data:" in event]
    lines = events[-1].split("\n") if events else []
    return "\n".join(line[5:].removeprefix(" ") for line in lines if line.startswith("data:"))
