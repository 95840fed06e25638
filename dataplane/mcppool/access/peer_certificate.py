"""The certificate that the client of a connection has shown."""

from __future__ import annotations

from typing import Protocol


class PeerCertificate(Protocol):
    """The verified certificate of a connection's client."""

    @property
    def der(self) -> bytes:
        """The certificate itself; empty if the client has sent none."""

    @property
    def thumbprint(self) -> bytes:
        """Its SHA-256; empty if the client has sent none."""
