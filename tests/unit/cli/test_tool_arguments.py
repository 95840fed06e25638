"""Words of the command line become arguments with the types of a tool's schema."""

from __future__ import annotations

from typing import Any

import pytest

from mcppool.cli.tool_arguments import BadArgument, typed_arguments, unknown_arguments

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "count": {"type": "integer"},
        "share": {"type": "number"},
        "deep": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "where": {"$ref": "#/$defs/Where"},
        "limit": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "id": {"type": ["integer", "string"]},
        "level": {"enum": ["low", "high"]},
        "size": {"enum": [1, 2]},
        "any": {},
        "loop": {"$ref": "#/$defs/Loop"},
        "elsewhere": {"$ref": "https://example.com/schema"},
        "odd": "not a schema",
    },
    "$defs": {"Where": {"type": "object"}, "Loop": {"$ref": "#/$defs/Loop"}},
}


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("text=42", "42"),
        ("text=", ""),
        ("text=a=b", "a=b"),
        ("count=42", 42),
        ("count=4.0", 4.0),
        ("share=1", 1),
        ("share=-1.5e3", -1500.0),
        ("deep=true", True),
        ("deep=False", False),
        ('tags=["a"]', ["a"]),
        ('where={"a": 1}', {"a": 1}),
        ("limit=null", None),
        ("limit=7", 7),
        ("id=7", 7),
        ("id=x7", "x7"),
        ("level=high", "high"),
        ("size=2", 2),
        ("any=[1]", [1]),
        ("any=x", "x"),
        ("loop=1", 1),
        ("elsewhere=x", "x"),
        ("odd=x", "x"),
        ("unheard=true", True),
        ("text:=42", 42),
        ('any:={"a": null}', {"a": None}),
    ],
)
def test_a_value_has_the_type_of_the_schema(word: str, value: object) -> None:
    (found,) = typed_arguments([word], SCHEMA).values()
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("count=many", "count: 'many' is not allowed; the tool's schema wants: integer"),
        ("count=1.5", "count: '1.5' is not allowed"),
        ("count=", "count: '' is not allowed"),
        ("deep=1", "deep: '1' is not allowed; the tool's schema wants: boolean"),
        ("tags=a", "tags: 'a' is not allowed; the tool's schema wants: array"),
        ("limit=x", "limit: 'x' is not allowed; the tool's schema wants: integer, null"),
        ("any:=x", "any: 'x' is not JSON: "),
        ("text", "'text' is not NAME=VALUE"),
        ("=x", "'=x' is not NAME=VALUE"),
        (":=x", "':=x' is not NAME=VALUE"),
        ("tags=" + "[" * 100_000, "tags: "),
    ],
)
def test_a_value_of_another_type_is_named_with_what_the_schema_wants(word: str, told: str) -> None:
    with pytest.raises(BadArgument) as refused:
        typed_arguments([word], SCHEMA)
    assert str(refused.value).startswith(told)


def test_an_argument_that_the_schema_does_not_name_gets_a_suggestion() -> None:
    (sentence,) = unknown_arguments({"tex": "a", "count": 1}, SCHEMA)
    assert sentence == "the tool's schema has no argument 'tex'; did you mean text?"
    assert [*unknown_arguments({"a": 1}, {})] == []  # a tool that takes anything
    closed = {"properties": {}, "additionalProperties": False}
    assert [*unknown_arguments({"a": 1}, closed)] == ["the tool's schema has no argument 'a'; its arguments: none"]


@pytest.mark.parametrize("words", [("count=1", "count=2"), ("count=1", "count:=2"), ("any:=1", "any=1")])
def test_an_argument_that_is_given_twice_is_refused(words: tuple[str, str]) -> None:
    with pytest.raises(BadArgument, match=f"{words[0].partition('=')[0].rstrip(':')} is given twice"):
        typed_arguments(words, SCHEMA)
