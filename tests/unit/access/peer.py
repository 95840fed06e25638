"""A client's side of a TLS handshake, without one."""

from __future__ import annotations

import hashlib


class Peer:
    """A connection whose client has shown this certificate."""

    def __init__(self, der: bytes) -> None:
        self.der = der
        self.thumbprint = hashlib.sha256(der).digest() if der else b""


NO_CERTIFICATE = Peer(b"")
