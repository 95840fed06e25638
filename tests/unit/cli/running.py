"""Runs a subcommand of `mcppool` in this process."""

from __future__ import annotations

import argparse
from types import ModuleType


def run_command(module: ModuleType, *arguments: str) -> int:
    """The exit status of the subcommand in this module, which is named like it."""
    parser = argparse.ArgumentParser()
    module.add_parser(parser.add_subparsers(required=True))
    args = parser.parse_args([module.__name__.rpartition(".")[2], *arguments])
    return int(args.run(args))
