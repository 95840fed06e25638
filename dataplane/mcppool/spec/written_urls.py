"""URLs and host names that people write, and their checks: each must fit into the head of an HTTP request."""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, StringConstraints
from pydantic_core import PydanticCustomError

from mcppool.spec.address import can_be_looked_up, is_loopback, split_authority, without_brackets
from mcppool.spec.values import Hint

_HOST: Final = r'[!"$-.0->A-~]+'  # visible ASCII without `/?#@`
_ORIGIN: Final = rf"^https?://{_HOST}"
ORIGIN_PATTERN: Final = rf"{_ORIGIN}/?$"
ABSOLUTE_PATTERN: Final = rf'{_ORIGIN}(/[!"$->@-~]*)?$'
URL_PATTERN: Final = rf'{_ORIGIN}(/[!"$->@-~]*)?(\?[!"$-~]*)?$'


def split_url(url: str) -> SplitResult:
    """The parts of a URL whose host and port can be read. Raises PydanticCustomError."""
    try:
        parts = urlsplit(url)
        _host, port = parts.hostname, parts.port
    except ValueError:
        raise PydanticCustomError("url", "is not a URL") from None
    if port == 0:
        raise PydanticCustomError("url", "has port 0, on which nothing listens")
    return parts


def _split_http_url(url: str) -> SplitResult:
    if any(c <= " " or c == "\x7f" for c in url):
        raise PydanticCustomError("url", "has white space or control characters in it")
    if not url.isascii():
        raise PydanticCustomError("url", "is not ASCII: write the host as xn--…, and the rest percent-encoded")
    parts = split_url(url)
    if parts.hostname and not can_be_looked_up(parts.hostname):
        raise PydanticCustomError("url", "has a host with an empty part, or one of more than 63 characters")
    return parts


def _check_url(url: str) -> str:
    """Refuse anything but the plain address of a server, and name the wrong part."""
    parts = _split_http_url(url)
    if parts.scheme not in ("http", "https"):
        raise PydanticCustomError("url", "does not begin with http:// or https://")
    if "@" in parts.netloc:
        raise PydanticCustomError("url", "has a user name or password in it, and it would show in logs")
    if not parts.hostname:
        raise PydanticCustomError("url", "names no host")
    if "#" in url:
        raise PydanticCustomError("url", "has a fragment (#…), which no server ever sees")
    return url


def check_absolute_url(url: str) -> str:
    """Refuse anything but an absolute HTTP URL without user name, query and fragment."""
    parts = _split_http_url(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise PydanticCustomError("url", "is not an absolute URL")
    if "@" in parts.netloc:
        raise PydanticCustomError("url", "has a user name or password in it")
    if "?" in url or "#" in url:
        raise PydanticCustomError("url", "has a query or a fragment in it")
    return url


def check_trusted_url(url: str) -> str:
    """Refuse plain HTTP to another machine: an attacker on the path could answer with keys of their own."""
    check_absolute_url(url)
    parts = urlsplit(url)
    if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        raise PydanticCustomError("url", "must use https, except on a loopback address")
    return url


def _check_host_name(name: str) -> str:
    if not can_be_looked_up(without_brackets(split_authority(name)[0])):
        raise PydanticCustomError("address", "is not the name of a host")
    return name


Url = Annotated[
    str,
    StringConstraints(max_length=2048),
    AfterValidator(_check_url),
    Hint("a URL such as http://127.0.0.1:8001/mcp, without user name and fragment", URL_PATTERN),
]
AbsoluteUrl = Annotated[
    str,
    StringConstraints(max_length=2048),
    AfterValidator(check_absolute_url),
    Hint("a URL such as https://mcp.example.com/mcp, without query", ABSOLUTE_PATTERN),
]
TrustedUrl = Annotated[
    str,
    StringConstraints(max_length=2048),
    AfterValidator(check_trusted_url),
    Hint("an https URL without query", ABSOLUTE_PATTERN),
]
HostName = Annotated[
    str,
    StringConstraints(pattern=rf"^{_HOST}$", max_length=1024),
    AfterValidator(_check_host_name),
    Hint("the name of a host, such as search.example.com"),
]
"""A name for a `Host` header, with or without a port."""
