"""`mcppool call`: one tool call, from the command line, over `mcppool.Pool`."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from typing import Any

from mcppool.cli.answers import json_object
from mcppool.cli.parsing import Commands, Parser, seconds
from mcppool.version import __version__
from mcppool.wire.errors import INTERNAL_ERROR

CLIENT = {"name": "mcppool call", "version": __version__}


def add_parser(subparsers: Commands[Parser]) -> None:
    """Declare the subcommand."""
    parser = subparsers.add_parser(
        "call",
        help="make one tool call",
        description="Call a tool of the MCP server (or gateway) at URL and print its result as JSON. Exit status 0: a "
        "result; 1: the tool or the call failed; 2: wrong usage.",
        examples=('mcppool call http://127.0.0.1:8080/mcp echo \'{"message": "hello"}\'',),
    )
    parser.add_argument("url", metavar="URL", help="such as http://127.0.0.1:8080/mcp")
    parser.add_argument("tool", metavar="TOOL", help="the tool's name")
    parser.add_argument(
        "arguments", metavar="ARGUMENTS", nargs="?", default="{}", help="a JSON object, such as '{\"a\": 1}'"
    )
    parser.add_argument(
        "--timeout", type=seconds, default=60.0, metavar="SECONDS", help="give up after this time (default 60)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit status 0: a result; 1: the tool or the call failed; 2: wrong usage."""
    from mcppool.client.errors import CallFailed, InputRequired, RpcError  # here, because these take long to load
    from mcppool.spec import ConfigError

    if not args.url.startswith(("http://", "https://")):
        print(f"mcppool call: URL: {args.url!r} is not a URL such as http://127.0.0.1:8080/mcp", file=sys.stderr)
        return 2
    try:
        arguments = json_object(args.arguments)
    except ValueError as error:
        print(f"mcppool call: ARGUMENTS: {args.arguments!r} is not a JSON object: {error}", file=sys.stderr)
        return 2
    try:
        result = asyncio.run(_call(args.url, args.tool, arguments, args.timeout))
    except ConfigError as error:
        print(*(f"mcppool call: URL: {problem}" for problem in error.problems), sep="\n", file=sys.stderr)
        return 2
    except RpcError as error:
        _show({"code": error.code, "message": error.message, "data": error.data})
        return 1
    except CallFailed as failure:
        data = {"reason": failure.reason, "delivered": failure.delivered, "attempts": failure.attempts}
        _show({"code": INTERNAL_ERROR, "message": failure.args[0], "data": data})
        why = failure.cause or failure.args[0]
        print("mcppool call:", why if args.url in why else f"{args.url}: {why}", file=sys.stderr)
        return 1
    except InputRequired as asked:
        _show(asked.result.model_dump(mode="json", by_alias=True, exclude_unset=True))
        print(f"mcppool call: {args.url}: {asked}", file=sys.stderr)
        return 1
    except TimeoutError:
        print(f"mcppool call: {args.url}: no answer within {args.timeout:g} s (--timeout)", file=sys.stderr)
        return 1
    _show(result)
    return 1 if result.get("isError") else 0


async def _call(url: str, tool: str, arguments: dict[str, Any], timeout: float) -> dict[str, Any]:
    from mcppool.client.pool import Pool

    async with asyncio.timeout(timeout), Pool([url], name="call", profile="development", client_info=CLIENT) as pool:
        result = await pool.call_tool(tool, arguments, timeout=timeout)
    return result.model_dump(mode="json", by_alias=True, exclude_unset=True)


def _show(document: dict[str, Any]) -> None:
    shown = {key: value for key, value in document.items() if value is not None}
    print(json.dumps(shown, indent=2, ensure_ascii=False))
