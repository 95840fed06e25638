"""`mcppool serve`: run a gateway."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcppool.cli.parsing import Commands, Parser, count, port
from mcppool.small_file import read_small_file

if TYPE_CHECKING:
    from mcppool.discovery.source import Source
    from mcppool.spec import Problem, Snapshot


def add_parser(subparsers: Commands[Parser]) -> None:
    """Declare the subcommand."""
    parser = subparsers.add_parser(
        "serve",
        help="run a gateway in front of servers",
        usage="%(prog)s [URL ...] [options]  |  %(prog)s [options] -- COMMAND [ARGUMENT ...]",
        description="Serve one MCP endpoint in front of MCP servers: the servers at the given URLs, replicas of a "
        "local program that speaks MCP on standard input and output, or the pools of a configuration file. Exit status "
        "0: ended by a signal; 1: it cannot serve; 2: unknown arguments.",
        examples=(
            "mcppool serve http://127.0.0.1:8001/mcp http://127.0.0.1:8002/mcp",
            "mcppool serve --replicas 3 -- npx -y @modelcontextprotocol/server-everything",
            "mcppool serve --config pools.toml --listen 0.0.0.0:8080",
        ),
    )
    parser.add_argument("urls", nargs="*", metavar="URL", help="an MCP server, such as http://127.0.0.1:8001/mcp")
    parser.add_argument(
        "--replicas", type=count, metavar="N", help="with -- COMMAND: number of its processes (default 3)"
    )
    parser.add_argument(
        "--env",
        action="append",
        default=[],
        metavar="NAME[=VALUE]",
        help="with -- COMMAND: set an environment variable of COMMAND, or pass on the gateway's own without VALUE; "
        "may be repeated",
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="a TOML file, or a snapshot (.json); the gateway follows its changes",
    )
    source.add_argument(
        "--kubernetes", metavar="NAMESPACE/CONFIGMAP", help="follow a ConfigMap that the operator publishes"
    )
    parser.add_argument("--mount", type=Path, metavar="DIR", help="with --kubernetes: where that ConfigMap is mounted")
    parser.add_argument(
        "--listen", metavar="HOST:PORT", help="where clients connect (default 127.0.0.1:8080); overrides --config"
    )
    parser.add_argument(
        "--admin-port", type=port, metavar="PORT", help="port of metrics and health (default 9090); overrides --config"
    )
    parser.add_argument(
        "--no-auth",
        action="store_true",
        help="without --config: accept every client, also where --listen is not a loopback address",
    )
    parser.add_argument(
        "--workers",
        type=_workers,
        metavar="N|auto",
        help="number of processes that share the port (default 1); overrides --config",
    )
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)  # a supervisor starts this process
    parser.set_defaults(run=run)


def _workers(text: str) -> int | str:
    """The argument of `--workers`; the configuration checks its bounds."""
    return int(text) if text.isdecimal() else text


def run(args: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM."""
    from mcppool.cli.gateway_process import run_worker, run_workers, serve  # here, because they take long to load

    _drop_idle(args)
    if args.worker is not None:
        return run_worker(lambda: _source(args), args.worker)
    if _may_be_several(args):
        return run_workers(lambda: _source(args), args.config, args.argv)
    return serve(lambda: _source(args), args.config)


def _drop_idle(args: argparse.Namespace) -> None:
    """Drop values from the environment that have no effect beside the arguments: it serves many commands."""
    local = bool(args.local)
    from_file = not (args.urls or local) and (args.config or args.kubernetes)
    in_snapshot = args.kubernetes or (args.config is not None and args.config.suffix == ".json")
    idle = {
        "config": bool(args.urls or local),
        "kubernetes": bool(args.urls or local),
        "mount": not args.kubernetes or bool(args.urls or local),
        "no_auth": bool(from_file),
        "replicas": not local,
        "env": not local,
        **dict.fromkeys(("listen", "admin_port", "workers"), bool(from_file and in_snapshot)),
    }
    for name in args.from_environment & {name for name, without_effect in idle.items() if without_effect}:
        setattr(args, name, [] if name == "env" else False if name == "no_auth" else None)


def _may_be_several(args: argparse.Namespace) -> bool:
    """Whether the configuration may ask for several processes. Only then is it read before the gateway starts."""
    from mcppool.spec.toml import MAX_BYTES

    if args.workers is not None:
        return True
    try:
        return args.config is not None and b"workers" in read_small_file(str(args.config), MAX_BYTES)
    except OSError:
        return False  # the gateway reports it


def _source(args: argparse.Namespace) -> Source:
    from mcppool.discovery.file import FileSource
    from mcppool.discovery.static import FixedSource
    from mcppool.observe import logs

    if args.mount and not args.kubernetes:
        raise SystemExit("mcppool serve: --mount is for --kubernetes NAMESPACE/CONFIGMAP")
    if args.config or args.kubernetes:
        _refuse_beside(args)
    if args.kubernetes:
        namespace, slash, name = args.kubernetes.partition("/")
        if not slash or not namespace or not name:
            raise SystemExit(f"mcppool serve: --kubernetes: {args.kubernetes!r} is not NAMESPACE/CONFIGMAP")
        from mcppool.discovery.kubernetes import KubernetesSource  # here, because only pods need these modules

        return KubernetesSource(namespace, name, log=logs.get_logger("discovery"), mount=args.mount)
    if args.config:
        return FileSource(args.config, flags=_flags(args), variables=_variables(args))
    if args.urls and args.local:
        raise SystemExit("mcppool serve: give URLs or a command, not both")
    if args.replicas is not None and not args.local:
        raise SystemExit("mcppool serve: --replicas is for a command:  mcppool serve --replicas 3 -- COMMAND")
    if args.env and not args.local:
        raise SystemExit("mcppool serve: --env is for a command:  mcppool serve --env NAME=VALUE -- COMMAND")
    if not args.urls and not args.local:
        print(
            "No server is configured. Name the URLs of your MCP servers:  mcppool serve http://127.0.0.1:8001/mcp\n"
            "or the command of a local one:  mcppool serve -- npx -y @modelcontextprotocol/server-everything\n"
            "or a file:  mcppool serve --config FILE",
            file=sys.stderr,
        )
    return FixedSource(_snapshot(args))


def _snapshot(args: argparse.Namespace) -> Snapshot:
    """The configuration of the arguments alone. Raises ConfigError."""
    from mcppool.spec import ConfigError, default_snapshot

    for url in args.urls:
        if "://" not in url and Path(url).is_file():
            raise SystemExit(f"mcppool serve: URL: {url!r} is a file:  mcppool serve --config {url}")
    try:
        return default_snapshot(
            args.urls,
            command=args.local,
            replicas=args.replicas,
            listen=args.listen,
            admin_port=args.admin_port,
            env=dict(text.split("=", 1) for text in args.env if "=" in text),
            env_from=[text for text in args.env if "=" not in text],
            accept_everyone=args.no_auth,
            workers=args.workers,
            variables=_variables(args),
        )
    except ConfigError as error:
        raise ConfigError([_in_flags(problem, args) for problem in error.problems]) from None


def _in_flags(problem: Problem, args: argparse.Namespace) -> Problem:
    """The problem of an argument: its flag, or its variable, takes the place of the key that it stands for."""
    for key, argument in (
        ("listener.listen", "listen"),
        ("listener.workers", "workers"),
        ("metrics.port", "admin_port"),
        ("pools[0].replicas", "replicas"),
        ("pools[0].env", "env"),
    ):
        if problem.path.startswith(key):
            name = argument.replace("_", "-")
            path = f"MCPPOOL_{argument.upper()}" if argument in args.from_environment else f"--{name}"
            return replace(problem, path=path, source="mcppool serve")
    if problem.path.startswith("pools[0].endpoints"):
        return replace(problem, path="URL", source="mcppool serve")
    return replace(problem, source="mcppool serve")


def _refuse_beside(args: argparse.Namespace) -> None:
    """Refuse arguments that have no effect with the chosen source of the configuration."""
    source = "--config" if args.config else "--kubernetes"
    if args.urls or args.local:
        raise SystemExit(f"mcppool serve: give URLs, a command or {source}, only one of them")
    if args.no_auth:
        raise SystemExit(f"mcppool serve: --no-auth has no effect with {source}: write `auth.inbound` there")
    if args.env:
        raise SystemExit(f"mcppool serve: --env has no effect with {source}: write `env` in the configuration")
    if args.replicas is not None:
        raise SystemExit(
            f"mcppool serve: --replicas has no effect with {source}: write `replicas` in the configuration"
        )
    given = [
        flag
        for flag in ("--listen", "--admin-port", "--workers")
        if getattr(args, flag[2:].replace("-", "_")) is not None
    ]
    if given and (args.kubernetes or args.config.suffix == ".json"):
        raise SystemExit(f"mcppool serve: {given[0]} has no effect here: the snapshot says where to listen")


def _variables(args: argparse.Namespace) -> dict[tuple[str, ...], str]:
    """The environment variables of the arguments that the environment gives, by the place of the value."""
    return {
        place: f"MCPPOOL_{argument.upper()}"
        for place, argument in (
            (("listener", "listen"), "listen"),
            (("listener", "workers"), "workers"),
            (("metrics", "port"), "admin_port"),
        )
        if argument in args.from_environment
    }


def _flags(args: argparse.Namespace) -> dict[str, Any]:
    """The sections of a file that the command line overrides."""
    flags: dict[str, Any] = {}
    listener = {"listen": args.listen, "workers": args.workers}
    if given := {key: value for key, value in listener.items() if value is not None}:
        flags["listener"] = given
    if args.admin_port is not None:
        flags["metrics"] = {"port": args.admin_port}
    return flags
