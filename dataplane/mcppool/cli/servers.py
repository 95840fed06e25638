"""The MCP server that a command talks to: a URL, a pool of a configuration file, or a local program."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from mcppool.cli.output import print_json, wants_json
from mcppool.cli.parsing import Parser, seconds
from mcppool.cli.program_words import ProgramWords, program_words
from mcppool.cli.progress import Progress, progress
from mcppool.cli.terminal import printable_lines
from mcppool.version import __version__
from mcppool.wire.errors import INTERNAL_ERROR, INVALID_PARAMS, Reason

if TYPE_CHECKING:
    from mcppool.client.pool import Pool

OK: Final = 0
FAILED: Final = 1
WRONG_USAGE: Final = 2
STATUSES: Final = "Exit status 0: done; 1: the server refuses it, or does not answer; 2: wrong usage."
TARGET: Final = (
    "URL is that of an MCP server or gateway, or the name of a configuration file: then its pool, with all its "
    "endpoints and settings. A local program is started after --."
)

CREDENTIALS: Final = (
    "set credentials in auth.outbound or headers.send",
    "give a credential with --token-file or --header",
)
"""The remedy of a configuration, and that of a command with a URL."""

Work = Callable[["Pool", Progress], Awaitable[int]]


class WrongUsage(Exception):
    """Arguments that do not go together; the text names them."""


def add_server_argument(parser: Parser) -> None:
    """Declare the server."""
    parser.add_argument(
        "url", metavar="URL", nargs="?", help="such as http://127.0.0.1:8080/mcp; or a configuration file"
    )


def add_server_options(parser: Parser) -> None:
    """Declare how a command reaches its server."""
    parser.add_argument("--pool", metavar="NAME", help="pool of the configuration file, if it has several")
    token = parser.add_mutually_exclusive_group()
    token.add_argument(
        "--token", metavar="TOKEN", help="bearer token for the server; others see it in the list of processes"
    )
    token.add_argument("--token-file", metavar="FILE", help="file with a bearer token for the server")
    parser.add_argument(
        "--header", action="append", default=[], metavar="'NAME: VALUE'", help="header for the server; may be repeated"
    )
    parser.add_argument("--ca-file", metavar="FILE", help="certificate authorities to trust in place of the system's")
    parser.add_argument("--certificate-file", metavar="FILE", help="client certificate for the server")
    parser.add_argument("--key-file", metavar="FILE", help="private key of that certificate")
    parser.add_argument(
        "--env", action="append", default=[], metavar="NAME[=VALUE]",
        help="with -- COMMAND: set an environment variable of COMMAND, or pass on one without VALUE; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--timeout", type=seconds, default=60.0, metavar="SECONDS", help="give up after this time (default 60)"
    )


def place_of(args: argparse.Namespace) -> str:
    """The server in words, for messages."""
    return " ".join(args.local) if args.local else str(args.url)


def talk(command: str, args: argparse.Namespace, work: Work) -> int:
    """Open a pool of the server, do `work` with it within `--timeout`, and return the exit status. Prints errors."""
    with program_words() as words:
        return _talk(command, args, work, words)


def _talk(command: str, args: argparse.Namespace, work: Work, words: ProgramWords) -> int:
    from mcppool.client.errors import CallFailed, InputRequired, RpcError  # here, because these take long to load
    from mcppool.spec import ConfigError
    from mcppool.upstream.stdio.replicas import HOST

    place = place_of(args)
    document: dict[str, Any] = {}
    try:
        return asyncio.run(_open(args, work))
    except WrongUsage as error:
        _say(command, str(error))
        return WRONG_USAGE
    except ConfigError as error:
        for problem in error.problems:
            _say(command, _in_flags(str(problem)))
        return WRONG_USAGE
    except CallFailed as failure:
        data = {"reason": failure.reason, "delivered": failure.delivered, "attempts": failure.attempts}
        why = failure.cause or str(failure.args[0])
        if args.local:
            why = why.replace(f"http://{command}-0.{HOST}/mcp", place)
        elif _is_url(args.url):
            why = why.replace(*CREDENTIALS)
        document = {"code": INTERNAL_ERROR, "message": why, "data": data}
        _say(command, f"{why if place in why else f'{place}: {why}'}{words}")
    except RpcError as error:
        document = {"code": error.code, "message": error.message, "data": error.data}
        _say(command, f"{place}: the server answers: {error}")
    except InputRequired as asked:
        document = asked.result.model_dump(mode="json", by_alias=True, exclude_unset=True)
        _say(command, f"{place}: {asked}")
    except TimeoutError:
        why = f"no answer within {args.timeout:g} s (--timeout)"
        document = {"code": INTERNAL_ERROR, "message": why, "data": {"reason": Reason.TIMEOUT}}
        _say(command, f"{place}: {why}")
    _show_error(args, document)
    return FAILED


def note(args: argparse.Namespace, message: str) -> None:
    """Say something that the user may want to know, and that is no error."""
    _say(args.command, f"{place_of(args)}: note: {message}")


def complain(args: argparse.Namespace, message: str) -> int:
    """Say what is wrong at the server, and return the exit status."""
    _say(args.command, f"{place_of(args)}: {message}")
    _show_error(args, {"code": INVALID_PARAMS, "message": message})
    return FAILED


def _show_error(args: argparse.Namespace, document: dict[str, Any]) -> None:
    """Print an error for a program, if the output is for one."""
    if wants_json(args):
        print_json({key: value for key, value in document.items() if value is not None})


def shift(args: argparse.Namespace, *following: str) -> None:
    """Give the first arguments their meaning where a local program takes the place of URL: each moves by one."""
    if not args.local:
        return
    words = [getattr(args, name) for name in ("url", *following)]
    args.url = None
    for name, word in zip(following, words, strict=False):
        setattr(args, name, word)
    if words[-1]:
        raise SystemExit(f"mcppool {args.command}: give URL or a command after --, not both")


def _say(command: str, message: str) -> None:
    print(f"mcppool {command}: {printable_lines(message)}", file=sys.stderr)


async def _open(args: argparse.Namespace, work: Work) -> int:
    pool = pool_of(args)
    async with asyncio.timeout(args.timeout), progress(f"connecting to {place_of(args)}") as shown, pool:
        return await work(pool, shown)


def pool_of(args: argparse.Namespace) -> Pool:
    """The pool of the arguments. Raises WrongUsage and ConfigError."""
    from mcppool.client.pool import Pool

    about = {"name": f"mcppool {args.command}", "version": __version__}
    _check(args)
    if args.local:
        given = dict(text.split("=", 1) for text in args.env if "=" in text)
        passed = [text for text in args.env if "=" not in text]
        return Pool(
            name=str(args.command), profile="development", client_info=about,
            command=list(args.local), replicas=1, env=given, env_from=passed,
        )  # fmt: skip
    if not _is_url(args.url):
        return Pool.from_config(args.url, args.pool, client_info=about)
    return Pool([args.url], name=str(args.command), profile="development", client_info=about, **_sections(args))


def _check(args: argparse.Namespace) -> None:
    """Refuse arguments that have no effect together. Drop those from the environment, which serves many commands."""
    idle: tuple[str, ...]
    about_urls = ("token", "token_file", "header", "ca_file", "certificate_file", "key_file")
    if args.local:
        idle, why = ("pool", *about_urls), "is not for a local program"
    elif args.url is None:
        raise WrongUsage("URL is missing: the URL of a server, a configuration file, or -- and a command")
    elif _is_url(args.url):
        idle, why = ("pool", "env"), "is not for a URL"
    elif not os.path.exists(args.url):
        raise WrongUsage(
            f"URL: {args.url!r} is not a URL such as http://127.0.0.1:8080/mcp, nor the name of a configuration file"
        )
    else:
        idle, why = ("env", *about_urls), "is not for a configuration file, which has its own settings"
    for name in idle:
        if getattr(args, name):
            if name not in args.from_environment:
                raise WrongUsage(f"--{name.replace('_', '-')} {why}")
            setattr(args, name, None)
    args.env = args.env or []
    args.header = args.header or []


def _is_url(text: str) -> bool:
    return "://" in text


def _sections(args: argparse.Namespace) -> dict[str, Any]:
    """The sections of the pool that these options stand for."""
    sections: dict[str, Any] = {}
    sent: dict[str, Any] = {}
    for line in args.header:
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise WrongUsage(f"--header: {name!r} is not NAME: VALUE, such as 'X-Team: search'")
        sent[name.strip()] = value.strip()
    if args.token is not None:
        sent["Authorization"] = {"value": args.token, "prefix": "Bearer "}
    if sent:
        sections["headers"] = {"send": sent}
    if args.token_file is not None:
        sections["auth"] = {"outbound": {"type": "token", "token": {"token_file": args.token_file}}}
    tls = {name: getattr(args, name) for name in ("ca_file", "certificate_file", "key_file") if getattr(args, name)}
    if tls:
        sections["tls"] = tls
    return sections


def _in_flags(problem: str) -> str:
    """A problem of the pool, in the words of the command line."""
    for key, flag in (
        ("auth.outbound.token.token_file", "--token-file"),
        ("headers.send.Authorization", "--token or --header Authorization"),
        ("headers.send.", "--header "),
        ("tls.ca_file", "--ca-file"),
        ("tls.certificate_file", "--certificate-file"),
        ("tls.key_file", "--key-file"),
    ):
        problem = problem.replace(f"pools[0].{key}", flag).replace(key, flag)
    return problem.replace("mcppool.Pool: ", "").replace("pools[0].endpoints[0].url", "URL")
