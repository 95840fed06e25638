"""`mcppool adapter`: one program on standard streams, served over HTTP from its own container.

In the pods of stdio servers an init container runs `--into` and fills a volume with a copy of this program. The copy
runs in the server's container, with `--policy`, and starts the server as its child.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mcppool.cli.parsing import Commands, Parser

if TYPE_CHECKING:
    from mcppool.spec import Snapshot


def add_parser(subparsers: Commands[Parser]) -> None:
    """Declare the subcommand."""
    parser = subparsers.add_parser(
        "adapter",
        help="serve the program of a container of any image (for the operator)",
        usage="%(prog)s --into DIR  |  %(prog)s --policy SNAPSHOT -- COMMAND [ARGUMENT ...]",
        description="The operator uses this for managed servers that speak on standard streams: it copies this program "
        "into a volume, and the copy serves the server from the server's own container. Exit status 0: done; 1: it "
        "failed; 2: unknown arguments.",
        examples=(
            "mcppool adapter --into /adapter",
            "mcppool adapter --policy /etc/mcppool/policy.json -- node server.js",
        ),
    )
    parser.set_defaults(run=run)
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument(
        "--into", type=Path, metavar="DIR", help="copy this program there, in place of the present content"
    )
    mode.add_argument(
        "--policy",
        metavar="SNAPSHOT",
        help="serve COMMAND by this snapshot (JSON), which has one pool; COMMAND gets the whole environment",
    )


def run(args: argparse.Namespace) -> int:
    """Copy or serve, and return the exit status."""
    if args.into is not None:
        return _copy(args.into)
    if args.policy is None:
        raise SystemExit("mcppool adapter: --into DIR or --policy SNAPSHOT is missing")
    if not args.local:
        raise SystemExit("mcppool adapter: --policy needs a command:  mcppool adapter --policy SNAPSHOT -- COMMAND")
    from mcppool.cli.gateway_process import serve  # here, because these take long to load
    from mcppool.discovery.static import FixedSource
    from mcppool.spec import read_snapshot

    return serve(lambda: FixedSource(_with_command(read_snapshot(args.policy, "--policy"), tuple(args.local))))


def _with_command(snapshot: Snapshot, command: tuple[str, ...]) -> Snapshot:
    from mcppool.spec import ConfigError, Problem

    if len(snapshot.pools) != 1:
        raise ConfigError(
            [Problem("pools", "must have exactly one pool", len(snapshot.pools), "one pool", source="--policy")]
        )
    pool = snapshot.pools[0].model_copy(update={"command": command, "replicas": 1, "env_from": ("*",)})
    return snapshot.model_copy(update={"pools": (pool,)})


def _copy(into: Path) -> int:
    from mcppool.cli.portable import NotPortableError, copy_program

    try:
        into.mkdir(parents=True, exist_ok=True)
        for old in into.iterdir():  # an earlier try may have failed half-way
            if old.is_dir() and not old.is_symlink():
                shutil.rmtree(old)
            else:
                old.unlink()
        copy_program(into)
    except (NotPortableError, OSError) as error:
        print(f"mcppool adapter: {error}", file=sys.stderr)
        return 1
    return 0
