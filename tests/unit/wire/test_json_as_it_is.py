"""Unusual, valid JSON: it is read as far as decisions need it, and passes as bytes."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

import pytest

from mcppool.wire.errors import BadEnvelope
from mcppool.wire.members import readable, spans, without_lone_surrogates
from mcppool.wire.message_ids import replace_id
from mcppool.wire.rpc_request import parse_request
from mcppool.wire.rpc_response import parse_response

BOM = b"\xef\xbb\xbf"
HALF = rb"\ud83d"


def call(params: bytes, id: bytes = b"1") -> bytes:
    return b'{"jsonrpc":"2.0","id":%b,"method":"tools/call","params":{%b}}' % (id, params)


def answer(result: bytes, id: bytes = b"1") -> bytes:
    return b'{"jsonrpc":"2.0","id":%b,"result":{%b}}' % (id, result)


UNUSUAL = [
    b'"text":"%b"' % HALF,
    rb'"text":"a \udc00 b"',
    rb'"text":"\uDBFF\uD83D\uDE00"',
    rb'"text":"\\ud83d is no escape, \ud83d is"',
    b'"%b":1' % HALF,
    b'"n":' + b"9" * 5000,
    b'"n":-1e999999',
    b'"n":1.' + b"0" * 5000 + b"1",
    b'"deep":' + b"[" * 800 + b"]" * 800,
    rb'"nul":"\u0000"',
]


@pytest.mark.parametrize("member", UNUSUAL)
@pytest.mark.parametrize("mark", [b"", BOM])
def test_arguments_and_results_may_hold_any_json(member: bytes, mark: bytes) -> None:
    body = mark + call(b'"name":"read","arguments":{%b}' % member)
    request = parse_request(body)
    assert (request.name, request.malformed) == ("read", ())
    assert request.arguments is not None
    assert bytes(request.arguments) == b"{%b}" % member
    assert replace_id(body, b'"other"') == call(b'"name":"read","arguments":{%b}' % member, b'"other"')
    body = mark + answer(b'"structuredContent":{%b},%b' % (member, member))
    response = parse_response(body)
    assert (response.kind, response.id) == ("response", b"1")
    assert replace_id(body, b"7") == answer(b'"structuredContent":{%b},%b' % (member, member), b"7")


@pytest.mark.parametrize("member", UNUSUAL)
def test_params_and_meta_may_hold_any_json_besides_known_members(member: bytes) -> None:
    request = parse_request(call(b'"name":"read","_meta":{"x":{%b},%b},%b' % (member, member, member)))
    assert (request.name, request.malformed) == ("read", ())


@pytest.mark.parametrize("id", [b'"%b"' % HALF, rb'"a\/\udc00"', b'"' + b"x" * 100_000 + b'"', b'""', rb'"\u0000"'])
def test_unusual_ids_are_distinguished_and_recognised(id: bytes) -> None:
    asked = parse_request(call(b'"name":"read"', id)).id
    assert asked == parse_response(answer(b"", id)).id
    assert asked is not None
    assert json.loads(asked) == json.loads(id)
    assert asked != parse_response(answer(b"", rb'"\udfff"')).id


@pytest.mark.parametrize("member", ["name", "cursor", "requestState"])
def test_nothing_is_decided_by_a_text_with_half_a_surrogate_pair(member: str) -> None:
    request = parse_request(call(b'"%b":"%b"' % (member.encode(), HALF)))
    assert (request.name, request.cursor, request.request_state) == (None, None, None)
    assert request.malformed == (f"params.{member}",)


def test_an_opaque_value_with_half_a_surrogate_pair_is_still_usable() -> None:
    response = parse_response(answer(b'"nextCursor":"%b","requestState":"%b","taskId":"%b"' % (HALF, HALF, HALF)))
    assert (response.next_cursor, response.request_state, response.task_id) == ("\ufffd", "\ufffd", "\ufffd")


@pytest.mark.parametrize("code", [b"9" * 5000, b"1.5", b"-32000.0", b"1e400", b"-9e30"])
def test_an_error_may_have_any_number_as_its_code(code: bytes) -> None:
    response = parse_response(b'{"jsonrpc":"2.0","id":1,"error":{"code":%b,"message":""}}' % code)
    assert response.is_error
    assert response.error_code == (-32000 if code == b"-32000.0" else None)


def at_depth(frames: int, of: Callable[[], bytes]) -> bytes:
    """The result of `of` further down the stack."""
    return at_depth(frames - 1, of) if frames else of()


@pytest.mark.parametrize("mark", [b"", BOM, b" "])
@pytest.mark.parametrize("open", [b"[", b'{"a":'])
def test_a_document_read_once_is_never_too_deep_for_a_later_reader(open: bytes, mark: bytes) -> None:
    read = 0
    for depth in range(860, 1000):
        deep = open * depth + b"1" + (b"]" if open == b"[" else b"}") * depth
        for parse, body in (
            (parse_request, call(b'"arguments":%b' % deep)),
            (parse_response, answer(b'"a":%b' % deep)),
        ):
            try:
                parse(mark + body)
            except BadEnvelope:
                continue
            read += 1
            assert at_depth(40, partial(replace_id, mark + body, b"7"))
    assert read


@pytest.mark.parametrize("depth", [950, 984, 985, 1000, 1024, 5000, 200_000])
def test_deeply_nested_json_is_read_or_refused(depth: int) -> None:
    deep = b'"deep":' + b"[" * depth + b"]" * depth
    for parse, body in ((parse_request, call(b'"name":"read",' + deep)), (parse_response, answer(deep))):
        try:
            assert parse(body).id == b"1"
        except BadEnvelope:
            pass


def test_only_halves_are_mended_and_nothing_moves() -> None:
    document = rb'{"a":"\ud83d\ude00\ud83d \\ud83d \\\ud83d \u0041","b":1}'
    mended = without_lone_surrogates(document)
    assert mended == rb'{"a":"\ud83d\ude00\ufffd \\ud83d \\\ufffd \u0041","b":1}'
    assert spans(document) == spans(mended)
    assert json.loads(readable(BOM + document))["b"] == 1
