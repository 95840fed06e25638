"""`mcppool status`: the status page of a gateway, in the terminal."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mcppool.cli.admin_port import add_address_options, fetch, printable, rendered, tls_of
from mcppool.cli.output import add_output_option, wants_json
from mcppool.cli.parsing import Commands, Parser
from mcppool.cli.reach import why_unreachable

CLEAR = "\x1b[H\x1b[2J\x1b[3J"

HEALTHY, UNHEALTHY, UNREACHABLE = 0, 1, 2


def add_parser(subparsers: Commands[Parser]) -> None:
    """Declare the subcommand."""
    parser = subparsers.add_parser(
        "status",
        help="show the state of a running gateway",
        description="Show the status page of the gateway at this admin address. Exit status 0: healthy or "
        "degraded; 1: unhealthy; 2: not reachable.",
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
        help="repeat, every SECONDS (default: every second)",
    )
    add_address_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print once, or until Ctrl-C; the exit status is that of the last look."""
    import aiohttp  # here, because it takes as long to load as all that other subcommands need

    show: Callable[[dict[str, Any]], str] = _as_json if wants_json(args) else render
    status = UNREACHABLE
    try:
        while True:
            try:
                feed = asyncio.run(fetch(args.url, "/status.json", "health", args.token_file, tls_of(args)))
                text, status = rendered(show, feed), UNHEALTHY if _is_unhealthy(feed) else HEALTHY
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
                why = why_unreachable(error)
                text, status = f"mcppool status: {args.url}: {why}", UNREACHABLE
            if args.watch is None:
                print(text, file=sys.stderr if status == UNREACHABLE else sys.stdout)
                return status
            print(CLEAR + text if sys.stdout.isatty() and not wants_json(args) else text, flush=True)
            time.sleep(args.watch)
    except KeyboardInterrupt:
        return status


def _is_unhealthy(feed: dict[str, Any]) -> bool:
    health = feed["health"]
    return isinstance(health, dict) and health.get("overall") == "unhealthy"


def render(feed: dict[str, Any]) -> str:
    """The feed as tables. Text from outside cannot control the terminal: control characters are replaced."""
    return "\n".join(_lines(feed))


def _lines(feed: dict[str, Any]) -> Iterator[str]:
    health = feed["health"]
    yield f"mcppool {printable(feed['version'])}: {printable(health['overall'])}   {_time(feed['at'])}"
    yield ""
    yield from _table(
        ("COMPONENT", "STATUS", "MESSAGE"),
        [(_words(name), part["status"], part["message"]) for name, part in health["components"].items()],
    )
    if not feed["pools"]:
        yield ""
        yield "No pool is configured yet. Add [[pools]] with name and endpoints to the file that the gateway follows."
    for pool in feed["pools"]:
        yield ""
        yield from _pool(pool, feed["notReady"].get(pool["name"]))
    rejected = feed["config"]["rejected"]
    if rejected is not None:
        yield ""
        yield f"The newest configuration was refused at {_time(rejected['at'])}; the one before it stays in force:"
        yield from (f"  {printable(problem)}" for problem in rejected["problems"])


def _pool(pool: dict[str, Any], not_ready: str | None) -> Iterator[str]:
    cache = pool["cache"]
    facts = [
        f"{pool['callsPerSecond']:.1f} calls/s",
        f"{pool['sessions']} sessions",
        f"{pool['waiting']} waiting",
        f"{pool['catalogTools']} tools",
        "cache off" if cache is None else f"cache {_percent(cache['hitRate'])} of {cache['hits'] + cache['misses']}",
        f"balanced by {_words(pool['strategy'])}",
        *([f"authentication {_words(pool['authentication'])}"] if "authentication" in pool else []),
    ]
    yield f"POOL {printable(pool['name'])}: {', '.join(facts)}"
    if not_ready is not None:
        yield f"not ready: {printable(not_ready)}"
    if pool["panic"]:
        yield "few endpoints are available, so all reachable ones take calls"
    yield from map(printable, pool.get("warnings", ()))
    yield from _table(
        ("ENDPOINT", "STATE", "SCORE", "LATENCY", "SHARE", "IN FLIGHT", "CONNECTIONS", "CALLS", "FAILED", "WHY"),
        [
            (
                endpoint["url"],
                endpoint["state"],
                f"{endpoint['score']:.2f}",
                _milliseconds(endpoint["latency"]),
                _percent(endpoint["share"]),
                endpoint["inFlight"],
                ", ".join(f"{count} {state}" for state, count in endpoint["connections"].items() if count) or "none",
                endpoint["attempts"],
                endpoint["failures"],
                endpoint["reason"] or "",
            )
            for endpoint in pool["endpoints"]
        ],
    )
    yield from _part("requests", ("ENDED IN", "COUNT"), list(pool["outcomes"].items()))
    yield from _part("retries", ("AFTER", "COUNT"), list(pool["retries"].items()))
    yield from _part(
        "breakers", ("TOOL", "ENDPOINT", "STATE"), [(b["tool"], b["endpoint"], b["state"]) for b in pool["breakers"]]
    )
    if cache is not None and cache["trouble"]:
        yield f"cache {printable(cache['type'])}: {printable(cache['trouble'])}"
    yield from _part(
        "what adaptive retry has learned",
        ("CALL", "AFTER", "STEP", "HELPED", "USED"),
        [
            (
                line["name"],
                line["errorClass"],
                f"attempt {line['attempt']}" if line["attempt"] else f"waiting up to {_milliseconds(line['wait'])}",
                _percent(line["rate"]),
                "yes" if line["used"] else "no",
            )
            for line in pool["learned"] or ()
        ],
    )
    yield from _part(
        "recent faults and recoveries",
        ("LAST AT", "ENDPOINT", "WHAT", "TIMES", "DETAIL"),
        [(_time(e["at"]), e["endpoint"], _words(e["reason"]), e["count"], e["detail"]) for e in pool["events"]],
    )


def _part(title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """A table under its title; nothing if it is empty."""
    if rows:
        yield ""
        yield title
        yield from _table(head, rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """Columns as wide as their cells; numbers are aligned to the right."""
    cells = [head, *([printable(str(cell)) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    right = [bool(rows) and all(isinstance(row[column], int) for row in rows) for column in range(len(head))]
    for row in cells:
        aligned = (
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        )
        yield "  ".join(aligned).rstrip()


def _period(text: str) -> float:
    """A number of seconds for `--watch`."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0.1 to 3600")
    return seconds


def _as_json(feed: dict[str, Any]) -> str:
    return json.dumps(feed)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.1f} ms"


def _time(at: str) -> str:
    """The time of day of an RFC 3339 moment, with its zone: UTC."""
    return printable(at)[11:19] + " UTC"
