"""Arbitrary configurations as they would be written, made from the shapes of the models."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from pydantic import BaseModel

from mcppool.spec.model import Check, Incompatible, Member, Needs, NeedsElsewhere, NotMore, Requires, Section
from mcppool.spec.naming import Spelling, camel_key
from mcppool.spec.secret_refs import key_in, written_in
from mcppool.spec.sections.access import ARGUMENTS, CLIENT_CONDITIONS, AccessRuleSpec, AccessSpec
from mcppool.spec.sections.headers import HeadersSpec, HeaderValueSpec
from mcppool.spec.shape import Shape, fields_of
from mcppool.spec.values import format_duration, format_size, parse_duration


def sections(
    model: type[BaseModel], spelling: Spelling, *, skip: frozenset[str] = frozenset()
) -> st.SearchStrategy[dict[str, Any]]:
    """Values for some of a section's keys, and for all that it requires; they keep its rules."""
    required, optional = {}, {}
    for name, field in fields_of(model).items():
        if name not in skip:
            written = written_in(field, spelling).shape
            (required if field.required else optional)[name] = values(written, spelling)

    def spelled(data: dict[str, Any]) -> dict[str, Any]:
        fields = fields_of(model)
        return {key_in(fields[name], spelling): value for name, value in _kept(model, data).items()}

    return st.fixed_dictionaries(required, optional=optional).map(spelled)


def values(shape: Shape, spelling: Spelling) -> st.SearchStrategy[Any]:
    """Values of one kind, within its bounds."""
    low, high = int(shape.minimum or 0), int(shape.maximum if shape.maximum is not None else 1 << 31)
    match shape.kind:
        case "boolean":
            return st.booleans()
        case "integer":
            return st.integers(low, high)
        case "number":
            return st.integers(low, high) | st.floats(low, high)
        case "choice":
            return st.sampled_from(shape.choices).map(spelling.value)
        case "duration":
            milliseconds = st.integers(int((shape.minimum or 0) * 1000), high * 1000)
            durations = milliseconds.map(lambda number: format_duration(number / 1000))
            return durations | st.just(shape.word) if shape.word else durations
        case "size":
            return st.integers(low, 1 << 29).map(format_size)
        case "section":
            assert shape.model is not None
            if shape.model is HeaderValueSpec:  # which has one of three
                return st.sampled_from([{"value": "a"}, {"value_env": "A", "prefix": "Bearer "}])
            return sections(shape.model, spelling)
        case "list":
            assert shape.item is not None
            key = getattr(shape.item.model, "list_key", None)
            name = None if key is None else spelling.key(key)
            distinct = None if name is None else lambda item: item[name] if isinstance(item, dict) else item
            return st.lists(
                values(shape.item, spelling), min_size=shape.min_length or 0, max_size=3, unique_by=distinct
            )
        case "map":
            assert shape.item is not None
            keys = st.from_regex(r"\A[a-z][a-z_]{0,8}\*?\Z")
            if shape.item.model is HeaderValueSpec:
                keys = st.sampled_from(["X-Team", "Authorization"])
            return st.dictionaries(keys, values(shape.item, spelling), min_size=shape.min_length or 0, max_size=3)
        case "port":
            return st.integers(1, 65535) | st.just("http")
        case "quantity":
            return st.sampled_from(["100m", "128Mi", 1])
    return _strings(shape)


def _strings(shape: Shape) -> st.SearchStrategy[str]:
    if shape.hint and shape.hint.startswith("redis://"):
        return st.from_regex(r"\Arediss?://[a-z]{1,8}(:[1-9][0-9]{0,3})?(/[0-9])?\Z")
    if shape.hint and "postgresql://" in shape.hint:
        return st.from_regex(r"\Apostgresql://([a-z]{1,8}@)?[a-z]{1,8}(:[1-9][0-9]{0,3})?/[a-z]{1,8}\Z")
    if (shape.hint and "URL" in shape.hint) or (shape.pattern and shape.pattern.startswith("^https?")):
        return st.from_regex(r"\Ahttps?://[a-z]{1,8}(:[1-9][0-9]{0,3})?/[a-z/]{0,8}\Z")
    if shape.hint and "HOST:PORT" in shape.hint:
        return st.integers(10000, 65535).map(lambda port: f"127.0.0.1:{port}")
    if shape.hint and "host" in shape.hint:
        return st.sampled_from(["search.example.com", "127.0.0.1", "localhost"])
    if shape.pattern:
        bare = shape.pattern.removeprefix("^").removesuffix("$")
        texts = st.from_regex(bare, fullmatch=True, alphabet=st.characters(codec="ascii"))
        return texts.filter(lambda text: (shape.max_length or 4096) >= len(text))
    return st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=shape.min_length or 0, max_size=12)


def _kept(model: type[BaseModel], data: dict[str, Any]) -> dict[str, Any]:
    """The data with violations of the model's rules repaired or left out."""
    if model is AccessRuleSpec:  # a pool without authentication knows no client
        for name in (*CLIENT_CONDITIONS, *(ARGUMENTS if data.get("resources") else ())):
            data.pop(name, None)
    if model is AccessSpec:
        allowed = {rule["name"] for rule in data.get("allow", ())}
        data["deny"] = [rule for rule in data.get("deny", ()) if rule["name"] not in allowed]
    if model is HeadersSpec and "forward" in data:  # no header that the gateway sets itself
        data["forward"] = [f"Of-Client-{name[:100]}" for name in data["forward"]]
    for rule in model.rules if issubclass(model, Section) else ():
        match rule:
            case NotMore(small, large):
                _order(model, small, large, data)
            case Needs(tag, member):
                if (
                    data.get("type") in (tag, "".join(part.capitalize() for part in tag.split("_")))
                    and member not in data
                ):
                    del data["type"]
            case Check(_, _, _, at) if not fields_of(model)[at].required:
                data.pop(at, None)
            case Requires(needy, needed):
                if needed not in data:
                    data.pop(needy, None)
            case NeedsElsewhere(part, field, _, other, member):
                if not any(key.lower().replace("_", "") == member.replace("_", "") for key in data.get(other, {})):
                    data.get(part, {}).pop(field, None)
            case Incompatible(values, _):
                section, _, name = values[1][0].partition(".")
                for key in (section, camel_key(section)):
                    data.get(key, {}).pop(name, None)
            case Member(tag, member):
                # Only unions without a member are made: the others have tests of their own.
                if data.get("type") in (tag, "".join(part.capitalize() for part in tag.split("_"))):
                    data.pop("type")
                data.pop(member, None)
    return data


def _order(model: type[Section], small: str, large: str, data: dict[str, Any]) -> None:
    """Exchange two values in the wrong order. Drop both, and what is compared with them, if one is a default."""
    if data.get(small) == "none":  # no bound at all
        return
    if data.get(small) is not None and data.get(large) is not None:
        pair = sorted((data[small], data[large]), key=lambda v: parse_duration(v) if isinstance(v, str) else v)
        data[small], data[large] = pair
        return
    dropped = {name for name in (small, large) if data.pop(name, None) is not None}
    for rule in model.rules:
        if isinstance(rule, NotMore) and dropped & {rule.small, rule.large}:
            _order(model, rule.small, rule.large, data)
