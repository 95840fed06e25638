"""`mcppool pin URL`: the definitions of a server's tools, as a lock file for `catalog.lock_file`."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from mcppool.cli.lists import whole_list
from mcppool.cli.output import TEXT, print_json
from mcppool.cli.parsing import Commands, Parser
from mcppool.cli.servers import OK, STATUSES, TARGET, add_server_argument, add_server_options, complain, shift, talk

if TYPE_CHECKING:
    from mcppool.cli.progress import Progress
    from mcppool.client.pool import Pool


def add_parser(subparsers: Commands[Parser]) -> None:
    """Declare the subcommand."""
    parser = subparsers.add_parser(
        "pin",
        help="write a lock file of a server's tools",
        usage="%(prog)s URL [options]  |  %(prog)s [options] -- COMMAND [ARGUMENT ...]",
        description="Print the digests of the definitions of all tools of a server, as a lock file for "
        f"catalog.lock_file: mcppool pin URL > tools.lock. {TARGET} {STATUSES}",
        examples=(
            "mcppool pin http://127.0.0.1:8001/mcp > tools.lock",
            "mcppool pin --token-file token https://mcp.example.com/mcp",
        ),
    )
    add_server_argument(parser)
    add_server_options(parser)
    parser.set_defaults(run=run, output=TEXT)


def run(args: argparse.Namespace) -> int:
    """Print the lock file and return the exit status."""
    shift(args)

    async def work(pool: Pool, _progress: Progress) -> int:
        from mcppool.wire.tool_digest import tool_digest

        found: dict[str, str] = {}
        for tool in await whole_list(pool, "tools/list", "tools"):
            digest = tool_digest(json.dumps(tool).encode())
            if found.setdefault(str(tool.get("name")), digest) != digest:
                return complain(args, f"it lists the tool {tool.get('name')} twice, with different definitions")
        print_json({"tools": dict(sorted(found.items()))})
        return OK

    return talk("pin", args, work)
