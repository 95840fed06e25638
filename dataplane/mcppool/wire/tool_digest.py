"""The digest of a tool's definition: of exactly the members that a model reads."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Final

import msgspec

from mcppool.wire.canonical_json import parsed, write
from mcppool.wire.members import UNREADABLE, readable
from mcppool.wire.places import place_of, replace_at

DEFINITION: Final = ("name", "title", "description", "inputSchema", "outputSchema", "annotations")
"""The members of a tool that its digest covers."""
PREFIX: Final = "sha256:"
MAX_TOOL: Final = 4 << 20
"""Bytes of a tool above which its digest is that of its bytes: sorting it would take too long in one step."""

_tools = msgspec.json.Decoder(list[msgspec.Raw])


def tool_digest(raw: bytes) -> str:
    """The SHA-256 of a tool's definition in canonical form (RFC 8785). A definition without a canonical form, such as
    an object with a name twice, has the digest of its bytes, so that it equals no other."""
    try:
        if len(raw) > MAX_TOOL:
            raise ValueError
        tool = parsed(raw)
        form = write({name: tool[name] for name in DEFINITION if name in tool})
    except (ValueError, TypeError, KeyError, RecursionError):
        form = b"\0" + raw
    return PREFIX + sha256(form).hexdigest()


def with_tools(body: bytes, keep: Callable[[bytes], bool]) -> bytes:
    """A `tools/list` answer with only the tools that `keep` accepts; the same object if that is all of them. An answer
    whose tools cannot be read is left with none. Raises BadEnvelope as `place_of` does."""
    place = place_of(body, ("result", "tools"))
    if place is None:
        return body
    try:
        tools = [bytes(tool) for tool in _tools.decode(readable(bytes(body[place[0] : place[1]])))]
    except UNREADABLE:
        return replace_at(body, ("result", "tools"), b"[]")
    kept = [tool for tool in tools if keep(tool)]
    if len(kept) == len(tools):
        return body
    return replace_at(body, ("result", "tools"), b"[%b]" % b",".join(kept))
