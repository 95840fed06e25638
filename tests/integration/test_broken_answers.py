"""Broken answers of servers lead to an error with the delivery, or to a retry where that is safe."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.conftest import GatewayFactory
from tests.integration.raw_http import ask, tool_call
from tests.servers import Gateway, pool_toml
from tests.servers.faults import (
    Behaviour,
    Exchange,
    FaultServer,
    close_without_answer,
    cut_short,
    garbage,
    not_json,
    reset_after,
    status,
    wrong_id,
)
from tests.servers.framing import chunked, connection_close, event_stream, http10

JSON_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def raw(*parts: bytes, close: bool = True) -> Behaviour:
    """Executes and answers with these bytes."""

    async def behave(exchange: Exchange) -> None:
        exchange.execute()
        for part in parts:
            await exchange.send(part)
        if close:
            exchange.close()

    return behave


def framed(head: bytes, *, close: bool = False, end: bytes = b"") -> Behaviour:
    """Executes and answers rightly, but with this before the length and that behind the body."""

    async def behave(exchange: Exchange) -> None:
        exchange.execute()
        body = json.dumps(exchange.answer()).encode()
        await exchange.send(head + b"Content-Length: %d\r\n\r\n" % len(body) + body + end)
        if close:
            exchange.close()

    return behave


EVENTS_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


def large(*, id: object = None, id_last: bool = False) -> Behaviour:
    """Executes and answers with more than is held, under this id or the right one."""

    async def behave(exchange: Exchange) -> None:
        exchange.execute()
        answer = exchange.answer()
        answer["result"]["content"] = [{"type": "text", "text": "x" * 200_000}]
        answer["id"] = answer["id"] if id is None else id
        await exchange.respond(dict(sorted(answer.items(), reverse=id_last)))

    return behave


def events(*blocks: bytes, answer: bool = True, after: bytes = b"") -> Behaviour:
    """Executes and answers with these events, then the answer, then events that are not the client's."""

    async def behave(exchange: Exchange) -> None:
        exchange.execute()
        await exchange.send(EVENTS_HEAD + b"".join(blocks))
        if answer:
            await exchange.send(b"data: " + json.dumps(exchange.answer()).encode() + b"\n\n" + after)
        exchange.close()

    return behave


# The server's behaviour, the reason in our error, and the delivery of the call.
BROKEN: dict[str, tuple[Behaviour, str, str]] = {
    "not HTTP": (garbage, "bad_upstream_answer", "yes"),
    "HTTP/2": (raw(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00"), "bad_upstream_answer", "yes"),
    "HTTP/2's preface": (raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "bad_upstream_answer", "yes"),
    "not JSON": (not_json, "bad_upstream_answer", "yes"),
    "a page": (status("200 OK"), "bad_upstream_answer", "yes"),
    "the answer to another": (wrong_id, "bad_upstream_answer", "yes"),
    "a large answer to another": (large(id="of-another-request"), "bad_upstream_answer", "yes"),
    "a large body that is no answer": (raw(JSON_HEAD + b"\r\n" + b"x" * 200_000), "bad_upstream_answer", "yes"),
    "a page instead of the endpoint": (status("404 Not Found"), "request_rejected", "yes"),
    "another verb wanted": (status("405 Method Not Allowed"), "request_rejected", "yes"),
    "a large head": (raw(JSON_HEAD + b"X: " + b"x" * 200_000 + b"\r\n\r\n"), "bad_upstream_answer", "yes"),
    "a bad chunk": (
        raw(JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"), "bad_upstream_answer", "yes",
    ),
    "two lengths": (raw(JSON_HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"), "bad_upstream_answer", "yes"),
    "another protocol": (
        raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"),
        "bad_upstream_answer", "yes",
    ),
    "cut short": (cut_short, "connection_lost", "yes"),
    "a stream that is cut": (
        raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n: pi"),
        "connection_lost", "yes",
    ),
    "reset": (reset_after, "connection_lost", "unknown"),
    "closed": (close_without_answer, "connection_lost", "unknown"),
    "500": (status("500 Internal Server Error", executes=True), "upstream_error", "yes"),
}  # fmt: skip

# Unusual, valid answers.
UNUSUAL: dict[str, Behaviour] = {
    "a word before it": framed(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + JSON_HEAD),
    "100 Continue before it": framed(b"HTTP/1.1 100 Continue\r\n\r\n" + JSON_HEAD),
    "Connection: close": connection_close,
    "HTTP/1.0": http10,
    "chunks of one byte": chunked(1),
    "chunks of any size": chunked(3, 1, 100, 7),
    "more than the answer": framed(JSON_HEAD, end=b"HTTP/1.1 200 OK\r\n\r\n"),
    "events byte by byte": event_stream(split=1),
    "events with CRLF": event_stream(split=5, line_end=b"\r\n"),
    "events of another type": events(b"event: ping\ndata: 12:00\n\n"),
    "another's answer behind the answer": events(after=b'data: {"jsonrpc":"2.0","id":9,"result":{}}\n\n'),
    "a large answer": large(),
    "a large answer with its id at the end": large(id_last=True),
}

# Streams that have begun without any part of an answer: repeatable calls are repeated.
NOTHING_YET: dict[str, Behaviour] = {
    "a comment": events(b": ping\n\n" * 200, answer=False),
    "an id": events(b"id: 1\ndata: \n\n", answer=False),
    "a time to come back": events(b"retry: 1000\n\n", answer=False),
}


@pytest.fixture
async def server() -> AsyncIterator[FaultServer]:
    async with FaultServer() as server:
        yield server


@pytest.fixture
async def front(server: FaultServer, gateway: GatewayFactory) -> Gateway:
    return await asyncio.to_thread(gateway, pool_toml(server.url))


async def test_each_becomes_an_error_with_its_delivery_and_the_next_call_works(
    front: Gateway, server: FaultServer
) -> None:
    wrong = {}
    for name, (behaviour, reason, delivered) in BROKEN.items():
        server.script = [behaviour]
        answer = await ask(front, tool_call("write", request_id=name))
        said = answer.json
        error = said.get("error", {"code": None, "data": {}})
        seen = (said["id"], error["code"], error["data"].get("reason"), error["data"].get("delivered"))
        if seen != (name, -32603, reason, delivered):
            wrong[name] = (answer.status, said)
        server.script = []
        assert (await ask(front, tool_call("write"))).status == 200, f"after {name}"
    assert not wrong
    assert len(server.calls("write")) == 2 * len(BROKEN), "what might have had its effect is not repeated"


async def test_a_repeatable_call_is_repeated(front: Gateway, server: FaultServer) -> None:
    wrong = {}
    for name, (behaviour, reason, _) in BROKEN.items():
        if reason == "request_rejected":  # an answer
            continue
        server.script = [behaviour]
        answer = await ask(front, tool_call("read", request_id=name))
        if answer.status != 200 or answer.json.get("id") != name or "result" not in answer.json:
            wrong[name] = (answer.status, answer.body)
    assert not wrong


@pytest.mark.parametrize("name", NOTHING_YET)
async def test_a_stream_that_ends_without_an_event_is_no_begun_answer(
    name: str, front: Gateway, server: FaultServer
) -> None:
    server.script = [NOTHING_YET[name]]
    answer = await ask(front, tool_call("read", request_id=name))
    said = json.loads(_last_event(answer.body))
    assert (answer.status, said["id"], "result" in said) == (200, name, True)


async def test_a_second_copy_of_an_answer_does_not_reach_the_next_client_with_the_same_id(
    front: Gateway, server: FaultServer
) -> None:
    answers: list[dict[str, Any]] = []

    async def first(exchange: Exchange) -> None:
        answers.append({**exchange.answer(), "result": {"content": [{"type": "text", "text": "the first one's"}]}})
        await exchange.respond(answers[0])

    async def once_more(exchange: Exchange) -> None:
        await exchange.respond(answers[0])  # it comes during the next call

    server.script = [first, once_more]
    assert b"the first one's" in (await ask(front, tool_call("read"))).body
    answer = await ask(front, tool_call("read"))
    assert (answer.status, answer.json["id"]) == (200, 1)
    assert b"the first one's" not in answer.body


async def test_a_large_answer_that_turns_out_to_be_anothers_at_its_end_is_cut(
    front: Gateway, server: FaultServer
) -> None:
    server.script = [large(id="of-another-request", id_last=True)]
    with pytest.raises(asyncio.IncompleteReadError):
        await ask(front, tool_call("write"))


async def test_unusual_answers_are_understood(front: Gateway, server: FaultServer) -> None:
    wrong = {}
    for name, behaviour in UNUSUAL.items():
        server.script = [behaviour]
        answer = await ask(front, tool_call("write", request_id=name))
        body = answer.body if answer.headers["content-type"] == "application/json" else _last_event(answer.body)
        if answer.status != 200 or "result" not in json.loads(body) or json.loads(body)["id"] != name:
            wrong[name] = (answer.status, answer.body)
    assert not wrong
    assert len(server.calls("write")) == len(UNUSUAL)


def _last_event(stream: bytes) -> bytes:
    assert b'"id":9' not in stream
    lines = stream.replace(b"\r\n", b"\n").split(b"\n")
    return [line for line in lines if line.startswith(b"data: ")][-1].removeprefix(b"data: ")
