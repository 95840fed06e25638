"""Arguments that a tool wants repeated in HTTP headers: `x-mcp-header` in its schema (2026-07-28, "Mcp-Param")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcppool.wire.headers import PARAM_PREFIX, encode_value

MAX_DEPTH = 16  # of properties within properties
Places = Mapping[tuple[str, ...], str]
"""Where in the arguments a value is, and under which name it goes into a header."""


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
        if isinstance(value, bool):
            value = "true" if value else "false"
        if isinstance(value, str | int):
            headers[PARAM_PREFIX + token.lower()] = encode_value(str(value))
    return headers


def _collect(schema: object, path: tuple[str, ...], places: dict[tuple[str, ...], str]) -> None:
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    if not isinstance(properties, Mapping) or len(path) >= MAX_DEPTH:
        return
    for name, inner in properties.items():
        token = inner.get("x-mcp-header") if isinstance(inner, Mapping) else None
        if isinstance(token, str) and token.isascii() and token.replace("-", "").replace("_", "").isalnum():
            places[(*path, name)] = token
        _collect(inner, (*path, name), places)
