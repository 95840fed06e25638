"""Several callers on one process: each gets its own messages, in order, and no others."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

import pytest

from mcppool.policy.memory_budget import MemoryBudget
from mcppool.upstream.stdio.conversation import CANCELLED, Callers, Conversation
from mcppool.upstream.stdio.pending_request import BACKLOG, PendingRequest
from mcppool.upstream.stdio.process import Process
from mcppool.upstream.stdio.subscription import Subscription
from mcppool.wire.bulk import BULK, Bulk, finish, read_in_slices
from mcppool.wire.rpc_request import parse_request
from tests.waiting import until

BODY = b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"x","arguments":{}}}'
WITH_TOKEN = (
    b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"x","arguments":{},"_meta":{"progressToken":"t"}}}'
)
LISTEN = b'{"jsonrpc":"2.0","id":"l","method":"subscriptions/listen","params":{"notifications":{}}}'
LOG = b'{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"row"}}'
QUESTION = b'{"jsonrpc":"2.0","id":"q","method":"sampling/createMessage","params":{}}'


class FakeProcess:
    """Takes messages and says nothing."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.paused = False

        class Ended:
            @staticmethod
            def is_set() -> bool:
                return False

        self.ended = Ended()

    async def send(self, message: bytes) -> None:
        self.heard.append(json.loads(message))

    def post(self, message: bytes) -> None:
        self.heard.append(json.loads(message))

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False


def talk(callers: Callers = Callers.STATELESS, **more: Any) -> tuple[FakeProcess, Conversation]:
    process = FakeProcess()
    return process, Conversation(cast(Process, process), callers, **more)


async def begin(
    conversation: Conversation, name: str = "", body: bytes = BODY, *, logs: bool = False, aside: bool = False
) -> tuple[bytes, PendingRequest]:
    return await conversation.begin(parse_request(body), body, name, logs=logs, aside=aside)


def large(message: bytes) -> Bulk:
    """A message of more than `BULK` bytes that was read."""
    made = Bulk(message.replace(b"PLACE", b"x" * BULK))
    finish(read_in_slices(made))
    return made


async def inbox(exchange: PendingRequest) -> list[Any]:
    found = []
    while len(exchange.messages):
        message = await exchange.messages.get()
        found.append(json.loads(message) if message is not None else None)
    return found


async def test_equal_ids_of_two_callers_are_two_requests() -> None:
    process, conversation = talk()
    (ann, anns), (bob, bobs) = [await begin(conversation, name) for name in ("ann", "bob")]
    assert [message["id"] for message in process.heard] == [int(ann), int(bob)]
    assert (conversation.id_of("ann", b"7"), conversation.id_of("bob", b"7")) == (ann, bob)
    conversation.heard(b'{"jsonrpc":"2.0","id":%b,"result":{"to":"bob"}}' % bob)
    assert await inbox(bobs) == [{"jsonrpc": "2.0", "id": 7, "result": {"to": "bob"}}, None]
    assert await inbox(anns) == []
    assert conversation.id_of("bob", b"7") is None


async def test_a_cancelled_request_is_over_only_for_its_caller() -> None:
    _, conversation = talk()
    (ann, anns), (_, bobs) = [await begin(conversation, name) for name in ("ann", "bob")]
    conversation.cancelled(ann)
    (answer, end) = await inbox(anns)
    assert (answer["id"], answer["error"]["code"], end) == (7, CANCELLED, None)
    conversation.heard(b'{"jsonrpc":"2.0","id":%b,"result":{}}' % ann)
    assert await inbox(anns) == [], "what the server says of it all the same is nobody's"
    assert not bobs.answered


async def test_messages_before_the_answer_stay_before_it() -> None:
    _, conversation = talk(Callers.SESSION)
    id, exchange = await begin(conversation, body=WITH_TOKEN)
    conversation.heard(LOG)
    conversation.heard(
        b'{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%b,"progress":1}}' % id
    )
    conversation.heard(QUESTION)
    conversation.heard(LOG)
    conversation.heard(b'{"jsonrpc":"2.0","id":%b,"result":{}}' % id)
    got = await inbox(exchange)
    assert [m and (m.get("method") or "answer") for m in got] == [
        "notifications/message", "notifications/progress", "sampling/createMessage", "notifications/message", "answer",
        None,
    ]  # fmt: skip
    assert got[1]["params"]["progressToken"] == "t"


@pytest.mark.parametrize("callers", list(Callers))
async def test_a_log_message_that_may_be_about_two_calls_goes_to_neither(callers: Callers) -> None:
    _, conversation = talk(callers)
    (_, anns), (_, bobs) = [await begin(conversation, name, logs=True) for name in ("ann", "bob")]
    conversation.heard(LOG)
    assert await inbox(anns) == await inbox(bobs) == []


async def test_a_log_message_goes_only_to_callers_that_asked_for_it() -> None:
    _, conversation = talk()
    _, exchange = await begin(conversation)
    conversation.heard(LOG)
    assert await inbox(exchange) == []


async def test_a_log_message_may_be_about_a_call_that_was_given_up() -> None:
    _, conversation = talk()
    gone, _ = await begin(conversation, "ann", logs=True)
    conversation.cancel(gone)
    assert not conversation.quiet
    _, exchange = await begin(conversation, "bob", logs=True)
    conversation.heard(LOG)
    assert await inbox(exchange) == []
    conversation.heard(b'{"jsonrpc":"2.0","id":%b,"error":{"code":0,"message":"cancelled"}}' % gone)
    conversation.heard(LOG)
    assert len(await inbox(exchange)) == 1, "that one is over, and nobody else is there"


async def test_a_request_of_the_prober_takes_no_log_messages_from_a_call_and_leaves_the_process_quiet() -> None:
    _, conversation = talk()
    checked, check = await begin(conversation, aside=True)
    assert conversation.quiet
    _, calling = await begin(conversation, logs=True)
    conversation.heard(LOG)
    assert await inbox(check) == []
    assert len(await inbox(calling)) == 1
    conversation.cancel(checked)
    assert calling.alone


async def test_a_listening_client_does_not_get_the_log_messages_of_a_call() -> None:
    _, conversation = talk()
    _, listening = await begin(conversation, body=LISTEN)
    _, calling = await begin(conversation, logs=True)
    conversation.heard(LOG)
    assert await inbox(listening) == []
    assert len(await inbox(calling)) == 1


@pytest.mark.parametrize("callers", list(Callers))
async def test_progress_of_a_finished_call_is_dropped(callers: Callers) -> None:
    _, conversation = talk(callers)
    id, _ = await begin(conversation, body=WITH_TOKEN)
    conversation.heard(b'{"jsonrpc":"2.0","id":%b,"result":{}}' % id)
    _, other = await begin(conversation, body=WITH_TOKEN)
    conversation.heard(
        b'{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%b,"progress":1}}' % id
    )
    assert await inbox(other) == []
    assert len(conversation.unsolicited) == 0


@pytest.mark.parametrize("callers", [Callers.STATELESS, Callers.SHARED])
async def test_a_question_without_a_client_is_refused(callers: Callers) -> None:
    process, conversation = talk(callers)
    _, exchange = await begin(conversation)
    conversation.heard(QUESTION)
    conversation.heard(b'{"jsonrpc":"2.0","id":5,"method":"ping"}')
    refused, pong = process.heard[1:]
    assert (refused["id"], refused["error"]["code"]) == ("q", -32601)
    assert pong == {"jsonrpc": "2.0", "id": 5, "result": {}}
    assert await inbox(exchange) == []


async def test_a_question_in_a_session_reaches_its_client_also_while_several_calls_are_under_way() -> None:
    _, conversation = talk(Callers.SESSION)
    (_, one), (_, two) = [await begin(conversation, name) for name in ("s", "s")]
    conversation.heard(QUESTION)
    assert [m["id"] for m in await inbox(one) + await inbox(two)] == ["q"]
    conversation.listening = True
    conversation.heard(QUESTION)
    assert len(conversation.unsolicited) == 1


async def test_an_error_that_names_no_request_answers_the_only_one() -> None:
    _, conversation = talk()
    _, exchange = await begin(conversation)
    conversation.heard(b'{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"what?"}}')
    answer, end = await inbox(exchange)
    assert (answer["id"], answer["error"]["code"], end) == (7, -32700, None)


async def test_a_caller_that_takes_too_slowly_holds_up_its_own_process_only() -> None:
    budget = MemoryBudget()
    progress = b'{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1,"m":"%b"}}'
    line = progress % (b"x" * (BACKLOG // 4))
    for callers in (Callers.SESSION, Callers.STATELESS):
        process, conversation = talk(callers, account=budget.account("local"))
        id, exchange = await begin(conversation, body=WITH_TOKEN)
        for _ in range(6):
            conversation.heard(line)
        assert exchange.messages.size <= BACKLOG + 2 * len(line) or callers is Callers.SESSION
        if callers is Callers.SESSION:
            assert process.paused
            while exchange.messages.size > BACKLOG:
                await exchange.messages.get()
            assert not process.paused
        else:
            assert await inbox(exchange) == [None], "it is cut"
            assert process.heard[-1]["params"]["requestId"] == int(id)
        conversation.cancel(id)
    assert budget.charged == 0


async def test_lines_that_are_no_messages_are_reported() -> None:
    told: list[bytes] = []
    _, conversation = talk(on_unreadable=told.append)
    _, exchange = await begin(conversation)
    for line in (b"Server is listening", b"[]", b'{"jsonrpc":"2.0"}', b"\xff\xfe"):
        conversation.heard(line)
    assert len(told) == 4
    assert await inbox(exchange) == []


@pytest.mark.parametrize(
    "answer",
    [
        b'{"jsonrpc":"2.0","id":1,"result":{"_meta":{"a":"PLACE",}}}',
        b'{"error":{"code":-32000,"message":"PLACE",},"jsonrpc":"2.0","id":1}',
        b'{"jsonrpc":"2.0","id":1,"result":{"content":["PLACE"}}',
    ],
)
async def test_a_large_answer_that_cannot_be_read_is_an_error_and_not_silence(answer: bytes) -> None:
    unreadable: list[bytes] = []
    _, conversation = talk(on_unreadable=unreadable.append)
    _, exchange = await begin(conversation)
    conversation.heard(large(answer))
    error, end = await inbox(exchange)
    assert (error["id"], error["error"]["data"]["reason"], end) == (7, "bad_upstream_answer", None)
    assert len(unreadable) == 1


async def test_a_large_answer_is_given_under_the_callers_id() -> None:
    _, conversation = talk()
    _, exchange = await begin(conversation)
    conversation.heard(large(b'{"jsonrpc":"2.0","id":1,"result":{"content":["PLACE"]}}'))
    answer, end = await inbox(exchange)
    assert (answer["id"], len(answer["result"]["content"][0]), end) == (7, BULK, None)


async def test_further_processes_get_a_large_subscription_under_ids_of_their_own() -> None:
    body = large(LISTEN.replace(b"{}}", b'{},"arguments":"PLACE"}'))
    request = parse_request(body)
    (_, first), (one, worker), (other, another) = talk(), talk(), talk()
    for _ in range(11):
        await another.begin(parse_request(BODY), BODY)
    _, pending = await first.begin(request, body)
    before = bytes(body)
    subscription = Subscription(first, pending, request, body)
    joining = [asyncio.create_task(subscription.join(each)) for each in (worker, another)]
    await until(lambda: one.heard and len(other.heard) == 12, "both are asked")
    assert (one.heard[-1]["id"], other.heard[-1]["id"]) == (1, 12)
    assert body == before, "it may still be written to the first process"
    subscription.end()
    await asyncio.gather(*joining)
