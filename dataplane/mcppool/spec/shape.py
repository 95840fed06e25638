"""The shape of a model's values, as plain data.

All users of the models except pydantic read it: the reader of files (meant keys, allowed values), the CRD, the JSON
schema and the documentation.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, Strict
from pydantic.fields import FieldInfo

from mcppool.spec.naming import Spelling
from mcppool.spec.values import (
    CountRule,
    DurationRule,
    Hint,
    OnDisk,
    RatioRule,
    Secret,
    SizeRule,
    SnapshotOnly,
    format_duration,
    format_size,
)

Kind = Literal[
    "boolean",
    "integer",
    "number",
    "string",
    "choice",
    "duration",
    "size",
    "port",
    "quantity",
    "list",
    "map",
    "section",
]


@dataclass(frozen=True)
class Shape:
    """One kind of value and its bounds."""

    kind: Kind
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    hint: str | None = None
    word: str | None = None
    word_is_none: bool = True
    """Whether `word` stands for None, so that it is the default where there is none."""
    item: Shape | None = None
    key: Shape | None = None
    model: type[BaseModel] | None = None
    file: bool = False
    secret: bool = False


@dataclass(frozen=True)
class FieldShape:
    """One key of a section."""

    name: str
    shape: Shape
    required: bool
    default: Any
    description: str
    snapshot_only: bool


@cache
def fields_of(model: type[BaseModel]) -> Mapping[str, FieldShape]:
    """The keys of a section, in the order of its model."""
    return {name: _field(name, info) for name, info in model.model_fields.items()}


def _field(name: str, info: FieldInfo) -> FieldShape:
    return FieldShape(
        name=name,
        shape=_shape(info.annotation, tuple(info.metadata)),
        required=info.is_required(),
        default=None if info.is_required() else info.get_default(call_default_factory=True, validated_data={}),
        description=info.description or "",
        snapshot_only=any(isinstance(item, SnapshotOnly) for item in info.metadata),
    )


def _shape(annotation: Any, metadata: tuple[Any, ...]) -> Shape:
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *own = get_args(annotation)
        return _shape(inner, (*own, *metadata))
    if origin in (Union, types.UnionType) and not any(isinstance(item, Kinded) for item in metadata):
        (inner,) = (member for member in get_args(annotation) if member is not types.NoneType)
        return _shape(inner, metadata)
    return Shape(**_kind(annotation, origin, metadata), **_bounds(metadata))


def _kind(annotation: Any, origin: Any, metadata: tuple[Any, ...]) -> dict[str, Any]:
    for item in metadata:
        if isinstance(item, DurationRule):
            return {"kind": "duration", "minimum": item.minimum, "maximum": item.maximum, "word": item.word,
                "word_is_none": item.meaning is None}  # fmt: skip
        if isinstance(item, CountRule):
            return {"kind": "integer", "minimum": item.minimum, "maximum": item.maximum, "word": item.word}
        if isinstance(item, RatioRule):
            return {"kind": "number", "minimum": 0, "maximum": 1}
        if isinstance(item, SizeRule):
            return {"kind": "size", "minimum": item.minimum, "maximum": item.maximum}
        if isinstance(item, Kinded):
            return {"kind": item.kind}
    if origin is Literal:
        return {"kind": "choice", "choices": get_args(annotation)}
    if origin is tuple:
        return {"kind": "list", "item": _shape(get_args(annotation)[0], ())}
    if origin is dict:
        key, value = get_args(annotation)
        return {"kind": "map", "key": _shape(key, ()), "item": _shape(value, ())}
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {"kind": "section", "model": annotation}
    return {"kind": {bool: "boolean", int: "integer", str: "string"}[annotation]}


def _bounds(metadata: tuple[Any, ...]) -> dict[str, Any]:
    bounds: dict[str, Any] = {}
    names = {
        "ge": "minimum",
        "le": "maximum",
        "min_length": "min_length",
        "max_length": "max_length",
        "pattern": "pattern",
    }
    for item in metadata:
        if isinstance(item, CountRule | DurationRule | RatioRule | SizeRule | Strict):
            continue
        if isinstance(item, OnDisk):
            bounds["file"] = True
            continue
        if isinstance(item, Secret):
            bounds["secret"] = True
            continue
        if isinstance(item, Hint):
            bounds["hint"] = item.text
            if item.pattern:
                bounds["pattern"] = item.pattern
            continue
        if isinstance(item, FieldInfo):
            bounds |= _bounds(tuple(item.metadata))
        for attribute, name in names.items():
            if (value := getattr(item, attribute, None)) is not None:
                bounds[name] = value
    return bounds


@dataclass(frozen=True)
class Kinded:
    """Metadata with the kind of a value, if its Python type does not show it."""

    kind: Kind


def allowed(shape: Shape, spelling: Spelling) -> str:
    """The allowed values, in words."""
    if shape.hint:
        return shape.hint
    match shape.kind:
        case "boolean":
            return "true, false"
        case "choice":
            return ", ".join(map(spelling.value, shape.choices))
        case "integer":
            text = f"a whole number{_range(shape.minimum, shape.maximum, str)}"
            return f'{text}, or "{shape.word}"' if shape.word else text
        case "number":
            return f"a number{_range(shape.minimum, shape.maximum, str)}"
        case "duration":
            text = f'a duration such as "250ms" or "1m30s"{_from_to(shape.minimum, shape.maximum, format_duration)}'
            return f'{text}, or "{shape.word}"' if shape.word else text
        case "size":
            return f'a size such as "64KiB" or "4MiB"{_from_to(shape.minimum, shape.maximum, _size)}'
        case "list":
            count = _range(shape.min_length or None, shape.max_length, str)
            return f"{spelling.list} of{count.replace(' from', '')} items" if count else spelling.list
        case "section" | "map":
            short = getattr(shape.model, "short_form", None) if spelling.files else None
            return f"{short} or {spelling.table}" if short is not None else spelling.table
        case "port":
            return "the name or the number of a port"
        case "string":
            length = _range(shape.min_length, shape.max_length, str)
            return f"a string of{length.replace(' from', '')} characters" if length else "a string"
    return "anything"


def _size(size: float) -> str:
    return format_size(int(size))


def _from_to(low: float | None, high: float | None, write: Any) -> str:
    text = _range(low, high, write)
    return f",{text}" if text else ""


def _range(low: float | None, high: float | None, write: Any) -> str:
    if low is None and high is None:
        return ""
    if low is None:
        return f" up to {write(high)}"
    return f" from {write(low)}" + ("" if high is None else f" to {write(high)}")
