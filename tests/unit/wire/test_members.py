from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mcppool.wire.errors import INVALID_REQUEST, PARSE_ERROR, BadEnvelope
from mcppool.wire.members import MAX_MEMBERS, has_many_brackets, spans, unique_members
from mcppool.wire.places import replace_at

text = st.text(st.characters(codec="utf-8"), max_size=8)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4), max_leaves=12
)
space = st.text(" \t\r\n", max_size=3)


@st.composite
def written(draw: st.DrawFn, members: list[tuple[str, object]]) -> bytes:
    """An object with these members in this order, in one of the ways JSON allows to write it."""

    def string(value: str) -> str:
        if draw(st.booleans()):
            return json.dumps(value, ensure_ascii=draw(st.booleans()))
        return '"' + "".join(f"\\u{unit:04x}" for unit in utf16(value)) + '"'

    def member(name: str, value: object) -> str:
        raw = json.dumps(value, ensure_ascii=draw(st.booleans()))
        return f"{draw(space)}{string(name)}{draw(space)}:{draw(space)}{raw}{draw(space)}"

    parts = [member(name, value) for name, value in members]
    return f"{draw(space)}{{{','.join(parts) or draw(space)}}}{draw(space)}".encode()


def utf16(value: str) -> list[int]:
    encoded = value.encode("utf-16-be")
    return [int.from_bytes(encoded[i : i + 2]) for i in range(0, len(encoded), 2)]


@given(st.data(), st.dictionaries(text, values, max_size=6))
def test_every_member_is_found_at_its_place(data: st.DataObject, members: dict[str, object]) -> None:
    document = data.draw(written(list(members.items())))
    found = spans(document)
    assert list(found) == list(members)
    for name, (start, end) in found.items():
        raw = document[start:end]
        assert json.loads(raw) == members[name]
        assert raw == raw.strip()


@given(st.data(), st.lists(st.tuples(st.sampled_from(["a", "b", "c", 'q"']), values), min_size=1, max_size=5))
def test_a_repeated_name_is_refused_and_nothing_else_is(data: st.DataObject, members: list[tuple[str, object]]) -> None:
    document = data.draw(written(members))
    if len({name for name, _ in members}) == len(members):
        assert len(spans(document)) == len(members)
    else:
        with pytest.raises(BadEnvelope) as refused:
            spans(document)
        assert (refused.value.code, refused.value.reason) == (INVALID_REQUEST, "repeated_member")


@pytest.mark.parametrize(
    "document",
    [
        b'{"a":1,"a":1}',
        b'{"a":12,"a":1}',
        b'{"a":1,"a":12}',
        b'{"a":"x","\\u0061":"x"}',
        b'{"a":[1,{"a":2}],"b":0,"a":[1,{"a":2}]}',
        b'{"a" : 1 , "a" : 1 }',
        b'{"a":{},"a":{}}',
        b'{"a":1,"b":2,"a":1,"c":3}',
    ],
)
def test_repetitions_that_could_be_mistaken_for_something_else_are_refused(document: bytes) -> None:
    with pytest.raises(BadEnvelope, match="more than once"):
        spans(document)


@given(st.binary(max_size=40))
@example(b"")
@example(b"{}")
@example(b"\xef\xbb\xbf{}")
@example(b'{"a":1} x')
@example(b"[" * 100_000)
@example(b'{"a":' * 100_000)
@example(b'"a"')
def test_any_bytes_give_members_or_a_bad_envelope(document: bytes) -> None:
    try:
        unique_members(document)
    except BadEnvelope as bad:
        assert bad.code in (PARSE_ERROR, INVALID_REQUEST)  # noqa: PT017 - reading it is as right as refusing it


@given(
    brackets=st.integers(0, 600),
    both=st.booleans(),
    text=st.sampled_from([b"", b"x", b"x" * 30]),
    before=st.sampled_from([0, 5000, 20_000]),
    behind=st.sampled_from([0, 20_000]),
)
@example(brackets=500, both=False, text=b"", before=20_000, behind=0)
@example(brackets=501, both=True, text=b"x" * 30, before=5000, behind=0)
def test_a_document_that_may_be_deep_is_known_by_its_brackets_wherever_they_are(
    brackets: int, both: bool, text: bytes, before: int, behind: int
) -> None:
    opening = [b"{" if both and number % 2 else b"[" for number in range(brackets)]
    document = b"x" * before + text.join(opening) + b"x" * behind
    assert has_many_brackets(document) is (brackets > 500)


def test_an_object_with_absurdly_many_members_is_refused() -> None:
    with pytest.raises(BadEnvelope, match="more than 1000 members"):
        spans(json.dumps({str(n): n for n in range(MAX_MEMBERS + 1)}).encode())


@given(st.data(), values, values)
def test_replacing_changes_the_named_member_and_no_other_byte(
    data: st.DataObject, inner: object, value: object
) -> None:
    nested = data.draw(written([("x", inner), ("_meta", 1), ("y", inner)]))
    document = b'{"id": 1 ,"params":' + nested + b', "z":1.50}'
    raw = json.dumps(value).encode()
    replaced = replace_at(document, ("params", "_meta"), raw)
    expected = json.loads(document)
    expected["params"]["_meta"] = value
    assert json.loads(replaced) == expected
    start, end = spans(nested)["_meta"]
    assert replaced == b'{"id": 1 ,"params":' + nested[:start] + raw + nested[end:] + b', "z":1.50}'


@pytest.mark.parametrize("path", [("nothing",), ("list", "x"), ("text", "x"), ("object", "x", "y")])
def test_replacing_an_absent_member_changes_nothing(path: tuple[str, ...]) -> None:
    document = b'{"list":[{"x":1}],"text":"x","object":{"x":{}}}'
    assert replace_at(document, path, b"9") == document
