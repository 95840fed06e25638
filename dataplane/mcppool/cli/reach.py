"""The reason why an address cannot be reached or listened on, in a sentence for the user."""

from __future__ import annotations

import errno
import re

from mcppool.tls_failure import tls_failure

_BIND = re.compile(r"bind on address \('([^']*)', ([0-9]+)")


def why_unreachable(error: BaseException) -> str:
    """The meaning of an HTTP client's error."""
    import aiohttp  # here, because only some subcommands need it, and it takes long to load

    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"the host {error.host} is not found"
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.errno == errno.ECONNREFUSED:
        return f"connection refused: nothing listens at {error.host}:{error.port}"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the connection was closed without an answer"
    return tls_failure(error) or str(error) or "no answer in time"


def why_not_served(error: OSError) -> str:
    """The meaning of an error at the start of a gateway."""
    if (address := _BIND.search(str(error))) is None:
        return str(error)
    place = f"{address[1]}:{address[2]}"
    if error.errno == errno.EADDRINUSE:
        return f"{place} is in use: stop the program that listens there, or set --listen or --admin-port"
    if error.errno == errno.EACCES:
        return f"{place} is not allowed: this user may not listen on port {address[2]}"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{place} is not an address of this machine"
    return str(error)
