"""A bearer token in a file (RFC 6750)."""

from __future__ import annotations

import hmac
from typing import Final

from mcppool.small_file import read_small_file

MIN_LENGTH: Final = 16
"""Lower bound on the characters of a token: shorter ones can be guessed."""
MAX_LENGTH: Final = 4096
"""Upper bound on the bytes that are read of the file."""


def read_token(path: str) -> bytes:
    """The token in a file, without surrounding white space. Raises OSError, or ValueError if there is none."""
    token = read_small_file(path, MAX_LENGTH + 1).strip()
    if not MIN_LENGTH <= len(token) <= MAX_LENGTH or any(byte <= 0x20 or byte >= 0x7F for byte in token):
        raise ValueError(f"a token is one line of {MIN_LENGTH} to {MAX_LENGTH} visible ASCII characters")
    return token


class BearerToken:
    """The token of a file. The file is read each time, so a renewed token applies at once. Raises as `read_token`."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._token = read_token(path)

    def matches(self, authorization: str | None) -> bool:
        """Whether an `Authorization` header has the token, compared in constant time."""
        try:
            self._token = read_token(self._path)
        except (OSError, ValueError):
            pass  # it is being written, or gone: the last one stays
        scheme, _, token = (authorization or "").partition(" ")
        shown = token.strip().encode(errors="surrogateescape")  # a server decodes bytes that are no UTF-8 like this
        return hmac.compare_digest(shown, self._token) and scheme.lower() == "bearer"
