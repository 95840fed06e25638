"""The CustomResourceDefinition of McpServerPool, as a structural schema with CEL rules.

Unsupported keys are in the schema and refused by a rule that names them: without a schema, the API server would drop
them silently. They have no defaults there, so that no resource is refused for a value that the API server filled in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

from mcppool.spec.availability import LATER, available, is_later
from mcppool.spec.generate.cel import cel_rule
from mcppool.spec.generate.json_schema import (
    integer_schema,
    limits,
    number_schema,
    text_schema,
    written_default,
)
from mcppool.spec.generate.status import status_schema
from mcppool.spec.generate.yaml import dump
from mcppool.spec.model import Refused, Section
from mcppool.spec.naming import RESOURCE, camel_key, camel_value
from mcppool.spec.resource import GROUP, KIND, PLURAL, VERSION, ResourceSpec
from mcppool.spec.secret_refs import key_in, written_in
from mcppool.spec.sections.quantity import QUANTITY_PATTERN
from mcppool.spec.sections.retry_policy import SET_BY_PRESET
from mcppool.spec.shape import FieldShape, Shape, fields_of
from mcppool.spec.values import format_duration

_SNAKE_WORD: Final = re.compile(r"\b[a-z]+(?:_[a-z]+)+\b")
_NAME_RULES: Final = [
    {
        "rule": "self.metadata.name.size() <= 50",
        "message": "metadata.name must be at most 50 characters, because the names of what belongs to it are longer",
    },
    {
        "rule": "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "message": "metadata.name must be a DNS label that begins with a letter, because Services are named after it",
    },
]


def crd_yaml() -> str:
    """The file that users apply."""
    return "# Generated from the models by `mcppool schema crd`. Do not edit.\n" + dump(crd())


def crd() -> dict[str, Any]:
    """The definition as plain data."""
    schema = {
        "type": "object",
        "description": "One MCP endpoint in front of many replicas of an MCP server.",
        "required": ["spec"],
        "x-kubernetes-validations": _NAME_RULES,
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": _section(ResourceSpec, ""),
            "status": status_schema(),
        },
    }
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.gateway.replicas",
                "statusReplicasPath": ".status.gateway.replicas",
                "labelSelectorPath": ".status.gateway.selector",
            },
        },
        "additionalPrinterColumns": _columns(),
        "schema": {"openAPIV3Schema": schema},
    }
    names = {
        "kind": KIND,
        "listKind": f"{KIND}List",
        "plural": PLURAL,
        "singular": KIND.lower(),
        "shortNames": ["mcppool"],
        "categories": ["mcp"],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}", "labels": {"app.kubernetes.io/part-of": "mcppool"}},
        "spec": {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]},
    }


def _columns() -> list[dict[str, Any]]:
    ready = '.status.conditions[?(@.type=="Ready")]'
    return [
        {"name": "Ready", "type": "string", "jsonPath": f"{ready}.status"},
        {"name": "Endpoints", "type": "string", "jsonPath": ".status.endpoints.summary"},
        {"name": "Gateways", "type": "integer", "jsonPath": ".status.gateway.readyReplicas"},
        {"name": "URL", "type": "string", "jsonPath": ".status.url"},
        {"name": "Sessions", "type": "integer", "jsonPath": ".status.gateway.sessions", "priority": 1},
        {"name": "Reason", "type": "string", "jsonPath": f"{ready}.reason", "priority": 1},
        {"name": "Source", "type": "string", "jsonPath": ".spec.source.type", "priority": 1},
        {"name": "Strategy", "type": "string", "jsonPath": ".spec.loadBalancer.strategy", "priority": 1},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]


def _section(model: type[BaseModel], path: str) -> dict[str, Any]:
    fields = [field for field in fields_of(model).values() if not field.snapshot_only]
    required = [key_in(field, RESOURCE) for field in fields if field.required]
    refusals = [
        {"rule": f"!has(self.{name})", "message": f'"{name}" cannot be set: {refused.why}'}
        for name, refused in _refused(model).items()
    ]
    between = [cel_rule(rule, model) for rule in model.rules] if issubclass(model, Section) else []
    rules = [*_later_keys(fields, path), *refusals, *between]
    return {
        "type": "object",
        **({"required": required} if required else {}),
        **({"x-kubernetes-validations": rules} if rules else {}),
        "properties": {
            **{key_in(field, RESOURCE): _field(field, f"{path}.{field.name}".lstrip(".")) for field in fields},
            **_refused_fields(model),
        },
    }


def _refused(model: type[BaseModel]) -> Mapping[str, Refused]:
    return model.refused if issubclass(model, Section) else {}


def _refused_fields(model: type[BaseModel]) -> dict[str, Any]:
    """Keys that a rule refuses: without a schema, the API server would drop them silently."""
    array = {"type": "array", "maxItems": 64, "x-kubernetes-list-type": "atomic"}
    text = {"type": "string", "maxLength": 1024}
    types: dict[str, dict[str, Any]] = {
        "string": text,
        "strings": {**array, "items": text},
        "array": {**array, "items": {"type": "object"}},
    }
    return {
        name: {"description": f"Refused: {refused.why}.", **types.get(refused.type, {"type": refused.type})}
        for name, refused in _refused(model).items()
    }


def _later_keys(fields: list[FieldShape], path: str) -> list[dict[str, str]]:
    names = [key_in(field, RESOURCE) for field in fields if f"{path}.{field.name}".lstrip(".") in LATER]
    return [{"rule": f"!has(self.{name})", "message": f'"{name}" is not available in this version'} for name in names]


def _field(field: FieldShape, path: str) -> dict[str, Any]:
    description = _SNAKE_WORD.sub(lambda match: camel_key(match[0]), field.description)
    if field.shape.file:
        description = f"A key of a Secret, in place of a file. {description}"
    schema = {"description": description, **_value(written_in(field, RESOURCE).shape, path)}
    default = _default(field, path)
    return schema if default is None else {**schema, "default": default}


def _default(field: FieldShape, path: str) -> Any:
    """The default that the API server fills in. None for keys of a preset, because a present value would override the
    preset."""
    if is_later(path) or (path.startswith("retry_policy.") and field.name in SET_BY_PRESET):
        return None
    if isinstance(field.default, Section):
        assert field.shape.model is not None
        fields = fields_of(field.shape.model).values()
        return {} if any(_default(inner, f"{path}.{inner.name}") is not None for inner in fields) else None
    default = written_default(field)
    if field.shape.kind == "choice" and default is not None:
        return camel_value(default) if available(path, (default,)) else None
    return default if default not in ({}, []) else None


def _value(shape: Shape, path: str) -> dict[str, Any]:
    match shape.kind:
        case "section":
            assert shape.model is not None
            return _section(shape.model, path)
        case "map":
            assert shape.item is not None
            schema = {"type": "object", **limits(shape, "Properties"), "additionalProperties": _value(shape.item, path)}
            return schema | _key_rule(shape)
        case "list":
            assert shape.item is not None
            return {
                "type": "array",
                **limits(shape, "Items"),
                **_list_type(shape.item),
                "items": _value(shape.item, path),
            }
        case "choice":
            return {
                "type": "string",
                "enum": [camel_value(choice) for choice in shape.choices],
                **_later_values(shape, path),
            }
        case "number":
            return number_schema(shape)
        case "integer" if shape.word is not None:
            low, high = int(shape.minimum or 0), int(shape.maximum or 0)
            rule = f"type(self) == string ? self == '{shape.word}' : self >= {low} && self <= {high}"
            message = f"must be from {low} to {high}, or {shape.word}"
            return {
                "x-kubernetes-int-or-string": True,
                "x-kubernetes-validations": [{"rule": rule, "message": message}],
            }
        case "integer":
            return {**integer_schema(shape), "format": "int32"}
        case "duration":
            return {**text_schema(shape), **_bounds(shape)}
        case "port":
            rule = "type(self) == string ? self.size() > 0 && self.size() < 64 : self > 0 && self < 65536"
            message = "must be the name or the number of a port"
            return {
                "x-kubernetes-int-or-string": True,
                "x-kubernetes-validations": [{"rule": rule, "message": message}],
            }
        case "quantity":
            kinds = [{"type": "integer"}, {"type": "string"}]
            text = {"maxLength": 32, "pattern": QUANTITY_PATTERN}
            return {"x-kubernetes-int-or-string": True, "anyOf": kinds, **text}
        case _:
            return text_schema(shape)


def _list_type(item: Shape) -> dict[str, Any]:
    """Items with a key of their own can each have an owner (endpoints, by their URL); any other list is one value."""
    key = item.model.list_key if item.model is not None and issubclass(item.model, Section) else None
    if key is not None:
        return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [camel_key(key)]}
    return {"x-kubernetes-list-type": "atomic"}


def _key_rule(shape: Shape) -> dict[str, Any]:
    if shape.key is None or shape.key.pattern is None:
        return {}
    pattern = shape.key.pattern.replace("\\", "\\\\")
    rule = {"rule": f"self.all(key, key.matches('{pattern}'))", "message": f"each key must be {shape.key.hint}"}
    return {"x-kubernetes-validations": [rule]}


def _later_values(shape: Shape, path: str) -> dict[str, Any]:
    later = [camel_value(choice) for choice in shape.choices if choice not in available(path, shape.choices)]
    if not later or is_later(path):
        return {}
    quoted = ", ".join(f"'{value}'" for value in later)
    rule = {
        "rule": f"!(self in [{quoted}])",
        "message": f"not available in this version: {', '.join(later)}",
        "messageExpression": "'\"' + self + '\" is not available in this version'",
    }
    return {"x-kubernetes-validations": [rule]}


def _bounds(shape: Shape) -> dict[str, Any]:
    low, high = format_duration(shape.minimum or 0), format_duration(shape.maximum or 0)
    within = f"duration(self) >= duration('{low}') && duration(self) <= duration('{high}')"
    rule = within if shape.word is None else f"self == '{shape.word}' || ({within})"
    return {"x-kubernetes-validations": [{"rule": rule, "message": f"must be from {low} to {high}"}]}
