"""The rules between keys of a section, in CEL: the API server evaluates them."""

from __future__ import annotations

from pydantic import BaseModel

from mcppool.spec.model import (
    Check,
    Excludes,
    Exclusive,
    Incompatible,
    Member,
    Needs,
    NeedsElsewhere,
    NotMore,
    OneOf,
    Refers,
    Requires,
    Reserved,
    Rule,
)
from mcppool.spec.naming import RESOURCE, camel_key, camel_value
from mcppool.spec.secret_refs import key_in
from mcppool.spec.shape import Shape, fields_of


def cel_rule(rule: Rule, model: type[BaseModel]) -> dict[str, str]:
    """A rule of the section `model`, with the message for an object that breaks it."""
    text, message = _expression(rule, model)
    return {"rule": text, "message": message}


def _expression(rule: Rule, model: type[BaseModel]) -> tuple[str, str]:
    match rule:
        case NotMore():
            return _not_more(rule, model)
        case Member():
            tag, member = camel_value(rule.tag), camel_key(rule.member)
            # `default: {}` is judged before the defaults inside it are filled in, when there is no type yet.
            text = f"!has(self.type) || (self.type == '{tag}' ? has(self.{member}) : !has(self.{member}))"
            return text, f"{member} must be set if and only if type is {tag}"
        case Needs():
            tag, member = camel_value(rule.tag), camel_key(rule.member)
            text = f"!has(self.type) || self.type != '{tag}' || has(self.{member})"
            return text, f"{member} must be set if type is {tag}"
        case Requires():
            key, other = _keys((rule.field, rule.other), model)
            return f"!has(self.{key}) || has(self.{other})", f"{key} has no effect without {other}"
        case NeedsElsewhere():
            return _needs_elsewhere(rule)
        case Exclusive():
            names, count = _counted(rule.fields, model)
            return f"{count} <= 1", f"{names} exclude each other"
        case Excludes():
            key, other = _keys((rule.field, rule.other), model)
            text = f"!has(self.{key}) || !has(self.{other}) || !self.{other}.matches('{rule.pattern}')"
            return text, f"{key} excludes {rule.pattern} in {other}: {rule.because}"
        case Incompatible():
            conditions = " && ".join(_holds(key, value, model) for key, value in rule.values)
            first = ".".join(map(camel_key, rule.values[0][0].split(".")))
            return f"!({conditions})", f"{first} cannot be {rule.values[0][1]}: {rule.because}"
        case OneOf():
            names, count = _counted(rule.fields, model)
            return f"{count} == 1", f"exactly one of {names} must be set"
        case Reserved():
            return _reserved(rule, model)
        case Refers():
            return _refers(rule)
        case Check():
            return rule.cel, rule.message


def _keys(fields: tuple[str, ...], model: type[BaseModel]) -> list[str]:
    known = fields_of(model)
    return [key_in(known[name], RESOURCE) for name in fields]


def _counted(fields: tuple[str, ...], model: type[BaseModel]) -> tuple[str, str]:
    """The names of keys in words, and the CEL expression for the number of set ones."""
    keys = _keys(fields, model)
    return ", ".join(keys), " + ".join(f"(has(self.{key}) ? 1 : 0)" for key in keys)


def _not_more(rule: NotMore, model: type[BaseModel]) -> tuple[str, str]:
    small, large = camel_key(rule.small), camel_key(rule.large)
    shape = fields_of(model)[rule.small].shape
    left, right = f"self.{small}", f"self.{large}"
    exempt = ""
    if shape.kind == "duration":
        left, right = f"duration({left})", f"duration({right})"
        exempt = f"self.{small} == '{shape.word}' || " if shape.word is not None else ""
    text = f"!has(self.{small}) || {exempt}!has(self.{large}) || {left} <= {right}"
    return text, f"{small} must not exceed {large}"


def _needs_elsewhere(rule: NeedsElsewhere) -> tuple[str, str]:
    tag, other = camel_value(rule.tag), camel_key(rule.other)
    part, field, member = camel_key(rule.part), camel_key(rule.field), camel_key(rule.member)
    chosen = f"has(self.{part}) && has(self.{part}.{field}) && self.{part}.{field} == '{tag}'"
    text = f"!({chosen}) || (has(self.{other}) && has(self.{other}.{member}))"
    return text, f"{other}.{member} must be set if {part}.{field} is {tag}"


def _holds(key: str, value: str, model: type[BaseModel]) -> str:
    """The CEL condition that a nested key has this value; an absent key has its default."""
    parts, shape, default, absent = key.split("."), Shape("section", model=model), None, []
    path = "self"
    for part in parts:
        assert shape.model is not None
        field = fields_of(shape.model)[part]
        shape, default = field.shape, field.default
        path += f".{camel_key(part)}"
        absent.append(f"!has({path})")
    equals = f"{path} == '{camel_value(value) if shape.kind == 'choice' else value}'"
    if default == value:
        return f"({' || '.join(absent)} || {equals})"
    return f"({' && '.join(part[1:] for part in absent)} && {equals})"


def _reserved(rule: Reserved, model: type[BaseModel]) -> tuple[str, str]:
    name = camel_key(rule.field)
    is_text = fields_of(model)[rule.field].shape.kind == "string"
    where = f"self.{name}" if is_text else "key"
    bad = [f"{where}.startsWith('{prefix}')" for prefix in rule.prefixes]
    bad += [f"{where} == '{reserved}'" for reserved in rule.names]
    good = f"!({' || '.join(bad)})"
    reserved = ", ".join([*(f"{prefix}…" for prefix in rule.prefixes), *rule.names])
    text = good if is_text else f"!has(self.{name}) || self.{name}.all(key, {good})"
    return text, f"{name} must not be any of {reserved}: {rule.why}"


def _refers(rule: Refers) -> tuple[str, str]:
    outer, inner, name = map(camel_key, rule.names)
    many, field = map(camel_key, rule.to)
    found = f"has(self.{many}) && self.{many}.exists(known, known.{field} == each.{name})"
    text = f"!has(self.{outer}) || self.{outer}.all(one, !has(one.{inner}) || one.{inner}.all(each, {found}))"
    return text, f"each {name} in {outer}.{inner} must be one of {many}"
