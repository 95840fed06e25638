"""Sections of a pool that are Kubernetes' own types, in Kubernetes' notation. Pure."""

from __future__ import annotations

from typing import Any

from mcppool.spec.model import Section
from mcppool.spec.naming import camel_key, camel_value
from mcppool.spec.shape import Shape, fields_of


def kubernetes_object(section: Section) -> dict[str, Any]:
    """Return a section as a Kubernetes object, without unset values; empty lists and maps are unset."""
    written = {}
    for name, field in fields_of(type(section)).items():
        value = getattr(section, name)
        if value is not None and value not in ((), {}):
            written[camel_key(name)] = _value(field.shape, value)
    return written


def _value(shape: Shape, value: Any) -> Any:
    if isinstance(value, Section):
        return kubernetes_object(value)
    if isinstance(value, tuple):
        return [_value(shape.item or shape, entry) for entry in value]
    if isinstance(value, dict):
        return dict(value)
    return camel_value(value) if shape.kind == "choice" else value
