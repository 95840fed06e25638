"""`mcppool config ADMIN_URL`: the configuration that a running gateway serves, and where each value came from."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys

from mcppool.cli.admin_port import add_address_options, fetch
from mcppool.cli.reach import why_unreachable
from mcppool.cli.settings import render_settings

OK, REFUSED, UNREACHABLE = 0, 1, 2


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the subcommand."""
    parser = subparsers.add_parser(
        "config",
        help="show the configuration that a running gateway serves",
        description="Show every setting of the gateway at this admin address and where it comes from. Exit status 0: "
        "the newest configuration is in force; 1: the gateway refused it and serves an older one; 2: not reachable.",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_address_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the settings, and the reasons why a newer configuration was refused."""
    import aiohttp  # here, because it takes as long to load as everything else that a subcommand needs

    try:
        body = asyncio.run(fetch(args.url, "/configz", "hash", args.token_file))
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        why = why_unreachable(error)
        print(f"mcppool config: {args.url}: {why}", file=sys.stderr)
        return UNREACHABLE
    print(json.dumps(body, indent=2, ensure_ascii=False) if args.json else render_settings(body).lstrip())
    refused = body.get("rejected")
    if not refused:
        return OK
    print("\nThe gateway refused a newer configuration:", file=sys.stderr)
    for problem in refused["problems"]:
        print(f"  {problem}", file=sys.stderr)
    return REFUSED
