"""The certificate that the client of one connection has shown."""

from __future__ import annotations

import asyncio
import hashlib


class ClientCertificate:
    """Verified by the TLS handshake; read when it is asked for."""

    __slots__ = ("_der", "_thumbprint", "_transport")

    def __init__(self, transport: asyncio.BaseTransport | None) -> None:
        self._transport = transport
        self._der: bytes | None = None
        self._thumbprint: bytes | None = None

    @property
    def der(self) -> bytes:
        """The certificate; empty if the client has shown none."""
        if self._der is None:
            tls = self._transport.get_extra_info("ssl_object") if self._transport is not None else None
            self._der = (tls.getpeercert(binary_form=True) if tls is not None else None) or b""
        return self._der

    @property
    def thumbprint(self) -> bytes:
        """The SHA-256 of the certificate; empty if the client has shown none."""
        if self._thumbprint is None:
            der = self.der
            self._thumbprint = hashlib.sha256(der).digest() if der else b""
        return self._thumbprint
