"""A part of a body in the chunked coding that ends where a chunk ends."""

from __future__ import annotations

import re
from typing import Final

MAX_CHUNKS: Final = 64
"""Chunks that are taken apart here. The parser reads a part with more of them."""
LAST_CHUNK: Final = b"0\r\n\r\n"

_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,8})\r\n")


def whole_chunks(data: bytes, at: int) -> tuple[bytes, bool] | None:
    """The content of the chunks that are exactly `data[at:]`, and whether the last chunk of the body is among them.

    None for everything else: a part of a chunk, chunk extensions, trailers, bytes behind the body.
    """
    end = len(data)
    parts: list[bytes] = []
    while at < end:
        size = _SIZE.match(data, at)
        if size is None or len(parts) > MAX_CHUNKS:
            return None
        begin = size.end()
        at = begin + int(size[1], 16)
        if at == begin:
            return (_joined(parts), True) if data.endswith(LAST_CHUNK) and begin + 2 == end else None
        if not data.startswith(b"\r\n", at):
            return None
        parts.append(data[begin:at])
        at += 2
    return _joined(parts), False


def _joined(parts: list[bytes]) -> bytes:
    return parts[0] if len(parts) == 1 else b"".join(parts)
