"""`mcppool pin URL`: the definitions of a server's tools, as a lock file for `catalog.lock_file`."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from typing import Any

from mcppool.cli.parsing import Commands, Parser, seconds
from mcppool.version import __version__

CLIENT = {"name": "mcppool pin", "version": __version__}
MAX_PAGES = 100


def add_parser(subparsers: Commands[Parser]) -> None:
    """Declare the subcommand."""
    parser = subparsers.add_parser(
        "pin",
        help="write a lock file of a server's tools",
        description="Print the digests of the definitions of all tools of the MCP server at URL, as a lock file for "
        "catalog.lock_file: mcppool pin URL > tools.lock. Exit status 0: printed; 1: the server does not answer; "
        "2: wrong usage.",
        examples=(
            "mcppool pin http://127.0.0.1:8001/mcp > tools.lock",
            "mcppool pin --token-file token https://mcp.example.com/mcp",
        ),
    )
    parser.add_argument("url", metavar="URL", help="such as http://127.0.0.1:8001/mcp")
    parser.add_argument(
        "--timeout", type=seconds, default=60.0, metavar="SECONDS", help="give up after this time (default 60)"
    )
    parser.add_argument("--token-file", metavar="FILE", help="file with a bearer token for the server")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the lock file and return the exit status."""
    from mcppool.client.errors import CallFailed, RpcError  # here, because these take long to load
    from mcppool.spec import ConfigError

    try:
        tools = asyncio.run(_tools(args.url, args.token_file, args.timeout))
    except ConfigError as error:
        told = (str(problem).replace("auth.outbound.token.token_file", "--token-file") for problem in error.problems)
        print(*(f"mcppool pin: {problem}" for problem in told), sep="\n", file=sys.stderr)
        return 2
    except (CallFailed, RpcError, TimeoutError, ValueError) as error:
        why = str(error) or f"no answer within {args.timeout:g} s (--timeout)"
        print(f"mcppool pin: {args.url}: {why}", file=sys.stderr)
        return 1
    print(json.dumps({"tools": dict(sorted(tools.items()))}, indent=2, ensure_ascii=False))
    return 0


async def _tools(url: str, token_file: str | None, timeout: float) -> dict[str, str]:
    from mcppool.client.pool import Pool
    from mcppool.wire.tool_digest import tool_digest

    sections: dict[str, Any] = {}
    if token_file is not None:
        sections["auth"] = {"outbound": {"type": "token", "token": {"token_file": token_file}}}
    found: dict[str, str] = {}
    params: dict[str, Any] = {}
    async with (
        asyncio.timeout(timeout),
        Pool([url], name="pin", profile="development", client_info=CLIENT, **sections) as pool,
    ):
        for _ in range(MAX_PAGES):
            page = await pool.request("tools/list", params)
            for tool in page.get("tools", ()):
                digest = tool_digest(json.dumps(tool).encode())
                if found.setdefault(str(tool["name"]), digest) != digest:
                    raise ValueError(f"it lists the tool {tool['name']} twice, with different definitions")
            if not (cursor := page.get("nextCursor")):
                return found
            params = {"cursor": cursor}
    raise ValueError(f"its list of tools has more than {MAX_PAGES} pages")
