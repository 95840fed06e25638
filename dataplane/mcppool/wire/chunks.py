"""A body in the chunked coding that has come whole."""

from __future__ import annotations

import re
from typing import Final

MAX_CHUNKS: Final = 64
"""Chunks that are joined here. The parser reads a body with more of them."""

_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,8})\r\n")
_END: Final = b"\r\n0\r\n\r\n"


def whole_body(data: bytes, at: int) -> bytes | None:
    """The body whose chunks are exactly `data[at:]`.

    None for everything else: an unfinished body, an empty one, chunk extensions, trailers, bytes after the body.
    """
    if not data.endswith(_END):
        return None
    last = len(data) - len(_END)
    parts: list[bytes] = []
    while (size := _SIZE.match(data, at)) is not None:
        begin = size.end()
        at = begin + int(size[1], 16)
        if at == begin:
            return None
        parts.append(data[begin:at])
        if at == last:
            return parts[0] if len(parts) == 1 else b"".join(parts)
        if len(parts) == MAX_CHUNKS or not data.startswith(b"\r\n", at):
            return None
        at += 2
    return None
