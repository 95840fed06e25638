"""`mcppool check FILE`: what is wrong with a configuration, or what it comes to."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from mcppool.spec import ConfigError, Problem
from mcppool.spec.explain import Value, pool_values, process_values
from mcppool.spec.toml import Configuration, read_file

OK, PROBLEMS, USAGE = 0, 1, 2


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "check",
        help="say what is wrong with a configuration file, or what is in force",
        description="Reads a configuration file as `mcppool serve` does. Prints every problem with its line, or "
        "what is in force and where each value came from. Exit status: 0 if good, 1 if not, 2 without such a file.",
    )
    parser.add_argument("file", metavar="FILE", help="the configuration, TOML")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--quiet", action="store_true", help="of a good file print one line only")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check the file and return the exit status."""
    if not os.path.isfile(args.file):
        print(f"mcppool check: {args.file}: no such file", file=sys.stderr)
        return USAGE
    try:
        configuration = read_file(args.file)
    except ConfigError as error:
        if args.json:
            _print_json({"ok": False, "problems": [_problem(problem) for problem in error.problems]})
        else:
            _print_problems(args.file, error)
        return PROBLEMS
    if args.json:
        _print_json(_report(configuration))
    else:
        _print_report(args.file, configuration, quiet=args.quiet)
    return OK


def _print_problems(file: str, error: ConfigError) -> None:
    for problem in error.problems:
        print(problem)
    count = len(error.problems)
    print(f"{file}: {count} problem{'s' if count > 1 else ''}", file=sys.stderr)


def _print_report(file: str, configuration: Configuration, *, quiet: bool) -> None:
    pools = configuration.snapshot.pools
    count = "1 pool" if len(pools) == 1 else f"{len(pools)} pools"
    print(f"{file}: ok: {count}, profile {configuration.profile}")
    if not pools:
        print(
            'There is nothing to serve yet. Add:\n\n[[pools]]\nname = "search"\nendpoints = ["http://127.0.0.1:8001/mcp"]'
        )
    if quiet:
        return
    _print_values("process", process_values(configuration))
    for index, pool in enumerate(pools):
        _print_values(f"pool {pool.name}", pool_values(configuration, index))


def _print_values(title: str, values: Iterable[Value]) -> None:
    lines = [(f"{value.path} = {json.dumps(value.value, ensure_ascii=False)}", value.origin) for value in values]
    width = min(max(len(text) for text, _ in lines), 72)
    print(f"\n{title}")
    for text, origin in lines:
        print(f"  {text:<{width}}  {origin}")


def _report(configuration: Configuration) -> dict[str, Any]:
    snapshot = configuration.snapshot
    return {
        "ok": True,
        "profile": configuration.profile,
        "hash": snapshot.hash,
        "process": _by_path(process_values(configuration)),
        "pools": {pool.name: _by_path(pool_values(configuration, index)) for index, pool in enumerate(snapshot.pools)},
    }


def _by_path(values: Iterable[Value]) -> dict[str, dict[str, Any]]:
    return {value.path: {"value": value.value, "origin": value.origin} for value in values}


def _problem(problem: Problem) -> dict[str, Any]:
    return {
        "source": problem.source,
        "line": problem.line,
        "path": problem.path,
        "message": problem.message,
        "value": problem.value,
        "allowed": problem.allowed,
    }


def _print_json(data: Mapping[str, Any]) -> None:
    print(json.dumps(data, indent=2, ensure_ascii=False, default=str))
