"""The parsed parts of a request, and refusals of ambiguous ones."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import Raw

from mcppool.wire.errors import INVALID_REQUEST, PARSE_ERROR, BadEnvelope
from mcppool.wire.message_ids import replace_id
from mcppool.wire.rpc_request import parse_request
from mcppool.wire.rpc_response import parse_response
from tests.unit.wire.messages import CALL, ids, odd, styles, text, values, write


def test_a_modern_call_is_read_as_far_as_needed() -> None:
    request = parse_request(CALL)
    assert (request.kind, request.method, request.id, request.name) == ("request", "tools/call", b"1", "add")
    assert (request.protocol_version, request.has_capabilities) == ("2026-07-28", True)
    assert request.arguments is not None
    assert bytes(request.arguments) == b'{"a":2,"b":3}'
    assert (request.cursor, request.request_state, request.progress_token) == (None, None, None)
    assert request.malformed == ()


@given(styles, ids, values, text, text, values, st.booleans())
def test_the_same_is_read_however_the_message_is_written(
    style: str, id: object, arguments: object, name: str, state: str, extra: object, unknown: bool
) -> None:
    message = {
        "jsonrpc": "2.0",
        "id": id,
        "method": "tools/call",
        "params": {
            "name": name,
            "arguments": arguments,
            "requestState": state,
            "uri": "not the name",
            "_meta": {
                "progressToken": 7,
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "com.example/x": extra,
            },
        },
    }
    if unknown:
        message["x-unknown"] = extra
    request = parse_request(write(message, style))
    assert json.loads(request.id or b"") == id
    assert (request.name, request.request_state) == (name, state)
    assert request.arguments is not None
    assert json.loads(bytes(request.arguments)) == arguments
    assert request.progress_token is not None
    assert bytes(request.progress_token) == b"7"
    assert request.protocol_version == "2026-07-28"
    assert not request.has_capabilities


@pytest.mark.parametrize(
    ("method", "member"),
    [
        ("tools/call", "name"),
        ("prompts/get", "name"),
        ("resources/read", "uri"),
        ("resources/subscribe", "uri"),
        ("tasks/get", "taskId"),
        ("tasks/update", "taskId"),
        ("tasks/cancel", "taskId"),
    ],
)
@pytest.mark.parametrize("style", ["compact", "spaced"])
def test_the_name_is_the_member_that_the_method_acts_on(method: str, member: str, style: str) -> None:
    params = {"name": "n", "uri": "u", "taskId": "t"}
    request = parse_request(write({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}, style))
    assert request.name == params[member]


def test_cursors_are_kept_even_when_empty() -> None:
    request = parse_request(b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":""}}')
    assert request.cursor == ""


@pytest.mark.parametrize(
    ("body", "kind", "id"),
    [
        (b'{"jsonrpc":"2.0","method":"notifications/initialized"}', "notification", None),
        (b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}', "notification", None),
        (b'{"jsonrpc":"2.0","id":"s-1","method":"ping"}', "request", b'"s-1"'),
        (b'{"jsonrpc":"2.0","id":"s-1","method":"ping","params":null}', "request", b'"s-1"'),
        (b'{"jsonrpc":"2.0","id":3,"result":{"roots":[]}}', "response", None),
        (b'{"jsonrpc":"2.0","id":3,"error":{"code":-1,"message":"no"}}', "response", None),
        (b'{"jsonrpc":"2.0","id":null,"error":{"code":-1,"message":"no"}}', "response", None),
    ],
)
def test_the_members_of_a_message_decide_its_kind(body: bytes, kind: str, id: bytes | None) -> None:
    request = parse_request(body)
    assert (request.kind, request.id) == (kind, id)


@pytest.mark.parametrize("id", ["0", "-7", "123456789012345678901234567890", '""', '"é"', '"x y"'])
def test_integers_of_any_size_and_any_string_are_ids(id: str) -> None:
    assert parse_request(f'{{"jsonrpc":"2.0","id":{id},"method":"ping"}}'.encode()).id == id.encode()


@pytest.mark.parametrize(
    ("id", "canonical"),
    [
        ("1.0", "1"),
        ("1e3", "1000"),
        ("-0.5", "-0.5"),
        ("-0", "0"),
        ("1e400", "1e400"),
        ("5e-1", "0.5"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_a_number_in_any_form_is_an_id_with_one_spelling(id: str, canonical: str) -> None:
    assert parse_request(f'{{"jsonrpc":"2.0","id":{id},"method":"ping"}}'.encode()).id == canonical.encode()
    assert parse_response(f'{{"jsonrpc":"2.0","id":{id},"result":{{}}}}'.encode()).id == canonical.encode()


@pytest.mark.parametrize("id", ["null", "true", "false", "[]", "{}", "[1]"])
def test_other_ids_are_refused_and_never_read_as_a_notification(id: str) -> None:
    with pytest.raises(BadEnvelope, match="id must be") as refused:
        parse_request(f'{{"jsonrpc":"2.0","id":{id},"method":"ping"}}'.encode())
    assert refused.value.code == INVALID_REQUEST


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not_json"),
        (b"   ", "not_json"),
        (b"{", "not_json"),
        (CALL[:-1], "not_json"),
        (CALL + b"x", "not_json"),
        (CALL + CALL, "not_json"),
        (b"\xef\xbb\xbf", "not_json"),
        (b"\xef\xbb\xbf\xef\xbb\xbf" + CALL, "not_json"),
        (CALL.decode().encode("utf-16"), "not_json"),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"\xff"}}', "not_json"),
        (b'{"jsonrpc":"2.0","id":1,"method":"\xff"}', "not_json"),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"arguments":{"x":"\xed\xa0\x80"}}}', "not_json"),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":NaN}}', "not_json"),
        (
            b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":' + b"[" * 200_000 + b"]" * 200_000 + b"}}",
            "not_json",
        ),
        (b"[" * 200_000, "not_json"),
        (b"[" + CALL, "not_json"),
    ],
)
def test_invalid_json_is_a_parse_error(body: bytes, reason: str) -> None:
    with pytest.raises(BadEnvelope) as refused:
        parse_request(body)
    assert (refused.value.code, refused.value.reason) == (PARSE_ERROR, reason)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"[]", "batch"),
        (b" [" + CALL + b"]", "batch"),
        (b"1", "not_an_object"),
        (b'"x"', "not_an_object"),
        (b"null", "not_an_object"),
        (b"{}", "not_jsonrpc"),
        (b'{"id":1,"method":"ping"}', "not_jsonrpc"),
        (b'{"jsonrpc":"1.0","id":1,"method":"ping"}', "not_jsonrpc"),
        (b'{"jsonrpc":2.0,"id":1,"method":"ping"}', "not_jsonrpc"),
        (b'{"jsonrpc":"2.0","id":1}', "not_a_message"),
        (b'{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}', "not_a_message"),
        (b'{"jsonrpc":"2.0","result":{}}', "bad_id"),
        (b'{"jsonrpc":"2.0","id":null,"result":{}}', "bad_id"),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}', "not_a_message"),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/call","error":{"code":1,"message":""}}', "not_a_message"),
        (b'{"jsonrpc":"2.0","id":1,"method":7}', "bad_method"),
        (b'{"jsonrpc":"2.0","id":1,"method":null}', "bad_method"),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}', "bad_params"),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":"x"}', "bad_params"),
        (b'{"jsonrpc":"2.0","id":1,"id":1,"method":"ping"}', "repeated_member"),
        (b'{"jsonrpc":"2.0","id":1,"\\u0069d":2,"method":"ping"}', "repeated_member"),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}', "repeated_member"),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{},"params":{}}', "repeated_member"),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","name":"b"}}', "repeated_member"),
        (
            b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{},"arguments":{}}}',
            "repeated_member",
        ),
        (
            b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":{"progressToken":1,"progressToken":2}}}',
            "repeated_member",
        ),
        (b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":{"a":1,"b":2,"a":1}}}', "repeated_member"),
    ],
)
def test_json_that_is_not_one_message_is_an_invalid_request(body: bytes, reason: str) -> None:
    with pytest.raises(BadEnvelope) as refused:
        parse_request(body)
    assert (refused.value.code, refused.value.reason) == (INVALID_REQUEST, reason)


def test_names_may_repeat_inside_arguments_which_are_not_ours_to_judge() -> None:
    body = (
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"id":1,"id":2,"name":"b"}}}'
    )
    assert parse_request(body).name == "a"


@pytest.mark.parametrize(
    ("params", "malformed"),
    [
        ('{"name":5}', ("params.name",)),
        ('{"name":["x"]}', ("params.name",)),
        ('{"name":null}', ()),
        ('{"name":"x","cursor":1}', ("params.cursor",)),
        ('{"name":"x","requestState":{}}', ("params.requestState",)),
        ('{"name":"x","_meta":7}', ("params._meta",)),
        ('{"name":"x","_meta":null}', ()),
        (
            '{"name":"x","_meta":{"io.modelcontextprotocol/protocolVersion":1}}',
            ("params._meta.io.modelcontextprotocol/protocolVersion",),
        ),
    ],
)
def test_members_of_a_wrong_type_are_named_and_the_rest_is_read(params: str, malformed: tuple[str, ...]) -> None:
    request = parse_request(f'{{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{params}}}'.encode())
    assert request.malformed == malformed
    assert (request.id, request.method) == (b"9", "tools/call")


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_cleanly(body: bytes) -> None:
    for parse in (parse_request, parse_response):
        try:
            parse(body)
        except BadEnvelope as bad:
            assert bad.code in (PARSE_ERROR, INVALID_REQUEST)  # noqa: PT017 - reading it is as right as refusing it


@st.composite
def mutilated(draw: st.DrawFn, message: bytes) -> bytes:
    """A message with a few bytes of it left out, repeated or replaced by bytes that mean something in JSON."""
    scraps = [b"", b'"', b"\\", b",", b"{}", b'"id":7,', b'"name":"b",', b'"method":"x",', b" ", b"\xff"]
    for _ in range(draw(st.integers(1, 3))):
        start = draw(
            st.integers(0, len(message)) | st.sampled_from([i + 1 for i, b in enumerate(message) if b in b"{,"])
        )
        end = min(len(message), start + draw(st.integers(0, 12) | st.just(0)))
        scrap = draw(st.sampled_from([*scraps, message[start:end] * 2]))
        message = message[:start] + scrap + message[end:]
    return message


def first(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object as seen by a reader that keeps the first of two members of one name."""
    return dict(reversed(pairs))


@given(st.sampled_from([CALL, CALL.replace(b":", b" : ")]).flatmap(mutilated))
@settings(max_examples=1000)
def test_other_readers_agree_with_the_members_that_are_read(body: bytes) -> None:
    try:
        request = parse_request(body)
    except BadEnvelope:
        return
    for pairs in (dict, first):
        message = json.loads(body, object_pairs_hook=pairs)
        params = message.get("params") or {}
        meta = params["_meta"] if isinstance(params.get("_meta"), dict) else {}
        assert message.get("method") == request.method
        assert message.get("id", ...) == (... if request.id is None else json.loads(request.id))
        if request.method == "tools/call":
            assert request.name == (params.get("name") if isinstance(params.get("name"), str) else None)
        if isinstance(version := meta.get("io.modelcontextprotocol/protocolVersion"), str):
            assert request.protocol_version == version
        assert request.has_capabilities == ("io.modelcontextprotocol/clientCapabilities" in meta)
        if request.arguments is not None:
            assert json.loads(bytes(request.arguments), object_pairs_hook=pairs) == params["arguments"]
        replaced = json.loads(replace_id(body, b'"new"'), object_pairs_hook=pairs)
        assert replaced == (message | {"id": "new"} if "id" in message else message)


@given(odd, styles)
@example({"jsonrpc": "2.0", "id": 1, "result": {"isError": 1}}, "compact")
@example({"jsonrpc": "2.0", "id": 1, "error": {"code": "x"}}, "compact")
@example({"jsonrpc": "2.0", "id": 1, "error": {"code": 2**70}}, "compact")
def test_any_json_is_read_or_refused_cleanly(document: object, style: str) -> None:
    for parse in (parse_request, parse_response):
        try:
            parse(write(document, style))
        except BadEnvelope as bad:
            assert bad.code == INVALID_REQUEST  # noqa: PT017 - reading it is as right as refusing it


@given(odd)
def test_writing_a_message_differently_changes_nothing_that_is_read(document: object) -> None:
    def read(body: bytes) -> object:
        try:
            request = parse_request(body)
        except BadEnvelope as bad:
            return bad.code, bad.reason
        return [
            json.loads(bytes(value)) if isinstance(value, Raw) else value
            for value in (getattr(request, field) for field in request.__struct_fields__)
        ]

    assert read(write(document, "compact")) == read(write(document, "indented"))
