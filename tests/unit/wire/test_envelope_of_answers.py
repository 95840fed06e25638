"""The members that are read of a server's answer."""

from __future__ import annotations

import pytest

from mcppool.wire.errors import BadEnvelope
from mcppool.wire.rpc_response import parse_response
from tests.unit.wire.messages import RESULT


def test_a_modern_result_is_read_as_far_as_needed() -> None:
    answer = parse_response(RESULT)
    assert (answer.kind, answer.id, answer.is_error, answer.tool_error) == ("response", b"1", False, False)
    assert answer.result_type == "complete"


def test_members_that_pin_later_calls_are_read() -> None:
    def read(result: str) -> tuple[str | None, ...]:
        answer = parse_response(f'{{"jsonrpc":"2.0","id":1,"result":{result}}}'.encode())
        return answer.result_type, answer.request_state, answer.task_id, answer.next_cursor

    assert read('{"resultType":"input_required","requestState":"s"}') == ("input_required", "s", None, None)
    assert read('{"resultType":"task","taskId":"t"}') == ("task", None, "t", None)
    assert read('{"tools":[],"nextCursor":""}') == (None, None, None, "")


@pytest.mark.parametrize(
    ("body", "kind", "is_error", "code", "tool_error"),
    [
        (b'{"jsonrpc":"2.0","id":1,"result":{"isError":true}}', "response", False, None, True),
        (b'{"jsonrpc":"2.0","id":1,"result":{"isError":"yes"}}', "response", False, None, False),
        (b'{"jsonrpc":"2.0","id":1,"result":{"resultType":7,"isError":true}}', "response", False, None, True),
        (
            b'{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"m","data":{"x":1}}}',
            "response",
            True,
            -32602,
            False,
        ),
        (b'{"error":{"message":"m","code":-32000},"id":null,"jsonrpc":"2.0"}', "response", True, -32000, False),
        (b'{"jsonrpc":"2.0","error":{"code":-32600,"message":"m"}}', "response", True, -32600, False),
        (b'{"jsonrpc":"2.0","method":"notifications/message","params":{}}', "notification", False, None, False),
        (b'{"jsonrpc":"2.0","id":"s1","method":"sampling/createMessage","params":{}}', "request", False, None, False),
    ],
)
def test_kinds_of_answers_are_distinguished(
    body: bytes, kind: str, is_error: bool, code: int | None, tool_error: bool
) -> None:
    answer = parse_response(body)
    assert (answer.kind, answer.is_error, answer.error_code, answer.tool_error) == (kind, is_error, code, tool_error)


def test_an_error_without_an_id_reads_as_id_null() -> None:
    assert parse_response(b'{"jsonrpc":"2.0","error":{"code":-32600,"message":"m"}}').id == b"null"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html></html>",
        RESULT[:-1],
        b"[" + RESULT + b"]",
        b'{"jsonrpc":"2.0","id":1}',
        b'{"jsonrpc":"2.0","result":{}}',
        b'{"jsonrpc":"2.0","id":1,"result":null}',
        b'{"jsonrpc":"2.0","id":1,"result":[]}',
        b'{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}',
        b'{"jsonrpc":"2.0","id":1,"error":{"message":"no code"}}',
        b'{"jsonrpc":"2.0","id":1,"error":"text"}',
        b'{"jsonrpc":"2.0","id":1,"error":{"code":"1","message":""}}',
        b'{"id":1,"result":{}}',
        b'{"jsonrpc":"2.0","id":1,"result":{"x":"\xff"}}',
    ],
)
def test_an_invalid_answer_is_refused(body: bytes) -> None:
    with pytest.raises(BadEnvelope):
        parse_response(body)
