"""Requests to the admin port of a running gateway."""

from __future__ import annotations

import argparse
import ssl
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from mcppool.cli.answers import json_object, read_body
from mcppool.cli.parsing import Parser
from mcppool.observe.bearer_token import read_token
from mcppool.tls_files import UnusableTlsFile, client_context

DEFAULT_URL = "http://127.0.0.1:9090"
PATIENCE = 5.0
"""Seconds within which the gateway must answer."""
NOT_OURS = "this is not a gateway's admin port, or not one of this version"


def add_address_options(parser: Parser) -> None:
    """Declare the address of the admin port, and how to get in there. The environment variables of these arguments
    begin with `MCPPOOL_ADMIN_`: servers have tokens and certificates of their own."""
    parser.add_argument(
        "url",
        metavar="ADMIN_URL",
        nargs="?",
        default=DEFAULT_URL,
        help=f"address of its admin port (default {DEFAULT_URL})",
    )
    for option, what in (
        ("--ca-file", "certificate authorities to trust for the gateway, in place of the system's"),
        ("--certificate-file", "client certificate for the gateway (metrics.tls.client_ca_file)"),
        ("--key-file", "private key of that certificate"),
    ):
        parser.add_argument(option, metavar="FILE", help=what)
    parser.add_argument(
        "--token-file", metavar="FILE", help="file with the token that the gateway requires (metrics.token_file)"
    )
    for name in ("url", "ca_file", "certificate_file", "key_file", "token_file"):
        parser.variable(name, f"ADMIN_{name.upper()}")


def tls_of(args: argparse.Namespace) -> ssl.SSLContext | None:
    """The TLS settings of the options. Raises ValueError if a file cannot be used."""
    if args.ca_file is None and args.certificate_file is None:
        return None
    try:
        return client_context(args.ca_file, args.certificate_file, args.key_file)
    except UnusableTlsFile as error:
        raise ValueError(f"--{error.key.replace('_', '-')}: {error}") from None


async def fetch(
    url: str, path: str, key: str, token_file: str | None = None, tls: ssl.SSLContext | None = None
) -> dict[str, Any]:
    """The JSON object at `path`, which must have `key`. Raises ValueError if something else answers."""
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError(f"is not an address such as {DEFAULT_URL}")
    import aiohttp  # here, because it takes as long to load as everything else that a subcommand needs

    headers = {} if token_file is None else {"Authorization": f"Bearer {_token(token_file)}"}
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    async with (
        aiohttp.ClientSession(timeout=timeout, headers=headers) as session,
        session.get(url.rstrip("/") + path, ssl=True if tls is None else tls) as response,
    ):
        if response.status == 401:
            if token_file is not None:
                raise ValueError(f"the gateway refuses the token in {token_file}: it is not that of metrics.token_file")
            raise ValueError("the gateway requires the token of metrics.token_file: give --token-file")
        if response.status == 403:
            raise ValueError("the gateway requires a client certificate: give --certificate-file")
        if response.status != 200 or response.content_type != "application/json":
            raise ValueError(f"HTTP {response.status}: this is not a gateway's admin port")
        data = await read_body(response)
    try:
        body = json_object(data)
    except ValueError as error:
        raise ValueError(NOT_OURS) from error
    if key not in body:
        raise ValueError(NOT_OURS)
    return body


def _token(path: str) -> str:
    """The token in a file. Raises ValueError."""
    try:
        return read_token(path).decode()
    except OSError as error:
        raise ValueError(f"--token-file: {path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"--token-file: {path}: {error}") from None


def rendered(render: Callable[[dict[str, Any]], str], body: dict[str, Any]) -> str:
    """Return what `render` makes of an answer. Raises ValueError if a part of the answer is missing or of a wrong
    type."""
    try:
        return render(body)
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(NOT_OURS) from error


def printable(text: str) -> str:
    """Return the text with `?` for each character that could control the terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)
