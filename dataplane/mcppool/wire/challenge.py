"""`WWW-Authenticate`: the URL of the metadata that a server's challenge names (RFC 9728 §5.1)."""

from __future__ import annotations

import re
from typing import Final

MAX_LENGTH: Final = 2048
"""Upper bound in bytes on a URL; a longer one is ignored."""
_PARAMETER: Final = re.compile(rb'([A-Za-z0-9_-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_ESCAPED: Final = re.compile(rb"\\(.)")


def resource_metadata(challenge: bytes) -> str | None:
    """The value of the first `resource_metadata` in a challenge of any scheme; None if there is none.

    Quoted strings are read as a whole, so words in an error's description count for nothing.
    """
    for name, quoted, token in _PARAMETER.findall(challenge):
        if name.lower() == b"resource_metadata":
            value: bytes = _ESCAPED.sub(rb"\1", quoted) or token
            return value.decode("ascii") if len(value) <= MAX_LENGTH and value.isascii() else None
    return None
