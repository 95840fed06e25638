"""The health check of a server of the modern era: `server/discover`."""

from __future__ import annotations

import msgspec

from mcppool.upstream.probing.failures import NOT_NOW, NotModern, ProbeFailed
from mcppool.upstream.probing.messages import ERROR, MAX_VERSION
from mcppool.upstream.probing.probe import Probe
from mcppool.wire.errors import HEADER_MISMATCH, INTERNAL_ERROR, MISSING_CLIENT_CAPABILITY, UNSUPPORTED_VERSION
from mcppool.wire.members import UNREADABLE
from mcppool.wire.versions import LATEST_MODERN

MAX_VERSIONS = 5  # versions that a message lists of those a server offers
_BAD_MOMENT = (INTERNAL_ERROR, HEADER_MISMATCH, MISSING_CLIENT_CAPABILITY)


class _Discover(msgspec.Struct):
    supportedVersions: list[str]  # noqa: N815 (the wire's spelling)


class _Versions(msgspec.Struct):
    supported: list[str] = []


_discover = msgspec.json.Decoder(_Discover)
_versions = msgspec.json.Decoder(_Versions)


async def check_modern(probe: Probe) -> bytes:
    """The raw `server/discover` result.

    Raises NotModern if the endpoint clearly does not speak the modern era, ProbeFailed where the answer leaves that
    open.
    """
    try:
        response, message = await probe.modern("server/discover")
    except ProbeFailed as failure:
        if failure.status is not None and _refuses(failure.status):
            raise NotModern(str(failure), failure.status) from failure
        raise
    if isinstance(message.result, msgspec.UnsetType):
        what = f"server/discover was answered with HTTP {response.status} and an error"
        if _refuses(response.status, message.error):
            raise NotModern(what, response.status)
        raise ProbeFailed(what, response.status)
    try:
        versions = _discover.decode(message.result).supportedVersions
    except UNREADABLE as error:
        raise ProbeFailed(f"server/discover was answered with a broken result: {error}") from error
    if LATEST_MODERN not in versions:
        shown = ", ".join(version[:MAX_VERSION] for version in versions[:MAX_VERSIONS])
        raise NotModern(f"server/discover offers {shown or 'no version'}")
    return bytes(message.result)


def _refuses(status: int, error: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET) -> bool:
    """Whether an answer to `server/discover` without a result is a refusal.

    A passing fault of the server is none, nor is an error that only the modern era has: a modern server that is taken
    for a legacy one makes its clients legacy for their lives.
    """
    if status >= 500 or status in NOT_NOW:
        return False
    if isinstance(error, msgspec.UnsetType):
        return status >= 400
    try:
        seen = ERROR.decode(error)
        if seen.code == UNSUPPORTED_VERSION:
            return LATEST_MODERN not in _versions.decode(seen.data).supported
    except UNREADABLE:
        return True
    return seen.code not in _BAD_MOMENT
