"""The subcommands, in the order of the help."""

from __future__ import annotations

from mcppool.built import BUILD
from mcppool.cli import (
    adapter,
    advise,
    call,
    check,
    completion,
    config,
    init,
    keys,
    pin,
    ping,
    prompts,
    resources,
    schema,
    serve,
    status,
    tools,
)  # fmt: skip
from mcppool.cli.parsing import Parser
from mcppool.version import __version__

COMMANDS = (
    serve, init, tools, resources, prompts, call, ping, check, status, advise, config, keys, pin, schema, completion,
    adapter,
)  # fmt: skip


def command_parser() -> Parser:
    """The parser of the whole command line."""
    parser = Parser(
        prog="mcppool",
        description="One MCP endpoint in front of many replicas of an MCP server. An environment variable can take the "
        "place of each flag; it is named in brackets. A flag wins over its variable, and both win over a file.",
        examples=(
            "mcppool serve http://127.0.0.1:8001/mcp http://127.0.0.1:8002/mcp",
            "mcppool status",
        ),
    )
    parser.add_argument("--version", action="version", version=f"mcppool {__version__} ({BUILD})")
    parser.set_defaults(run=parser.help)
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    for module in COMMANDS:
        module.add_parser(subparsers)
    return parser
