"""A message read in slices has the same meaning wherever the slices end."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcppool.wire import outline, slices
from mcppool.wire.bulk import BULK, Bulk, finish, outline_of, read_in_slices
from mcppool.wire.errors import BadEnvelope
from mcppool.wire.members import without_lone_surrogates
from mcppool.wire.outline import MAX_OUTLINE, read_outline
from mcppool.wire.places import raw_at, replace_at, replaced
from mcppool.wire.rpc_request import parse_request
from mcppool.wire.rpc_response import parse_response
from tests.unit.wire.step_times import longest_step

HEAD = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read","arguments":'
SIZE = 5 << 18

skip = msgspec.json.Decoder(msgspec.Raw).decode


def sizes(patch: pytest.MonkeyPatch, slice: int) -> None:
    patch.setattr(slices, "SLICE", slice)
    patch.setattr(slices, "STRING_SLICE", slice)
    patch.setattr(slices, "MIN_SLICE", min(slice, 2))
    patch.setattr(outline, "SLICE", 64)


def is_json(text: bytes) -> bool:
    """Whether the reader that reads all at once takes it. Halves of surrogate pairs pass, as everywhere."""
    try:
        text.decode()
        skip(without_lone_surrogates(text))
    except (ValueError, RecursionError):
        return False
    return True


values = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 10**12) | st.sampled_from([0.5, -1e-7, 2.5e30, 1e300])
    | st.text(st.sampled_from('ab"\\/\n\x7fé😀,:[]{}u0d8'), max_size=12),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(st.sampled_from('a"\\é:{'), max_size=4), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip
"""JSON of all kinds, with the characters that decide where a slice may end."""


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    """JSON as it may be written: with white space, and escapes."""
    indent = draw(st.sampled_from([None, 0, 1, 3]))
    colon = draw(st.sampled_from([":", " : ", "  :\t"]))
    comma = draw(st.sampled_from([",", ", ", "\n,\r\n  "]))
    ascii = draw(st.booleans())
    return json.dumps(draw(values), indent=indent, separators=(comma, colon), ensure_ascii=ascii).encode()


@settings(max_examples=50)
@given(text=texts(), slice=st.integers(16, 40))
def test_json_is_read_wherever_slices_end(text: bytes, slice: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        sizes(patch, slice)
        finish(read_outline(text))


@settings(max_examples=150)
@given(text=texts(), slice=st.integers(16, 40), data=st.data())
def test_invalid_json_is_refused_wherever_slices_end(text: bytes, slice: int, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text)))
    to = data.draw(st.integers(at, min(len(text), at + 3)))
    broken = (
        text[:at] + data.draw(st.sampled_from([b"", *(bytes([c]) for c in b'",:[]{}\\ \x01\xc3e-.0u')])) + text[to:]
    )
    with pytest.MonkeyPatch.context() as patch:
        sizes(patch, slice)
        try:
            finish(read_outline(broken))
        except BadEnvelope:
            assert not is_json(broken)
        else:
            assert is_json(broken)


@settings(max_examples=50)
@given(
    members=st.dictionaries(st.text(max_size=5), values, max_size=5),
    params=st.dictionaries(st.text(max_size=5), values, max_size=5),
    spaced=st.booleans(), slice=st.integers(16, 40), name=st.text(max_size=5),
)  # fmt: skip
def test_an_outline_has_all_members_and_tells_where_they_are(
    members: dict[str, object], params: dict[str, object], spaced: bool, slice: int, name: str
) -> None:
    message = {**members, "params": {**params, "_meta": params, "name": name, "arguments": params}, "method": name}
    text = json.dumps(message, indent=2 if spaced else None).encode()
    with pytest.MonkeyPatch.context() as patch:
        sizes(patch, slice)
        patch.setattr(outline, "SHORT", 3)
        patch.setattr(outline, "SHORT_SPACE", 1)
        found = finish(read_outline(text))
    short = json.loads(found.text)
    assert list(short) == list(message)
    assert list(short["params"]) == list(message["params"])
    assert short["method"] == short["params"]["name"] == name
    assert list(short["params"]["_meta"]) == list(params)
    patched = pytest.MonkeyPatch.context()
    with patched as patch:
        patch.setattr("mcppool.wire.places.BULK", 0)
        large = Bulk(text)
        large.outline = found
        for member, value in message["params"].items():  # type: ignore[attr-defined]
            raw = raw_at(large, ("params", member))
            assert raw is not None
            assert json.loads(raw) == value
        for member, value in params.items():
            raw = raw_at(large, ("params", "_meta", member))
            assert raw is not None
            assert json.loads(raw) == value
        finish(replaced(large, ("params", "arguments"), b"[7, 7, 7]"))
        assert large == text, "a copy leaves it as it is"
        for member, value in (("arguments", b"[7, 7, 7]"), ("name", b'"other"'), ("arguments", b"1")):
            replace_at(large, ("params", member), value)
            message["params"][member] = json.loads(value)  # type: ignore[index]
            assert json.loads(bytes(large)) == message
            assert list(json.loads(large.outline.text)["params"]) == list(message["params"])


SHAPES = {
    "string": b'"' + b"x" * SIZE + b'"',
    "string of escapes": b'"' + b"\\n" * (SIZE // 2) + b'"',
    "string of quotation marks": b'"' + b'\\"' * (SIZE // 2) + b'"',
    "string of backslashes": b'"' + b"\\\\" * (SIZE // 2) + b'"',
    "string of surrogate pairs": b'"' + b"\\ud83d\\ude00" * (SIZE // 12) + b'"',
    "string of two-byte characters": b'"' + b"x" + "é".encode() * (SIZE // 2) + b'"',
    "string of four-byte characters": b'"' + b"x" + "😀".encode() * (SIZE // 4) + b'"',
    "string of commas and brackets": b'"' + b",[{" * (SIZE // 3) + b'"',
    "white space": b"[" + b" \n" * (SIZE // 2) + b"1" + b" " * SIZE + b"]",
    "small numbers": b"[" + b"1," * (SIZE // 2) + b"1]",
    "spaced numbers": b"[" + b"1 , " * (SIZE // 4) + b"1]",
    "floats": b"[" + b"-0.12345678901234e-12," * (SIZE // 22) + b"1]",
    "long numbers": b"[" + (b"1" * 60_000 + b",") * (SIZE // 60_000) + b"1]",
    "words": b"[" + b"true," * (SIZE // 5) + b"null]",
    "empty strings": b"[" + b'"",' * (SIZE // 3) + b'""]',
    "strings": b"[" + b'"abcdef",' * (SIZE // 9) + b'"\\\\"]',
    "members": b"{" + b'"":1,' * (SIZE // 5) + b'"":1}',
    "members of members": b"{" + b'"a":{"b":[1]},' * (SIZE // 14) + b'"":1}',
    "empty arrays": b"[" + b"[]," * (SIZE // 3) + b"[]]",
    "nested arrays": b"[" + (b"[" * 200 + b"]" * 200 + b",") * (SIZE // 401) + b"1]",
    "nested objects": b"[" + (b'{"a":' * 200 + b"1" + b"}" * 200 + b",") * (SIZE // 1200) + b"1]",
    "rising and falling": b"[" + b"[[],[" * 300 + b"1," * SIZE + b"1" + b"]]" * 300 + b"]",
    "long names": b"{" + (b'"' + b"x" * 60_000 + b'":1,') * (SIZE // 60_000) + b'"":1}',
}


@pytest.mark.parametrize("shape", SHAPES)
def test_no_step_over_a_large_message_takes_long(shape: str) -> None:
    requests = [Bulk(HEAD + SHAPES[shape] + b"}}") for _ in range(3)]
    answers = [Bulk(b'{"result":{"a":' + SHAPES[shape] + b'},"id":1,"jsonrpc":"2.0"}') for _ in range(3)]
    for messages in (requests, answers):
        assert longest_step(*map(read_in_slices, messages)) < 0.02
    request, answer = requests[0], answers[0]
    read = parse_request(request)
    assert (read.id, read.name, read.method) == (b"1", "read", "tools/call")
    assert parse_response(answer).id == b"1"
    assert len(request.outline.text) < 1000


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("end", [b"", b"]}}", b"}}}", b"\x01}}", b'"}}'])
def test_a_large_message_that_is_not_whole_is_refused(shape: str, end: bytes) -> None:
    body = Bulk(HEAD + SHAPES[shape] + end)
    finish(read_in_slices(body))
    for _ in range(2):
        with pytest.raises(BadEnvelope) as refused:
            parse_request(body)
        assert refused.value.reason == "not_json"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (HEAD + b"1" * (1 << 20) + b"}}", "member_too_large"),
        (HEAD + b'{"a":[' + b"1" * (1 << 20) + b"]}}}", "member_too_large"),
        (HEAD + b'1,"' + b"n" * (1 << 20) + b'":1}}', "member_too_large"),
        (HEAD + b'1,"_meta":{"progressToken":"' + b"x" * MAX_OUTLINE + b'"}}}', "too_many_members"),
        (HEAD + b"1," + b",".join(b'"%d":"%b"' % (n, b"x" * 2000) for n in range(1001)) + b"}}", "too_many_members"),
        (b'{"jsonrpc":"2.0","id":1,' + b'"params":{},' * 2000 + b'"x":"' + b"x" * BULK + b'"}', "too_many_members"),
        (HEAD + b"[" * 5000 + b"]" * 5000 + b',"x":"' + b"x" * BULK + b'"}}', "not_json"),
        (HEAD + b'"' + b"x" * BULK + b"\xff" + b'"}}', "not_json"),
        (HEAD + b'"' + b"x" * BULK + b"\xc3" + b'"}}', "not_json"),
        (HEAD + b'"' + b"\\ud83d" * (BULK // 6 + 20) + b'"}}', "not_json"),
        (HEAD + b'"' + b"x" * BULK + b'","name":"other"}}', "repeated_member"),
        (HEAD + b'"' + b"x" * BULK + b'","Name":"other"}}', "lookalike"),
        (HEAD + b'"' + b"x" * BULK + b'"},"params":{"name":"b"}}', "repeated_member"),
        (b"[" + HEAD + b'"' + b"x" * BULK + b'"}}]', "batch"),
        (b" " * (BULK + 1), "not_json"),
        (b'"' + b"x" * BULK + b'"', "not_an_object"),
    ],
)  # fmt: skip
def test_a_large_message_is_refused_with_its_fault(body: bytes, reason: str) -> None:
    with pytest.raises(BadEnvelope) as refused:
        parse_request(body)
    assert refused.value.reason == reason


def test_deciding_members_are_read_however_their_names_are_written() -> None:
    name = "n" * 5000
    body = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","p\\u0061rams":{"n\\u0061me":"%b","arguments":"%b"}}' % (
        name.encode(),
        b"x" * BULK,
    )
    assert parse_request(body).name == name


def test_halves_of_surrogate_pairs_and_a_byte_order_mark_are_no_reason_in_large_messages() -> None:
    text = b"x" * BULK
    body = b"\xef\xbb\xbf" + HEAD + b'"\\ud800' + text + b'\\udc00","\\ud800":1}}'
    assert parse_request(body).name == "read"
    assert replace_at(Bulk(body), ("id",), b"17") == body.replace(b'"id":1', b'"id":17')


def test_a_problem_holds_no_reference_to_its_message() -> None:
    body = Bulk(HEAD + b"[" + b"1," * BULK)
    finish(read_in_slices(body))
    assert isinstance(body.problem, tuple)
    with pytest.raises(BadEnvelope):
        outline_of(body)
