"""Several callers on one process: each has its own answers, and cancels its own calls, whatever ids they give."""

from __future__ import annotations

import json
from typing import Any, cast

from mcppool.upstream.stdio.conversation import CANCELLED, Conversation, Exchange
from mcppool.upstream.stdio.process import Process
from mcppool.wire.envelope import parse_request

BODY = b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"x","arguments":{}}}'


class FakeProcess:
    """Takes messages and says nothing."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def send(self, message: bytes) -> None:
        self.heard.append(json.loads(message))


def talk() -> tuple[FakeProcess, Conversation]:
    process = FakeProcess()
    return process, Conversation(cast(Process, process))


def answers(exchange: Exchange) -> list[Any]:
    found = []
    while not exchange.messages.empty():
        message = exchange.messages.get_nowait()
        found.append(json.loads(message) if message is not None else None)
    return found


async def test_equal_ids_of_two_callers_are_two_requests() -> None:
    process, conversation = talk()
    (ann, anns), (bob, bobs) = (conversation.begin(parse_request(BODY), BODY, name) for name in ("ann", "bob"))
    assert [message["id"] for message in process.heard] == [int(ann), int(bob)]
    assert (conversation.id_of("ann", b"7"), conversation.id_of("bob", b"7")) == (ann, bob)
    conversation.heard(b'{"jsonrpc":"2.0","id":%b,"result":{"to":"bob"}}' % bob)
    assert answers(bobs) == [{"jsonrpc": "2.0", "id": 7, "result": {"to": "bob"}}, None]
    assert answers(anns) == []
    assert conversation.id_of("bob", b"7") is None


async def test_a_cancelled_request_is_over_for_its_caller_and_for_nobody_else() -> None:
    _, conversation = talk()
    (ann, anns), (_, bobs) = (conversation.begin(parse_request(BODY), BODY, name) for name in ("ann", "bob"))
    conversation.cancelled(ann)
    (answer, end) = answers(anns)
    assert (answer["id"], answer["error"]["code"], end) == (7, CANCELLED, None)
    conversation.heard(b'{"jsonrpc":"2.0","id":%b,"result":{}}' % ann)
    assert answers(anns) == [], "what the server says of it all the same is nobody's"
    assert not bobs.answered
