"""`mcppool check FILE`: the problems of a configuration, or a summary of it."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any

from mcppool.cli.output import add_output_option, print_json, wants_json
from mcppool.cli.parsing import Commands, Parser

if TYPE_CHECKING:
    from mcppool.spec import ConfigError, Problem, Snapshot

OK, PROBLEMS, USAGE = 0, 1, 2
STDIN = "-"


def add_parser(subparsers: Commands[Parser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "check",
        help="report the mistakes in a configuration file, or its settings",
        description="Read a configuration file as `mcppool serve` does. Print every mistake with its line, or every "
        "setting and where its value comes from. Exit status 0: no mistakes; 1: mistakes; 2: there is no such file.",
        examples=(
            "mcppool check pools.toml",
            "mcppool check --quiet -o json pools.toml",
            "mcppool check pools.toml --as ci",
        ),
    )
    parser.add_argument("file", metavar="FILE", help="the configuration, TOML; `-` reads standard input")
    add_output_option(parser, alias=True)
    parser.add_argument("--quiet", action="store_true", help="do not print the settings")
    parser.add_argument(
        "--as",
        dest="client",
        metavar="CLIENT",
        help="print the tools, prompts and resources that a client may use. CLIENT is a file with the claims of a "
        "token as JSON (`-` reads standard input), "
        "a token (it is decoded, not verified), or the name of an API key",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check the file and return the exit status."""
    from mcppool.gateway.preflight import preflight  # here, because they take long to load
    from mcppool.spec import ConfigError
    from mcppool.spec.toml import MAX_BYTES, load_bytes, load_toml

    if args.file != STDIN and not os.path.exists(args.file):
        print(f"mcppool check: {args.file}: no such file", file=sys.stderr)
        return USAGE
    if os.path.isdir(args.file):
        print(f"mcppool check: {args.file}: is a directory, not a configuration file", file=sys.stderr)
        return USAGE
    source = "standard input" if args.file == STDIN else args.file
    try:
        snapshot = (
            load_bytes(sys.stdin.buffer.read(MAX_BYTES + 1), source) if args.file == STDIN else load_toml(args.file)
        )
        if problems := preflight(snapshot):
            raise ConfigError(problems)
    except ConfigError as error:
        if wants_json(args):
            print_json({"ok": False, "problems": [_problem(problem) for problem in error.problems]})
        else:
            _print_problems(source, error)
        return PROBLEMS
    if args.client is not None:
        return _print_allowed(snapshot, args.client, as_json=wants_json(args))
    if wants_json(args):
        print_json(_report(snapshot))
    else:
        _print_report(source, snapshot, quiet=args.quiet)
    return OK


def _print_allowed(snapshot: Snapshot, client: str, *, as_json: bool) -> int:
    from mcppool.cli.allowed import BadClaims, render, report

    try:
        found = report(snapshot, client)
    except BadClaims as error:
        print(f"mcppool check: --as: {error}", file=sys.stderr)
        return USAGE
    if as_json:
        print_json({"ok": True, "pools": found})
    else:
        print(render(found))
    return OK


def _print_problems(file: str, error: ConfigError) -> None:
    for problem in error.problems:
        print(problem)
    count = len(error.problems)
    print(f"{file}: {count} problem{'s' if count > 1 else ''}", file=sys.stderr)


def _print_report(file: str, snapshot: Snapshot, *, quiet: bool) -> None:
    from mcppool.cli.settings import render_settings
    from mcppool.spec.explain import settings_of

    pools = snapshot.pools
    count = "1 pool" if len(pools) == 1 else f"{len(pools)} pools"
    print(f"{file}: ok: {count}, profile {_profile(snapshot)}")
    if not pools:
        print(
            'There is nothing to serve yet. Add:\n\n[[pools]]\nname = "search"\nendpoints = ["http://127.0.0.1:8001/mcp"]'
        )
    for sentence in _notes(snapshot):
        print(f"note: {sentence}")
    if quiet:
        return
    print(render_settings(settings_of(snapshot)))


def _report(snapshot: Snapshot) -> dict[str, Any]:
    from mcppool.spec.explain import settings_of

    about = {"profile": _profile(snapshot), "hash": snapshot.hash, "advice": _notes(snapshot)}
    return {"ok": True, **about, **settings_of(snapshot)}


def _notes(snapshot: Snapshot) -> list[str]:
    from mcppool.pipeline.pool.requirements import doubts
    from mcppool.spec.advice import advice

    return [*advice(snapshot), *(sentence for pool in snapshot.pools for sentence in doubts(pool))]


def _profile(snapshot: Snapshot) -> str:
    assert snapshot.provenance is not None  # it was read from a file
    return snapshot.provenance.profile


def _problem(problem: Problem) -> dict[str, Any]:
    return {
        "source": problem.source,
        "line": problem.line,
        "column": problem.column,
        "path": problem.path,
        "message": problem.message,
        "value": problem.value,
        "allowed": problem.allowed,
    }
