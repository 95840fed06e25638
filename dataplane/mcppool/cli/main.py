"""`mcppool`: the command."""

from __future__ import annotations

import io
import os
import sys

from mcppool.cli import (
    adapter,
    call,
    check,
    config,
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

COMMANDS = (serve, tools, resources, prompts, call, ping, check, status, config, keys, pin, schema, adapter)


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
    parser.add_argument("--version", action="version", version=f"mcppool {__version__}")
    parser.set_defaults(run=parser.help)
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    for module in COMMANDS:
        module.add_parser(subparsers)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run a subcommand and return the process's exit status."""
    argv = sys.argv[1:] if argv is None else argv
    own, local = (argv[: argv.index("--")], argv[argv.index("--") + 1 :]) if "--" in argv else (argv, [])
    args = command_parser().parse_args(own)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a character that this terminal cannot show must not end a command
        sys.stdout.reconfigure(errors="backslashreplace")
    args.argv = argv  # a gateway of several processes starts each with the same arguments
    args.local = local  # a command line of another program, which argparse must not parse
    try:
        return int(args.run(args))
    except BrokenPipeError:  # the reader of the output has closed it
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (for the interpreter's own flush at its end)
        return 141


if __name__ == "__main__":
    sys.exit(main())
