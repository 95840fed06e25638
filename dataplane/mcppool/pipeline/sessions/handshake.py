"""The handshake of a session: the client's parameters and the version that the server has chosen.

Clients send odd values here (a version that is a number, no name, 4 MB of capabilities), and a server without a gateway
in front judges them itself. So nothing here fails: a value that cannot be kept is left out or cut.
"""

from __future__ import annotations

from typing import Final

import msgspec

from mcppool.wire.members import UNREADABLE, readable
from mcppool.wire.versions import ASSUMED_LEGACY

MAX_CLIENT_INFO: Final = 512
"""Upper bound in bytes on a kept `clientInfo`; of a larger one only name and version are kept, `MAX_NAME` characters
each."""

MAX_NAME: Final = 64
_MAX_VERSION: Final = 32  # upper bound on the characters of a protocol version
NOBODY: Final = b'{"name":"client","version":"0"}'
"""Stands for a `clientInfo` that cannot be kept: the protocol requires a name and a version."""

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TEXT = msgspec.json.Decoder(str)


def client_parameters(body: bytes) -> tuple[bytes, bytes]:
    """The raw JSON of `capabilities` and of `clientInfo` of an `initialize` request, the latter cut if long."""
    params = _members(_members(body).get("params", b""))
    info = params.get("clientInfo", b"")
    return params.get("capabilities", b"{}"), info if 0 < len(info) <= MAX_CLIENT_INFO else _cut(info)


def negotiated_version(body: bytes) -> str | None:
    """The version in an answer to `initialize`; None if it is an error. An invalid version becomes the one that the
    protocol assumes by default."""
    result = _members(body).get("result")
    if result is None:
        return None
    version = _text(_members(result).get("protocolVersion", b""))
    return version if version is not None and 0 < len(version) <= _MAX_VERSION else ASSUMED_LEGACY


def _cut(info: bytes) -> bytes:
    members = _members(info)
    name, version = (_text(members.get(key, b"")) for key in ("name", "version"))
    if name is None and version is None:
        return NOBODY
    return msgspec.json.encode({"name": (name or "client")[:MAX_NAME], "version": (version or "0")[:MAX_NAME]})


def _members(raw: bytes) -> dict[str, bytes]:
    try:
        return {name: bytes(value) for name, value in _OBJECT.decode(readable(raw)).items()}
    except UNREADABLE:
        return {}


def _text(raw: bytes) -> str | None:
    try:
        text = _TEXT.decode(raw)
        text.encode()
    except UNREADABLE:
        return None
    return text
