"""Arguments that a tool requires in HTTP headers: `x-mcp-header` in its schema (2026-07-28, "Mcp-Param")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from mcppool.wire.errors import BadEnvelope
from mcppool.wire.headers import PARAM_PREFIX, encode_value
from mcppool.wire.lookalikes import fold, refuse_lookalikes
from mcppool.wire.members import UNREADABLE, unique_members

MAX_DEPTH = 16  # of properties within properties
Places = Mapping[tuple[str, ...], str]
"""Path of a value in the arguments → name of its header."""


def places_in(schema: object) -> dict[tuple[str, ...], str]:
    """The annotated properties of an input schema that a chain of `properties` leads to."""
    places: dict[tuple[str, ...], str] = {}
    _collect(schema, (), places)
    return places


def param_headers(places: Places, arguments: Mapping[str, Any]) -> dict[str, str]:
    """Name and value of each header. A value that is absent, null or not a string, integer or boolean has none."""
    headers = {}
    for path, token in places.items():
        value: Any = arguments
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        text = _rendered(value)
        if text is not None:
            headers[PARAM_PREFIX + token.lower()] = encode_value(text)
    return headers


def argument_at(arguments: bytes, path: tuple[str, ...]) -> str | None:
    """The value at `path` of raw arguments in the form of a header; None if it has none, or if two readers might find
    different values: a name on the path occurs twice, or in another case, too."""
    value = arguments
    try:
        for key in path:
            members = unique_members(value)
            refuse_lookalikes(members, {fold(key): key})
            value = members[key]
        return _rendered(msgspec.json.decode(value))
    except (BadEnvelope, KeyError, *UNREADABLE):
        return None


def _rendered(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int) else None


def _collect(schema: object, path: tuple[str, ...], places: dict[tuple[str, ...], str]) -> None:
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    if not isinstance(properties, Mapping) or len(path) >= MAX_DEPTH:
        return
    for name, inner in properties.items():
        token = inner.get("x-mcp-header") if isinstance(inner, Mapping) else None
        if isinstance(token, str) and token.isascii() and token.replace("-", "").replace("_", "").isalnum():
            places[(*path, name)] = token
        _collect(inner, (*path, name), places)
