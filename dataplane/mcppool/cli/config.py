"""`mcppool config ADMIN_URL`: the configuration that a running gateway serves, and where each value came from."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

from mcppool.cli.admin_port import add_address_options, fetch, printable, rendered, tls_of
from mcppool.cli.output import add_output_option, wants_json
from mcppool.cli.parsing import Commands, Parser
from mcppool.cli.reach import why_unreachable
from mcppool.cli.settings import render_settings

OK, REFUSED, UNREACHABLE = 0, 1, 2


def add_parser(subparsers: Commands[Parser]) -> None:
    """Declare the subcommand."""
    parser = subparsers.add_parser(
        "config",
        help="show the configuration that a running gateway serves",
        description="Show every setting of the gateway at this admin address and where it comes from. Exit status 0: "
        "the newest configuration is in force; 1: the gateway refused it and serves an older one; 2: not reachable.",
        examples=(
            "mcppool config",
            "mcppool config -o json http://127.0.0.1:9090",
        ),
    )
    add_output_option(parser, alias=True)
    add_address_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the settings, and the reasons why a newer configuration was refused."""
    import aiohttp  # here, because it takes as long to load as everything else that a subcommand needs

    show: Callable[[dict[str, Any]], str] = _as_json if wants_json(args) else _as_text
    try:
        body = asyncio.run(fetch(args.url, "/configz", "hash", args.token_file, tls_of(args)))
        text, refused = rendered(show, body), rendered(_refusal, body)
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        why = why_unreachable(error)
        print(f"mcppool config: {args.url}: {why}", file=sys.stderr)
        return UNREACHABLE
    print(text)
    if not refused:
        return OK
    print(refused, file=sys.stderr)
    return REFUSED


def _as_json(body: dict[str, Any]) -> str:
    return json.dumps(body, indent=2, ensure_ascii=False)


def _as_text(body: dict[str, Any]) -> str:
    return "\n".join(map(printable, render_settings(body).lstrip().split("\n")))


def _refusal(body: dict[str, Any]) -> str:
    """The reason why the gateway refused a newer configuration; empty if it did not."""
    refused = body.get("rejected")
    if not refused:
        return ""
    problems = [f"  {printable(problem)}" for problem in refused["problems"]]
    return "\n".join(["", "The gateway refused a newer configuration:", *problems])
