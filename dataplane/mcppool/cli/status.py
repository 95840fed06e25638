"""`mcppool status`: the status page of a gateway, in the terminal."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import sys
import time
from functools import partial
from typing import IO, Any

from mcppool.cli.admin_port import add_address_options, fetch, rendered, tls_of
from mcppool.cli.output import add_output_option, wants_json
from mcppool.cli.parsing import Commands, Parser
from mcppool.cli.reach import why_unreachable
from mcppool.cli.status_text import StatusText
from mcppool.cli.window import can_redraw, drawn

HEALTHY, UNHEALTHY, UNREACHABLE = 0, 1, 2


def add_parser(subparsers: Commands[Parser]) -> None:
    """Declare the subcommand."""
    parser = subparsers.add_parser(
        "status",
        help="show the state of a running gateway",
        description="Show the status page of the gateway at this admin address. Exit status 0: healthy or "
        "degraded; 1: unhealthy; 2: not reachable. The variable NO_COLOR switches colours off.",
        examples=(
            "mcppool status",
            "mcppool status --watch 2 http://127.0.0.1:9090",
            "mcppool status -o json",
        ),
    )
    add_output_option(parser, alias=True)
    parser.add_argument(
        "--watch",
        type=_period,
        nargs="?",
        const=1.0,
        metavar="SECONDS",
        help="repeat, every SECONDS (default: every second); in a terminal, show what its window has room for",
    )
    parser.add_argument("--all", action="store_true", help="show every endpoint and tool of a large pool")
    add_address_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print once, or until Ctrl-C; the exit status is that of the last look."""
    import aiohttp  # here, because it takes as long to load as all that other subcommands need

    status = UNREACHABLE
    gateway = _Gateway(args)
    text_of = _as_json if wants_json(args) else StatusText(colour=wants_colour(sys.stdout), everything=args.all).render
    redraws = can_redraw(sys.stdout) and not wants_json(args)
    try:
        while True:
            try:
                feed, history = asyncio.run(gateway.look())
                text = rendered(partial(text_of, history=history), feed)
                status = UNHEALTHY if _is_unhealthy(feed) else HEALTHY
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
                why = why_unreachable(error)
                text, status = f"mcppool status: {args.url}: {why}", UNREACHABLE
            if args.watch is None:
                print(text, file=sys.stderr if status == UNREACHABLE else sys.stdout)
                return status
            if redraws:
                print(drawn(text, shutil.get_terminal_size()), end="", flush=True)
            else:
                print(text, flush=True)
            time.sleep(args.watch)
    except KeyboardInterrupt:
        return status


class _Gateway:
    """Asks a gateway for its status, and once in each slot for its history."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._history: dict[str, Any] | None = None
        self._slot = ""

    async def look(self) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """The status, and the history if the gateway has one. Raises ValueError if something else answers."""
        args = self._args
        feed = await fetch(args.url, "/status.json?gateways=all", "health", args.token_file, tls_of(args))
        slot = str(feed.get("at"))[:18]  # to ten seconds
        if slot != self._slot:
            try:
                self._history = await fetch(
                    args.url, "/history.json?gateways=all", "newest", args.token_file, tls_of(args)
                )
                self._slot = slot
            except ValueError:
                self._history = None  # an older gateway
        return feed, self._history


def wants_colour(stream: IO[str]) -> bool:
    """Whether to print colours: on a terminal that has some, unless `NO_COLOR` is set (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _is_unhealthy(feed: dict[str, Any]) -> bool:
    health = feed["health"]
    return isinstance(health, dict) and health.get("overall") == "unhealthy"


def _as_json(feed: dict[str, Any], history: dict[str, Any] | None) -> str:
    return json.dumps({**feed, "history": history})


def render(feed: dict[str, Any]) -> str:
    """The feed as text without colours."""
    return StatusText().render(feed)


def _period(text: str) -> float:
    """A number of seconds for `--watch`."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0.1 to 3600")
    return seconds
