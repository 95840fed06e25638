"""The cause of a failed TLS handshake, in words: those of the library name its source files and not the remedy."""

from __future__ import annotations

import ssl
from typing import Final

NOT_TLS: Final = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST")
"""Words of the library for a peer that answers in plain text; its version decides which."""


def tls_failure(error: BaseException) -> str | None:
    """Why the handshake with a server failed; None if it was not the handshake."""
    failure = error.__cause__ if isinstance(error.__cause__, ssl.SSLError) else error  # aiohttp's own errors say less
    if isinstance(failure, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {failure.verify_message.rstrip('.')}"
    if not isinstance(failure, ssl.SSLError):
        return None
    if failure.reason in NOT_TLS:
        return "it does not speak TLS: use http:// in place of https://"
    return f"TLS fails: {failure.reason or failure}"
