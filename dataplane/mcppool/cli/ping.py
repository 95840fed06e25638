"""`mcppool ping`: whether a server answers, and what it is."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mcppool.cli.output import add_output_option, show
from mcppool.cli.parsing import Commands, Parser, count
from mcppool.cli.servers import OK, STATUSES, TARGET, add_server_argument, add_server_options, place_of, shift, talk
from mcppool.cli.terminal import printable

if TYPE_CHECKING:
    from mcppool.cli.progress import Progress
    from mcppool.client.pool import Pool
    from mcppool.client.server_info import ServerInfo


def add_parser(subparsers: Commands[Parser]) -> None:
    """Declare the subcommand."""
    parser = subparsers.add_parser(
        "ping",
        help="ask whether a server answers, and what it is",
        usage="%(prog)s URL [options]  |  %(prog)s [options] -- COMMAND [ARGUMENT ...]",
        description="Ask a server what it is, and measure how fast it answers: `ping`, or a list where a server knows "
        f"no `ping`. {TARGET} {STATUSES}",
        examples=(
            "mcppool ping http://127.0.0.1:8080/mcp",
            "mcppool ping --count 5 -o json http://127.0.0.1:8080/mcp",
            "mcppool ping --token-file token https://mcp.example.com/mcp",
        ),
    )
    add_server_argument(parser)
    parser.add_argument("--count", type=count, default=1, metavar="N", help="number of requests (default 1)")
    add_output_option(parser)
    add_server_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Ask the server and return the exit status."""
    shift(args)

    async def work(pool: Pool, progress: Progress) -> int:
        from mcppool.client.errors import RpcError  # here, because it takes long to load

        about = await pool.server_info(timeout=args.timeout)
        method = _method(about)
        times = []
        for number in range(args.count):
            progress.text = f"request {number + 1} of {args.count}"
            began = time.perf_counter()
            try:
                await pool.request(method, timeout=args.timeout)
            except RpcError:
                pass  # a server that does not know the method has answered, too
            times.append(time.perf_counter() - began)
        document = _document(about, times)
        show(args, document, _lines(place_of(args), document))
        return OK

    return talk("ping", args, work)


def _method(about: ServerInfo) -> str:
    """A request that reaches the server, and costs it little."""
    if about.era == "legacy":
        return "ping"
    return next(
        (f"{kind}/list" for kind in ("prompts", "resources", "tools") if kind in about.capabilities), "tools/list"
    )


def _document(about: ServerInfo, times: list[float]) -> dict[str, Any]:
    return {
        "name": about.name,
        "version": about.version,
        "era": about.era,
        "protocolVersion": about.protocol_version,
        "capabilities": dict(about.capabilities),
        "instructions": about.instructions,
        "milliseconds": [round(seconds * 1000, 2) for seconds in times],
    }


def _lines(place: str, document: Mapping[str, Any]) -> Iterator[str]:
    server = " ".join(part for part in (document["name"], document["version"]) if part) or "a server without a name"
    kind = "stateless" if document["era"] == "modern" else "with sessions"
    yield printable(f"{place}: {server}, {kind} ({document['protocolVersion']})")
    yield printable(f"offers: {', '.join(document['capabilities']) or 'nothing'}")
    yield f"answers in {', '.join(f'{time:g}' for time in document['milliseconds'])} ms"
