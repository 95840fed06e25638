"""Messages for a client of one era at servers of the other era."""

from __future__ import annotations

from typing import Final

SERVERS_ARE_LEGACY: Final = (
    "This request is of the modern era of MCP (2026-07-28, without a handshake); the servers of this pool speak the"
    " legacy era only (2025-03-26 to 2025-11-25, beginning with initialize). Use a client, or a mode of it, that falls"
    " back to initialize, or newer servers."
)

SERVERS_ARE_MODERN: Final = (
    "This client speaks the legacy era of MCP (2025-03-26 to 2025-11-25, beginning with initialize); the servers of"
    " this pool speak the modern era only (2026-07-28, without a handshake). Use a client that speaks 2026-07-28, or"
    " servers that accept initialize, too."
)
