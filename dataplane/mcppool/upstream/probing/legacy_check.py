"""The handshake with a server of the legacy era, and the health check on a session."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress

import msgspec

from mcppool.upstream.failures import AttemptFailed
from mcppool.upstream.probing.failures import NOT_NOW, NOTHING_THERE, HandshakeRefused, ProbeFailed
from mcppool.upstream.probing.messages import MAX_VERSION, is_unknown_method, shown_error
from mcppool.upstream.probing.probe import CLIENT, LegacySession, Probe
from mcppool.wire.members import UNREADABLE
from mcppool.wire.versions import LATEST_LEGACY

_VERSION = re.compile(rf"[0-9A-Za-z.-]{{1,{MAX_VERSION}}}")
_NO_CAPABILITIES = msgspec.Raw(b"{}")


class _Initialized(msgspec.Struct):
    protocolVersion: str  # noqa: N815 (the wire's spelling)


_initialized = msgspec.json.Decoder(_Initialized)


async def open_legacy(
    probe: Probe,
    version: str = LATEST_LEGACY,
    capabilities: msgspec.Raw = _NO_CAPABILITIES,
    client: Mapping[str, str] | msgspec.Raw = CLIENT,
) -> LegacySession:
    """A session with a complete handshake: the prober's own, or with the parameters of a client whose session moves.

    Raises HandshakeRefused if the endpoint refuses it, ProbeFailed if it does not speak the legacy era.
    """
    params: dict[str, object] = {"protocolVersion": version, "capabilities": capabilities, "clientInfo": client}
    response, message = await probe.call("initialize", params, probe.mark if client is CLIENT else {})
    if isinstance(message.result, msgspec.UnsetType):
        what, error = f"initialize was answered with HTTP {response.status} and", shown_error(message.error)
        if error and response.status not in NOTHING_THERE:
            raise HandshakeRefused(f"{what} {error}", response.status)
        raise ProbeFailed(f"{what} an error", response.status)
    raw_id = response.header(b"mcp-session-id")
    session = LegacySession(raw_id.decode("latin-1") if raw_id else None, version)
    try:
        session.version = _negotiated_version(message.result)
        await probe.notify(session, "notifications/initialized")
    except (AttemptFailed, ProbeFailed):
        with suppress(AttemptFailed):
            await probe.end(session)
        raise
    return session


def _negotiated_version(result: msgspec.Raw) -> str:
    """Return the protocol version that the server has chosen, which becomes a header of each request of the session.

    Raises ProbeFailed if it is no possible version.
    """
    try:
        version = _initialized.decode(result).protocolVersion
    except UNREADABLE as error:
        raise ProbeFailed(f"initialize was answered with a broken result: {error}") from error
    if not _VERSION.fullmatch(version):
        raise ProbeFailed(f"initialize was answered with protocolVersion {version[:MAX_VERSION]!r}")
    return version


async def check_legacy(probe: Probe, session: LegacySession, method: str = "ping") -> bool:
    """Whether the server still knows the session, judged by the answer to `method`; an error is an answer, too.

    Raises AttemptFailed if no answer came, ProbeFailed where the server was not able to answer (5xx, 429).
    """
    try:
        response, message = await probe.legacy(session, method)
    except ProbeFailed as failure:
        if failure.status is None or not _forgets(failure.status):
            raise
        return False
    if not isinstance(message.result, msgspec.UnsetType) or is_unknown_method(message.error):
        return True
    if response.status >= 500 or response.status in NOT_NOW:
        raise ProbeFailed(f"{method} was answered with HTTP {response.status}", response.status)
    return not _forgets(response.status)


def _forgets(status: int) -> bool:
    """Whether a status says that the server does not know the session (404, or 400 from TypeScript servers)."""
    return 400 <= status < 500 and status not in NOT_NOW
