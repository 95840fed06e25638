"""`mcppool advise`: what to change in the configuration of a running gateway, and why."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcppool.cli.admin_port import add_address_options, fetch, printable, rendered, tls_of
from mcppool.cli.output import add_output_option, show
from mcppool.cli.parsing import Commands, Parser
from mcppool.cli.reach import why_unreachable

if TYPE_CHECKING:
    from mcppool.spec import Snapshot

OK, USAGE, UNREACHABLE = 0, 1, 2


def add_parser(subparsers: Commands[Parser]) -> None:
    """Declare the subcommand."""
    parser = subparsers.add_parser(
        "advise",
        help="say what to change in the configuration of a running gateway, and why",
        description="Read the figures of the gateway at this admin address, or of the gateway that serves this "
        "configuration file, and say what to change, in the file's own keys, with the figures that each piece of "
        "advice rests on. Nothing is changed. Exit status 0: the gateway answered; 1: the file cannot be used; 2: not "
        "reachable.",
        examples=(
            "mcppool advise",
            "mcppool advise pools.toml",
            "mcppool advise --write pools.toml",
        ),
    )
    add_output_option(parser)
    add_address_options(parser)
    parser.add_argument(
        "--write",
        action="store_true",
        help="also write FILE.diff: the advice as a diff of the configuration file FILE, with comments, for `patch`",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the advice."""
    import aiohttp  # here, because it takes as long to load as everything else that a subcommand needs

    file = args.url if "://" not in args.url else None
    if args.write and file is None:
        print("mcppool advise: --write needs the configuration file in place of the address", file=sys.stderr)
        return USAGE
    url = args.url
    if file is not None:
        if not os.path.isfile(file):
            print(f"mcppool advise: {file}: no such file", file=sys.stderr)
            return USAGE
        try:
            url = _use(args, file)
        except ValueError as error:
            print(f"mcppool advise: {file}: {error}", file=sys.stderr)
            return USAGE
    try:
        body = asyncio.run(fetch(url, "/advice.json", "advice", args.token_file, tls_of(args)))
        text = rendered(lambda page: "\n".join(map(printable, _lines(page))), body)
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        print(f"mcppool advise: {url}: {why_unreachable(error)}", file=sys.stderr)
        return UNREACHABLE
    show(args, body, text.split("\n"))
    if file is not None and args.write:
        _write(file, body)
    return OK


def _use(args: argparse.Namespace, file: str) -> str:
    """The address of the admin port of the gateway that serves this file; its token is read from there, too. Raises
    ValueError."""
    from mcppool.spec import ConfigError
    from mcppool.spec.toml import load_toml

    try:
        snapshot = load_toml(file)
    except ConfigError as error:
        raise ValueError(f"has mistakes; see mcppool check {file}: {error.problems[0]}") from error
    metrics = snapshot.metrics
    if not metrics.enabled:
        raise ValueError("its gateway has no admin port: metrics.enabled is false")
    if args.token_file is None:
        args.token_file = metrics.token_file
    return _address(snapshot)


def _address(snapshot: Snapshot) -> str:
    metrics = snapshot.metrics
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(metrics.host, metrics.host)  # noqa: S104 (it is compared)
    scheme = "https" if metrics.tls is not None else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{metrics.port}"


def _write(file: str, body: Mapping[str, Any]) -> None:
    from mcppool.cli.advice_diff import diff

    text = Path(file).read_text(encoding="utf-8")
    changes = diff(text, os.path.basename(file), body["advice"])
    target = Path(f"{file}.diff")
    if not changes:
        target.unlink(missing_ok=True)  # an older one no longer fits the file
        print(f"mcppool advise: {file} needs no change, so there is no {target}", file=sys.stderr)
        return
    target.write_text(changes, encoding="utf-8")
    print(f"mcppool advise: wrote {target}; apply it with: patch {file} {target}", file=sys.stderr)


def _lines(body: Mapping[str, Any]) -> Iterator[str]:
    """The advice for people."""
    minutes, seconds = divmod(round(body["covered"]), 60)
    span = f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
    if not body["advice"]:
        yield f"Nothing to change, by the figures of the last {span}."
        return
    yield f"By the figures of the last {span} (samples: since the start of the gateway):"
    for pool in body["pools"]:
        found = [advice for advice in body["advice"] if advice["pool"] == pool]
        if found:
            yield from ("", f"pool {pool}")
        for advice in found:
            yield ""
            for change in advice["changes"]:
                yield f"  {_change(change)}"
            yield f"    {advice['why']}"
            yield "    " + " · ".join(f"{name}: {value}" for name, value in advice["figures"].items())
            yield f"    Expected: {advice['expect']}"
            if advice["check"]:
                yield f"    First ask: {advice['check']}"


def _change(change: Mapping[str, Any]) -> str:
    now = "not set" if change["now"] is None else f"now {_value(change['now'])}"
    if change["proposed"] is None:
        return f"remove {change['key']}   ({now})"
    return f"{change['key']} = {_value(change['proposed'])}   ({now})"


def _value(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f'"{value}"' if isinstance(value, str) else str(value)
