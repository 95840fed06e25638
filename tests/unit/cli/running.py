"""Runs a subcommand of `mcppool` in this process."""

from __future__ import annotations

from types import ModuleType

from mcppool.cli.parsing import Parser


def run_command(module: ModuleType, *arguments: str) -> int:
    """The exit status of the subcommand in this module, which is named like it."""
    parser = Parser()
    module.add_parser(parser.add_subparsers(required=True))
    args = parser.parse_args([module.__name__.rpartition(".")[2], *arguments])
    return int(args.run(args))
