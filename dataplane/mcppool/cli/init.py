"""`mcppool init`: a commented configuration file from servers, or from answers."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shlex
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mcppool.cli.parsing import Commands, Parser, count, port, seconds
from mcppool.cli.terminal import printable, printable_lines

if TYPE_CHECKING:
    from mcppool.cli.first_look import Look
    from mcppool.cli.starter_file import Answers

OK: Final = 0
FAILED: Final = 1
WRONG_USAGE: Final = 2
LISTEN: Final = "127.0.0.1:8080"


def add_parser(subparsers: Commands[Parser]) -> None:
    """Declare the subcommand."""
    parser = subparsers.add_parser(
        "init",
        help="write a commented configuration file for your servers",
        usage="%(prog)s [URL ...] [options]  |  %(prog)s [options] -- COMMAND [ARGUMENT ...]",
        description="Ask the servers what they are, and write a configuration file with comments about them. Without "
        "URLs and COMMAND it asks questions, on a terminal. Exit status 0: written; 1: not written; 2: wrong usage.",
        examples=(
            "mcppool init",
            "mcppool init http://127.0.0.1:8001/mcp http://127.0.0.1:8002/mcp",
            "mcppool init --into search.toml --name search -- npx -y @modelcontextprotocol/server-everything",
        ),
    )
    parser.add_argument("urls", nargs="*", metavar="URL", help="a replica, such as http://127.0.0.1:8001/mcp")
    parser.add_argument(
        "--into", type=Path, default=Path("pools.toml"), metavar="FILE", help="the file to write (default pools.toml)"
    )
    parser.add_argument("--force", action="store_true", help="replace the file if it exists")
    parser.add_argument("--name", metavar="NAME", help="name of the pool (default: that of the server)")
    parser.add_argument("--listen", metavar="HOST:PORT", help=f"where clients connect (default {LISTEN})")
    parser.add_argument(
        "--admin-port", type=port, default=9090, metavar="PORT", help="port of metrics and health (default 9090)"
    )
    parser.add_argument(
        "--replicas", type=count, default=3, metavar="N", help="with -- COMMAND: number of its processes (default 3)"
    )
    parser.add_argument("--token-file", metavar="FILE", help="file with a bearer token for the servers")
    parser.add_argument(
        "--timeout", type=seconds, default=60.0, metavar="SECONDS", help="patience with each server (default 60)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the file and return the exit status."""
    from mcppool.spec import ConfigError  # here, because it takes long to load

    if args.urls and args.local:
        return _refuse("give URLs or a command, not both")
    if args.into.exists() and not args.force:
        print(f"mcppool init: {args.into} exists: --force replaces it, --into names another file", file=sys.stderr)
        return FAILED
    asking = not args.urls and not args.local
    if asking and not (sys.stdin.isatty() and sys.stderr.isatty()):
        return _refuse("give the URLs of your servers, or -- and a command; questions need a terminal")
    try:
        if asking:
            args.urls, args.local = _ask_servers()
        return _write(args, asking=asking)
    except ConfigError as error:
        for problem in error.problems:
            print(f"mcppool init: {problem}", file=sys.stderr)
        return WRONG_USAGE
    except (EOFError, KeyboardInterrupt):
        print("\nmcppool init: nothing is written", file=sys.stderr)
    except OSError as error:
        print(f"mcppool init: {args.into} cannot be written: {error.strerror}", file=sys.stderr)
    return FAILED


def _write(args: argparse.Namespace, *, asking: bool) -> int:
    """Look at the servers, ask for the rest, write the file. Raises ConfigError, EOFError and OSError."""
    from mcppool.cli.first_look import look_at
    from mcppool.cli.starter_file import Answers, differences, name_from, starter_file
    from mcppool.spec import loads_toml

    def answers(name: str, listen: str) -> Answers:
        urls, command = tuple(args.urls), tuple(args.local)
        return Answers(name, listen, args.admin_port, urls, command, args.replicas, args.token_file)

    _check(answers(args.name or "default", args.listen or LISTEN))  # before the servers are asked
    looks = asyncio.run(look_at(args.urls, args.local, args.token_file, args.timeout))
    for place, look in zip(args.urls or [" ".join(args.local)], looks, strict=True):
        print(_told(place, look), file=sys.stderr)
    for sentence in differences(looks):
        print(f"note: {sentence}", file=sys.stderr)
    name, listen = args.name or name_from(looks), args.listen or LISTEN
    if asking:
        name = args.name or _ask("Name of the pool", name)
        listen = args.listen or _ask("Where clients connect", listen)
    chosen = answers(name, listen)
    _check(chosen)
    text = starter_file(chosen, looks, str(args.into))
    loads_toml(text, str(args.into))
    _save(args.into, text, replace=args.force)
    print(f"{args.into} is written. Next: mcppool serve --config {args.into}", file=sys.stderr)
    return OK


def _check(answers: Answers) -> None:
    """Raise ConfigError if the answers cannot be a configuration."""
    from mcppool.spec.file_reader import read_data

    servers = {"command": list(answers.command)} if answers.command else {"endpoints": list(answers.urls)}
    data = {"listener": {"listen": answers.listen}, "metrics": {"port": answers.admin_port}}
    read_data({**data, "pools": [{"name": answers.name, **servers}]}, {}, "arguments")


def _ask_servers() -> tuple[list[str], list[str]]:
    """The URLs of the servers, or the command of a local one. Raises EOFError."""
    print(
        "URLs of your MCP servers, one on each line; or the command of a local one. An empty line ends.",
        file=sys.stderr,
    )
    urls: list[str] = []
    while True:
        line = _ask("Server" if not urls else "Next replica")
        if not line and urls:
            return urls, []
        if line and not urls and "://" not in line.split()[0]:
            return [], shlex.split(line)
        if line:
            urls.append(line)


def _ask(question: str, default: str = "") -> str:
    """One line of the terminal; the default if it is empty. Raises EOFError."""
    print(f"{question} [{default}]: " if default else f"{question}: ", end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.strip() or default


def _told(place: str, look: Look) -> str:
    if look.trouble:
        trouble = printable_lines(look.trouble)
        return trouble if place in trouble else f"{place}: did not answer: {trouble}"
    tools = "1 tool" if len(look.tools) == 1 else f"{len(look.tools)} tools"
    kind = "stateless" if look.era == "modern" else "with sessions"
    return f"{place}: {printable(look.name) or 'a server without a name'}, {kind}, {tools}"


def _refuse(message: str) -> int:
    print(f"mcppool init: {message}", file=sys.stderr)
    return WRONG_USAGE


def _save(path: Path, text: str, *, replace: bool) -> None:
    """Write the file as a whole. Raises OSError; also if it exists and must not be replaced."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(name, 0o644)
        if replace:
            os.replace(name, path)
        else:
            os.link(name, path)  # fails if the file has come meanwhile
            os.unlink(name)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
