"""`mcppool resources`: the resources of a server."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mcppool.cli.contents import resource_text
from mcppool.cli.lists import first_line, whole_list
from mcppool.cli.output import add_output_option, show
from mcppool.cli.parsing import Commands, Parser
from mcppool.cli.servers import OK, STATUSES, TARGET, add_server_argument, add_server_options, shift, talk
from mcppool.cli.terminal import table

if TYPE_CHECKING:
    from mcppool.cli.progress import Progress
    from mcppool.client.pool import Pool


def add_parser(subparsers: Commands[Parser]) -> None:
    """Declare the subcommand."""
    parser = subparsers.add_parser(
        "resources",
        help="list the resources of a server, or read one",
        usage="%(prog)s URL [URI] [options]  |  %(prog)s [URI] [options] -- COMMAND [ARGUMENT ...]",
        description=f"List the resources and templates of a server, or print the contents of one. {TARGET} {STATUSES}",
        examples=(
            "mcppool resources http://127.0.0.1:8080/mcp",
            "mcppool resources http://127.0.0.1:8080/mcp file:///notes.txt",
            "mcppool resources pools.toml -o json",
        ),
    )
    add_server_argument(parser)
    parser.add_argument("uri", metavar="URI", nargs="?", help="print the contents of this resource")
    add_output_option(parser)
    add_server_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the resources, or the contents of one, and return the exit status."""
    shift(args, "uri")

    async def work(pool: Pool, _progress: Progress) -> int:
        if args.uri is not None:
            read = await pool.read_resource(args.uri, timeout=args.timeout)
            result = read.model_dump(mode="json", by_alias=True, exclude_unset=True)
            show(args, result, [resource_text(result)])
            return OK
        resources = await whole_list(pool, "resources/list", "resources")
        templates = await whole_list(pool, "resources/templates/list", "resourceTemplates")
        rows = [*(_row(one, "uri") for one in resources), *(_row(one, "uriTemplate") for one in templates)]
        lines = table(("URI", "NAME", "TYPE", "DESCRIPTION"), rows) if rows else ["The server has no resources."]
        show(args, {"resources": resources, "resourceTemplates": templates}, lines)
        return OK

    return talk("resources", args, work)


def _row(resource: Mapping[str, Any], key: str) -> tuple[str, ...]:
    name, kind = resource.get("name") or "", resource.get("mimeType") or ""
    return str(resource.get(key)), str(name), str(kind), first_line(resource.get("description"))
