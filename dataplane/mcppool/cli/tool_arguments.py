"""Arguments of a tool from words of the command line, with the types of the tool's schema."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from mcppool.cli.parsing import guess

TYPES: Final = ("null", "boolean", "integer", "number", "array", "object", "string")
"""The types of JSON schema, in the order in which a text is tried: almost anything is a string."""
MAX_DEPTH: Final = 8
"""Upper bound on the references and alternatives that are followed for one argument."""


class BadArgument(Exception):
    """A word is no argument of the tool; the text names it, and what is allowed."""


def typed_arguments(words: Sequence[str], schema: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments in words `NAME=TEXT` and `NAME:=JSON`. Raises BadArgument."""
    arguments: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name.strip(":"):
            raise BadArgument(f"{word!r} is not NAME=VALUE, such as message=hello, or NAME:=JSON")
        as_json, name = name.endswith(":"), name.removesuffix(":")
        if name in arguments:
            raise BadArgument(f'{name} is given twice; a list is {name}:=\'["one", "two"]\'')
        arguments[name] = _json(name, text) if as_json else _typed(name, text, schema)
    return arguments


def unknown_arguments(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[str]:
    """A sentence about each argument that the schema does not name."""
    known = _mapping(schema.get("properties"))
    if not known and schema.get("additionalProperties") is not False:
        return
    yield from unknown_names(arguments, known, "the tool's schema")


def unknown_names(names: Iterable[str], known: Collection[str], place: str) -> Iterator[str]:
    """A sentence about each name of an argument that this place does not know."""
    for name in names:
        if name not in known:
            words = guess(name, known) or f"; its arguments: {', '.join(known) or 'none'}"
            yield f"{place} has no argument {name!r}{words}"


def _json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadArgument(f"{name}: {text!r} is not JSON: {error}") from None


def _typed(name: str, text: str, schema: Mapping[str, Any]) -> Any:
    types = set(_types(_mapping(schema.get("properties")).get(name), schema, 0))
    if not types:  # anything
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    for kind in TYPES:
        if kind in types:
            value = _as(kind, text)
            if value is not None or (kind == "null" and text == "null"):
                return value
    raise BadArgument(f"{name}: {text!r} is not allowed; the tool's schema wants: {', '.join(sorted(types))}")


def _types(part: Any, root: Mapping[str, Any], depth: int) -> Iterator[str]:
    """The types that a part of a schema allows; none if it allows anything, or its types are not found."""
    part = _mapping(part)
    if depth > MAX_DEPTH:
        return
    if isinstance(reference := part.get("$ref"), str):
        yield from _types(_at(reference, root), root, depth + 1)
    written = part.get("type")
    yield from (kind for kind in ([written] if isinstance(written, str) else written or ()) if kind in TYPES)
    if written is None:
        values = [part["const"]] if "const" in part else part.get("enum") or ()
        yield from map(_type_of, values if isinstance(values, list) else ())
    for key in ("anyOf", "oneOf", "allOf"):
        choices = part.get(key)
        for choice in choices if isinstance(choices, list) else ():
            yield from _types(choice, root, depth + 1)


def _at(reference: str, root: Mapping[str, Any]) -> Any:
    """The part of a schema that a local reference (`#/$defs/NAME`) points to; None for another."""
    found: Any = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        found = _mapping(found).get(step.replace("~1", "/").replace("~0", "~"))
    return found if reference.startswith("#") else None


def _as(kind: str, text: str) -> Any:
    """The value of this type in a text; None if it is not of this type."""
    if kind == "string":
        return text
    try:
        value = json.loads(text.lower() if kind == "boolean" else text)
    except (ValueError, RecursionError):
        return None
    found = _type_of(value)
    return value if found == kind or (kind == "number" and found == "integer") else None


def _type_of(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "integer" if value.is_integer() else "number"
        case str():
            return "string"
        case list():
            return "array"
    return "object"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
