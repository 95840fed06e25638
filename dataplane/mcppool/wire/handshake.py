"""The version that a client offers in a handshake."""

from __future__ import annotations

from typing import Final

import msgspec

from mcppool.wire.errors import BadEnvelope
from mcppool.wire.members import UNREADABLE
from mcppool.wire.places import raw_at, replace_at
from mcppool.wire.versions import LATEST_LEGACY, MODERN_VERSIONS

_OFFERED: Final = ("params", "protocolVersion")
_decode_text = msgspec.json.Decoder(str).decode


def offer_handshake_version(body: bytes) -> bytes:
    """An `initialize` request that offers a version with a handshake: the newest one in place of a modern version.

    A modern version has no handshake, so most servers answer with one that has. Some accept it anyway, such as those on
    the Rust SDK 1.x. Their clients then send modern requests, which the gateway refuses for legacy servers.
    """
    try:
        offered = raw_at(body, _OFFERED)
        if offered is None or _decode_text(offered) not in MODERN_VERSIONS:
            return body
        return replace_at(body, _OFFERED, b'"%b"' % LATEST_LEGACY.encode())
    except (BadEnvelope, *UNREADABLE):
        return body  # the server judges it
