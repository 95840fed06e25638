"""The JSON schema of configuration files, for editors, with the keys of this version only."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel

from mcppool.spec.availability import available, is_later, limit
from mcppool.spec.file_spec import FileSpec
from mcppool.spec.model import Section
from mcppool.spec.pool import EndpointSpec
from mcppool.spec.sections.headers import HeaderValueSpec
from mcppool.spec.sections.protection import EndpointConcurrencySpec
from mcppool.spec.shape import FieldShape, Shape, fields_of
from mcppool.spec.values import DURATION_PATTERN, SIZE_PATTERN, format_duration, format_size

_REFERENCE: Final = r"\$\{"


def file_schema() -> dict[str, Any]:
    """A JSON schema (2020-12) of a configuration file."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "mcppool configuration"}
    return {**head, **_section(FileSpec, "")}


def _section(model: type[BaseModel], path: str) -> dict[str, Any]:
    fields = [field for field in fields_of(model).values() if not field.snapshot_only]
    properties, required = {}, []
    for field in fields:
        inner = "" if field.name == "pools" else f"{path}.{field.name}".lstrip(".")
        if inner and is_later(inner):
            continue
        properties[field.name] = _field(field, inner)
        if field.required:
            required.append(field.name)
    schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    return schema | ({"required": required} if required else {})


def _field(field: FieldShape, path: str) -> dict[str, Any]:
    schema = {"description": field.description, **_value(field.shape, path)}
    default = written_default(field)
    if default is not None and field.shape.kind != "section" and _in_force(path, default):
        schema["default"] = default
    return schema


def _in_force(path: str, default: Any) -> bool:
    return not isinstance(default, str) or default in available(path, (default,))


def _value(shape: Shape, path: str) -> dict[str, Any]:
    match shape.kind:
        case "section":
            assert shape.model is not None
            schema = _section(shape.model, path)
            if shape.model is EndpointConcurrencySpec:  # a limit that is learned
                return {"oneOf": [{"const": "auto"}, schema]}
            # An endpoint that is only a URL is written as a string.
            return {"oneOf": [{"type": "string"}, schema]} if shape.model in (EndpointSpec, HeaderValueSpec) else schema
        case "map":
            assert shape.item is not None
            schema = {"type": "object", "additionalProperties": _value(shape.item, path)}
            return schema | (
                {"propertyNames": {"pattern": shape.key.pattern}} if shape.key and shape.key.pattern else {}
            )
        case "list":
            assert shape.item is not None
            return {"type": "array", "items": _value(shape.item, path), **limits(shape, "Items")}
        case "choice":
            choices = {"type": "string", "enum": list(available(path, shape.choices))}
            return {"anyOf": [choices, {"type": "string", "pattern": _REFERENCE}]}
        case "number":
            return number_schema(shape)
        case "integer":
            schema = integer_schema(shape, limit(path))
            return {"anyOf": [schema, {"const": shape.word}]} if shape.word and limit(path) is None else schema
        case _:
            return _or_reference(text_schema(shape))


def _or_reference(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a text, which may have a reference (`${NAME}`) in place of any part."""
    return schema | ({"pattern": f"{schema['pattern']}|{_REFERENCE}"} if "pattern" in schema else {})


def integer_schema(shape: Shape, highest: int | None = None) -> dict[str, Any]:
    """The schema of a whole number, at most `highest` if that is given."""
    schema: dict[str, Any] = {"type": "integer"}
    if shape.minimum is not None:
        schema["minimum"] = int(shape.minimum)
    if highest is not None or shape.maximum is not None:
        schema["maximum"] = int(shape.maximum or 0) if highest is None else highest
    return schema


def number_schema(shape: Shape) -> dict[str, Any]:
    """The schema of a number that need not be whole."""
    return {"type": "number", "minimum": shape.minimum, "maximum": shape.maximum}


def text_schema(shape: Shape) -> dict[str, Any]:
    """The schema of a boolean, or of any value that is written as a string."""
    match shape.kind:
        case "boolean":
            return {"type": "boolean"}
        case "duration":
            pattern = DURATION_PATTERN if shape.word is None else f"^{shape.word}$|{DURATION_PATTERN}"
            return {"type": "string", "maxLength": 32, "pattern": pattern}
        case "size":
            return {"type": "string", "maxLength": 32, "pattern": SIZE_PATTERN}
    schema: dict[str, Any] = {"type": "string", **limits(shape, "Length")}
    return schema | ({"pattern": shape.pattern} if shape.pattern else {})


def limits(shape: Shape, what: str) -> dict[str, Any]:
    """The bounds of a length: `what` is Length, Items or Properties."""
    limits = {f"min{what}": shape.min_length, f"max{what}": shape.max_length}
    return {name: value for name, value in limits.items() if value is not None}


def written_default(field: FieldShape) -> Any:
    """The default in the form of a file; None if there is none, or if it is a whole section."""
    if field.default is None or isinstance(field.default, Section):
        return None
    if field.shape.kind == "duration":
        return format_duration(field.default)
    if field.shape.kind == "size":
        return format_size(field.default)
    return list(field.default) if isinstance(field.default, tuple) else field.default
