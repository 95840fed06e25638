"""`mcppool serve`: run a gateway."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop

from mcppool.cli.reach import why_not_served
from mcppool.discovery.file import FileSource
from mcppool.discovery.static import FixedSource
from mcppool.gateway.gateway import Gateway
from mcppool.gateway.report import answers
from mcppool.observe import logs
from mcppool.spec import ConfigError, default_snapshot
from mcppool.spec.address import with_port

if TYPE_CHECKING:
    from mcppool.discovery.source import Source
    from mcppool.pipeline.pool.pool import ServerPool

FIRST_ANSWER = 3.0  # seconds after which the command says that no server has answered yet
STOPPING = (signal.SIGINT, signal.SIGTERM)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the subcommand."""
    parser = subparsers.add_parser(
        "serve",
        help="run a gateway in front of servers",
        usage="%(prog)s [URL ...] [options]  |  %(prog)s [options] -- COMMAND [ARGUMENT ...]",
        description="Serve one MCP endpoint in front of MCP servers: the servers at the given URLs, replicas of a "
        "local program that speaks MCP on standard input and output, or the pools of a configuration file.",
    )
    parser.add_argument("urls", nargs="*", metavar="URL", help="an MCP server, such as http://127.0.0.1:8001/mcp")
    parser.add_argument(
        "--replicas", type=int, metavar="N", help="with -- COMMAND: number of its processes (default 3)"
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
        "--admin-port", type=int, metavar="PORT", help="port of metrics and health (default 9090); overrides --config"
    )
    parser.add_argument(
        "--no-auth",
        action="store_true",
        help="without --config: accept every client, also where --listen is not a loopback address",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM."""
    return serve(lambda: _source(args), args.config)


def serve(source: Callable[[], Source], config: Path | None = None) -> int:
    """Run a gateway until SIGINT or SIGTERM, and return the exit status. Prints errors."""
    try:
        return uvloop.run(_serve(source(), config))
    except ConfigError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"mcppool serve: {why_not_served(error)}", file=sys.stderr)
        return 1


def _source(args: argparse.Namespace) -> Source:
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
        return FileSource(args.config, flags=_flags(args))
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
    return FixedSource(
        default_snapshot(
            args.urls,
            command=args.local,
            replicas=args.replicas,
            listen=args.listen,
            admin_port=args.admin_port,
            env=dict(text.split("=", 1) for text in args.env if "=" in text),
            env_from=[text for text in args.env if "=" not in text],
            accept_everyone=args.no_auth,
        )
    )


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
    given = [flag for flag in ("--listen", "--admin-port") if getattr(args, flag[2:].replace("-", "_")) is not None]
    if given and (args.kubernetes or args.config.suffix == ".json"):
        raise SystemExit(f"mcppool serve: {given[0]} has no effect here: the snapshot says where to listen")


def _flags(args: argparse.Namespace) -> dict[str, Any]:
    """The sections of a file that the command line overrides."""
    flags: dict[str, Any] = {}
    if args.listen is not None:
        flags["listener"] = {"listen": args.listen}
    if args.admin_port is not None:
        flags["metrics"] = {"port": args.admin_port}
    return flags


async def _serve(source: Source, config: Path | None) -> int:
    logs.configure("info", "text")
    _take_all_files()
    loop = asyncio.get_running_loop()
    logs.handle_loop_exceptions(loop)
    stop = asyncio.Event()
    for number in STOPPING:
        loop.add_signal_handler(number, _stop, loop, stop)
    gateway = Gateway(source)
    loop.add_signal_handler(signal.SIGHUP, gateway.reload)
    try:
        await gateway.start()
        _settle_memory()
        _announce(gateway, config)
        telling = asyncio.create_task(_tell_first_answers(gateway), name="first answers")
        await stop.wait()
        telling.cancel()
    finally:
        await gateway.stop()
    return 0


async def _tell_first_answers(gateway: Gateway) -> None:
    """Tell for each pool whether its servers answer, once they do or after `FIRST_ANSWER` seconds; and again when a
    late pool gets its first answer."""
    await asyncio.gather(*(_tell_first_answer(name, pool) for name, pool in gateway.pools.items()))


async def _tell_first_answer(name: str, pool: ServerPool) -> None:
    try:
        async with asyncio.timeout(FIRST_ANSWER):
            await pool.warm.wait()
    except TimeoutError:
        print(f"{name}: {answers(pool)}", file=sys.stderr)
        await pool.warm.wait()
    print(f"{name}: {answers(pool)}", file=sys.stderr)


def _stop(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """The first signal drains; the next one ends the process at once, as signals do by default."""
    stop.set()
    for number in STOPPING:
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_DFL)


def _take_all_files() -> None:
    """Allow as many open files as the system lets us, not the 1,024 of a shell: each client and each server connection
    is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # a system that forbids "no limit"
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _settle_memory() -> None:
    """Keep the objects of the start out of garbage collection: they live as long as the process. Reference counts free
    the objects of calls; for the rest, the collector need not run often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _announce(gateway: Gateway, config: Path | None) -> None:
    if not gateway.pools:
        where = f"to {config}" if config else "as arguments"
        print(f"No pool is configured yet. Add [[pools]] with name and endpoints {where}.", file=sys.stderr)
    scheme = "https" if gateway.snapshot is not None and gateway.snapshot.listener.tls is not None else "http"
    names = list(gateway.pools)
    paths = ["/mcp"] if len(names) == 1 else [f"/{name}/mcp" for name in names]
    for path in paths:
        print(f"Serving MCP at {scheme}://{with_port(*gateway.address)}{path}", file=sys.stderr)
    if gateway.snapshot is not None and gateway.snapshot.provenance is not None:
        print(
            f"Profile {gateway.snapshot.provenance.profile}; `mcppool config` shows what is in force", file=sys.stderr
        )
    if gateway.admin_port is not None:
        tls = gateway.snapshot.metrics.tls if gateway.snapshot is not None else None
        scheme = "http" if tls is None else "https"
        print(f"Status page, health and metrics at {scheme}://127.0.0.1:{gateway.admin_port}/", file=sys.stderr)
