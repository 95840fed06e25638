"""`mcppool tools`: the tools of a server."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from mcppool.cli.lists import first_line, named, no_such, whole_list
from mcppool.cli.output import add_output_option, show
from mcppool.cli.parsing import Commands, Parser
from mcppool.cli.servers import OK, STATUSES, TARGET, add_server_argument, add_server_options, complain, shift, talk
from mcppool.cli.terminal import printable, printable_lines, table

if TYPE_CHECKING:
    from mcppool.cli.progress import Progress
    from mcppool.client.pool import Pool

HINTS: Final = {"readOnlyHint": "read-only", "idempotentHint": "idempotent", "destructiveHint": "destructive"}
"""The words for annotations that are true."""


def add_parser(subparsers: Commands[Parser]) -> None:
    """Declare the subcommand."""
    parser = subparsers.add_parser(
        "tools",
        help="list the tools of a server",
        usage="%(prog)s URL [NAME] [options]  |  %(prog)s [NAME] [options] -- COMMAND [ARGUMENT ...]",
        description=f"List the tools of a server, or show one tool with its schema. {TARGET} {STATUSES}",
        examples=(
            "mcppool tools http://127.0.0.1:8080/mcp",
            "mcppool tools http://127.0.0.1:8080/mcp echo -o json",
            "mcppool tools pools.toml --pool search",
            "mcppool tools -- npx -y @modelcontextprotocol/server-everything",
        ),
    )
    add_server_argument(parser)
    parser.add_argument("name", metavar="NAME", nargs="?", help="show this tool, with its schema")
    add_output_option(parser)
    add_server_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the tools and return the exit status."""
    shift(args, "name")

    async def work(pool: Pool, _progress: Progress) -> int:
        tools = await whole_list(pool, "tools/list", "tools")
        if args.name is None:
            rows = table(("NAME", "ARGUMENTS", "HINTS", "DESCRIPTION"), [*map(_row, tools)])
            show(args, {"tools": tools}, rows if tools else ["The server has no tools."])
            return OK
        tool = named(tools, args.name)
        if tool is None:
            return complain(args, no_such("tool", args.name, tools))
        show(args, tool, _details(tool))
        return OK

    return talk("tools", args, work)


def _row(tool: Mapping[str, Any]) -> tuple[str, ...]:
    return str(tool.get("name")), " ".join(_arguments(tool)), hints_of(tool), first_line(tool.get("description"))


def _arguments(tool: Mapping[str, Any]) -> Iterator[str]:
    """The arguments of a tool, those that are optional in brackets."""
    schema = tool.get("inputSchema")
    schema = schema if isinstance(schema, dict) else {}
    required = schema.get("required")
    required = required if isinstance(required, list) else []
    properties = schema.get("properties")
    for name in properties if isinstance(properties, dict) else ():
        yield name if name in required else f"[{name}]"


def hints_of(tool: Mapping[str, Any]) -> str:
    """The annotations of a tool in words."""
    annotations = tool.get("annotations")
    given = annotations if isinstance(annotations, dict) else {}
    return ", ".join(word for key, word in HINTS.items() if given.get(key) is True)


def _details(tool: Mapping[str, Any]) -> Iterator[str]:
    yield printable(f"{tool.get('name')} {' '.join(_arguments(tool))}".strip())
    if hints := hints_of(tool):
        yield hints
    yield ""
    if isinstance(description := tool.get("description"), str) and description.strip():
        yield printable_lines(description.strip())
        yield ""
    yield printable_lines(json.dumps(tool.get("inputSchema"), indent=2, ensure_ascii=False))
