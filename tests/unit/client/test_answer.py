"""The library's reading of the bytes from the pipeline."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mcppool import CallFailed, RpcError
from mcppool.client.answer import MAX_ANSWER, Answer, result_of
from mcppool.pipeline.outcome import Outcome
from mcppool.upstream.failures import AttemptFailed
from mcppool.wire.errors import Reason, fault_body
from mcppool.wire.sse import render

JSON = b"content-type: application/json\r\n"
EVENTS = b"cache-control: no-cache\r\nContent-Type: text/event-stream; charset=utf-8\r\n"


def outcome(attempts: int = 1) -> Outcome:
    ended = Outcome()
    ended.attempts = attempts
    return ended


def message(**members: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **members}).encode()


def answered(body: bytes, status: int = 200) -> Answer:
    answer = Answer()
    answer.whole(status, JSON, body)
    return answer


def test_a_whole_answer_gives_its_result() -> None:
    assert result_of(answered(message(id=7, result={"a": 1})), b"7", outcome()) == {"a": 1}


def test_an_answer_in_parts_gives_its_result() -> None:
    body = message(id=7, result={"text": "x" * 1000})
    answer = Answer()
    answer.begin(200, JSON)
    for start in range(0, len(body), 100):
        answer.write(body[start : start + 100])
    answer.end()
    assert result_of(answer, b"7", outcome()) == {"text": "x" * 1000}


def test_an_answer_that_grows_without_end_is_not_collected() -> None:
    answer = Answer()
    answer.begin(200, JSON)
    answer.write(b"x" * MAX_ANSWER)
    with pytest.raises(AttemptFailed):
        answer.write(b"x")


async def test_of_a_stream_the_notifications_are_handed_over_in_order_and_the_answer_is_kept() -> None:
    seen: list[bytes] = []

    async def take(data: bytes) -> None:
        seen.append(data)

    notices = [message(method="notifications/progress", params={"progress": n}) for n in range(3)]
    answer = Answer(take)
    answer.begin(200, EVENTS)
    stream = b": ping\n\n" + b"".join(map(render, notices)) + render(message(id=1, result={}))
    for byte in stream:
        answer.write(bytes([byte]))
        await answer.drain()
    answer.end()
    assert seen == notices
    assert result_of(answer, b"1", outcome()) == {}


def test_a_stream_says_how_to_come_back_for_the_rest() -> None:
    answer = Answer()
    answer.begin(200, EVENTS)
    answer.write(b"id: e1\ndata:\n\nretry: 250\n\n")
    answer.end()
    assert (answer.last_id, answer.retry, answer.body) == ("e1", 0.25, None)


def test_the_servers_own_error_is_an_rpc_error() -> None:
    error = {"code": -32602, "message": "no such tool", "data": {"name": "x"}}
    with pytest.raises(RpcError) as caught:
        result_of(answered(message(id=7, error=error), 400), b"7", outcome())
    assert (caught.value.code, caught.value.message, caught.value.data) == (-32602, "no such tool", {"name": "x"})


def test_an_error_without_an_id_belongs_to_the_request() -> None:
    with pytest.raises(RpcError):
        result_of(answered(message(id=None, error={"code": -32700, "message": "parse error"}), 400), b"7", outcome())


def test_a_fault_of_the_pipeline_is_a_failed_call_with_all_that_is_known() -> None:
    body = fault_body(b"7", Reason.CIRCUIT_OPEN, "open", delivered="no", attempts=2, retry_after=1.5)
    with pytest.raises(CallFailed, match=r"circuit_open: open \(delivered: no; 2 attempts\)") as caught:
        result_of(answered(body, 503), b"7", outcome())
    failure = caught.value
    assert (failure.reason, failure.delivered, failure.attempts, failure.retry_after) == ("circuit_open", "no", 2, 1.5)


@pytest.mark.parametrize("data", [None, "text", {"reason": "made_up", "delivered": "no", "attempts": 1}, {}])
def test_an_internal_error_of_the_server_is_not_taken_for_one_of_the_pipelines(data: object) -> None:
    with pytest.raises(RpcError):
        result_of(answered(message(id=7, error={"code": -32603, "message": "oops", "data": data})), b"7", outcome())


@pytest.mark.parametrize(
    "body",
    [b"<html>", message(id=8, result={}), message(id=7), message(id=7, result=[1]), message(method="x", id=7), b"[]"],
)
def test_an_invalid_answer_is_a_failed_call_that_a_server_had(body: bytes) -> None:
    with pytest.raises(CallFailed) as caught:
        result_of(answered(body), b"7", outcome(3))
    assert (caught.value.reason, caught.value.delivered, caught.value.attempts) == ("bad_upstream_answer", "yes", 3)


def test_an_answer_that_breaks_off_is_a_failed_call_that_a_server_had() -> None:
    answer = Answer()
    answer.begin(200, JSON)
    answer.write(b'{"jsonrpc":')
    answer.abort()
    with pytest.raises(CallFailed) as caught:
        result_of(answer, b"7", outcome())
    assert (caught.value.reason, caught.value.delivered) == ("connection_lost", "yes")


def test_a_status_without_a_message_is_named() -> None:
    with pytest.raises(CallFailed, match="HTTP 413 and no JSON-RPC answer"):
        result_of(answered(b"", 413), b"7", outcome())
