"""Ids: compared by meaning, replaced and restored without touching another byte."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcppool.wire.message_ids import canonical_id, replace_id, rewrite_ids
from mcppool.wire.rpc_request import parse_request
from mcppool.wire.rpc_response import parse_response
from tests.unit.wire.messages import ids, odd, styles, write


@pytest.mark.parametrize(
    ("sent", "answered"),
    [("1", "1.0"), ('"a/b"', '"a\\/b"'), ('"\\u00e9"', '"é"'), ('"é"', '"\\u00E9"'), ("10", "1e1"), ("7", "7")],
)
def test_ids_that_mean_the_same_compare_equal(sent: str, answered: str) -> None:
    request = parse_request(f'{{"jsonrpc":"2.0","id":{sent},"method":"ping"}}'.encode())
    answer = parse_response(f'{{"jsonrpc":"2.0","id":{answered},"result":{{}}}}'.encode())
    assert answer.id == request.id


@pytest.mark.parametrize("id", ["1e999", "-1e999", "1.5", "[1]", '{"a":1}', "true", "1e-999", "1" * 5000])
def test_ids_that_no_request_has_are_read_as_they_are_spelled(id: str) -> None:
    assert parse_response(f'{{"jsonrpc":"2.0","id":{id},"result":{{}}}}'.encode()).id in (id.encode(), b"0")


@given(ids, ids, st.booleans(), st.booleans())
def test_canonical_ids_are_equal_exactly_when_the_ids_are(one: object, other: object, a: bool, b: bool) -> None:
    written_one = json.dumps(one, ensure_ascii=a).encode()
    written_other = json.dumps(other, ensure_ascii=b).encode()
    assert (canonical_id(written_one) == canonical_id(written_other)) == (one == other and type(one) is type(other))


@given(odd, ids, styles)
def test_replacing_the_id_changes_nothing_else(document: object, id: object, style: str) -> None:
    message = {"jsonrpc": "2.0", "x": document, "id": 1, "params": {"id": document}, "result": {"id": [1]}}
    replaced = json.loads(replace_id(write(message, style), json.dumps(id).encode()))
    assert replaced == message | {"id": id}
    assert list(replaced) == list(message)


@pytest.mark.parametrize(
    ("body", "replaced"),
    [
        (b'{"jsonrpc":"2.0","id":1,"method":"x"}', b'{"jsonrpc":"2.0","id":"n9","method":"x"}'),
        (b'{ "id" : "a,}" , "method":"x"}\n', b'{ "id" : "n9" , "method":"x"}\n'),
        (b'{"params":{"id":1},"\\u0069d":-5}', b'{"params":{"id":1},"\\u0069d":"n9"}'),
        (b'{"a":"\\"id\\":1","id":1e2,"b":1.50}', b'{"a":"\\"id\\":1","id":"n9","b":1.50}'),
        (b'{"\xc3\xa9":"\xc3\xa9","id":{"id":1},"b":[]}', b'{"\xc3\xa9":"\xc3\xa9","id":"n9","b":[]}'),
        (b'{"method":"x"}', b'{"method":"x"}'),
        (b"{}", b"{}"),
    ],
)
def test_only_the_top_level_id_is_replaced_whatever_the_other_members(body: bytes, replaced: bytes) -> None:
    assert replace_id(body, b'"n9"') == replaced


def test_tokens_and_subscription_ids_are_restored_where_messages_repeat_them() -> None:
    progress = b'{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"n","progress":1.0}}'
    assert rewrite_ids(progress, progress_token=b"7") == progress.replace(b'"n"', b"7")

    tagged = b'{"method":"notifications/x","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"n"}}}'
    assert rewrite_ids(tagged, id=b'"c"', subscription_id=b'"c"') == tagged.replace(b'"n"', b'"c"')

    ended = b'{"id":"n","result":{"resultType":"complete","_meta":{"io.modelcontextprotocol/subscriptionId":"n"}}}'
    assert rewrite_ids(ended, id=b'"c"', subscription_id=b'"c"') == ended.replace(b'"n"', b'"c"')

    call = b'{"id":1,"method":"tools/call","params":{"_meta":{"progressToken":1},"arguments":{"progressToken":1}}}'
    assert rewrite_ids(call, id=b"9", progress_token=b"9") == call.replace(b'"id":1', b'"id":9').replace(
        b'"_meta":{"progressToken":1}', b'"_meta":{"progressToken":9}'
    )
