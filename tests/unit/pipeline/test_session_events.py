"""A cancellation, or an answer to a question, comes to another process of the gateway than its call."""

from __future__ import annotations

from time import monotonic
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mcppool.pipeline.outcome import Outcome
from mcppool.pipeline.peers import OnSessionEvent, Peers, SessionEvent
from mcppool.pipeline.response.cancellation import GRACE, Cancellations
from mcppool.pipeline.response.server_requests import ClientAnswers
from mcppool.pipeline.sessions.session import Session
from mcppool.pipeline.sessions.streams import SessionStreams

PATIENCE = 3.0
HOME = ("a", "session-at-a")
SETTINGS: Any = SimpleNamespace(spec=SimpleNamespace(health_check=SimpleNamespace(timeout=PATIENCE)))


class Process:
    """One process of a gateway with one session; `others` answer its questions."""

    def __init__(self, others: OnSessionEvent = lambda *_: None) -> None:
        streams = SessionStreams()
        self.session = cast(Session, SimpleNamespace(streams=streams, token="token", principal="me", home=HOME))
        self.others = others
        self.told: dict[SessionEvent, OnSessionEvent] = {}
        sessions: Any = SimpleNamespace(known=lambda *key: self.session if key == ("token", "me") else None)
        self.cancellations = Cancellations(SETTINGS, sessions, cast(Peers, self))
        self.client_answers = ClientAnswers(sessions, cast(Peers, self))

    def on_session_event(self, event: SessionEvent, answer: OnSessionEvent) -> None:
        self.told[event] = answer

    async def ask_others(self, _event: SessionEvent, token: str, principal: str, id: bytes) -> bytes | None:
        return self.others(token, principal, id)

    def cancelled(self, token: str, principal: str, id: bytes) -> bytes | None:
        return self.told[SessionEvent.CANCELLED](token, principal, id)

    def answered(self, token: str, principal: str, id: bytes) -> bytes | None:
        return self.told[SessionEvent.ANSWERED](token, principal, id)

    def call(self, id: bytes, attempt: object | None) -> Outcome:
        outcome = Outcome()
        outcome.attempt = cast(Any, attempt)
        self.session.streams.begin(id, outcome)
        return outcome


def attempt(*, reissued: bytes | None = None, connected: bool = True) -> Any:
    connection = SimpleNamespace(deadline=monotonic() + 1000) if connected else None
    return SimpleNamespace(connection=connection, reissue=reissued and SimpleNamespace(id=reissued))


@pytest.mark.parametrize("reissued", [None, b'"mcppool-1"'])
def test_the_process_of_a_sent_call_tells_its_id_and_waits_no_longer_than_for_a_cancelled_one(
    reissued: bytes | None,
) -> None:
    process, sent = Process(), attempt(reissued=reissued)
    outcome = process.call(b"7", sent)
    assert process.cancelled("token", "me", b"7") == (reissued or b"7")
    assert outcome.cancelled
    assert sent.connection.deadline <= monotonic() + PATIENCE + GRACE


@pytest.mark.parametrize("waiting", [None, attempt(connected=False)], ids=["no endpoint", "no connection"])
def test_a_call_that_waits_is_cancelled_and_has_no_id_at_a_server(waiting: object | None) -> None:
    process = Process()
    outcome = process.call(b"7", waiting)
    assert process.cancelled("token", "me", b"7") == b""
    assert outcome.cancelled


@pytest.mark.parametrize("key", [("token", "me", b"8"), ("token", "other", b"7"), ("tokem", "me", b"7")])
def test_other_calls_and_sessions_are_not_cancelled(key: tuple[str, str, bytes]) -> None:
    process = Process()
    outcome = process.call(b"7", attempt())
    assert process.cancelled(*key) is None
    assert not outcome.cancelled


class Replied:
    """A reply: the status that it got."""

    status = 0

    def whole(self, status: int, _headers: bytes, _body: bytes) -> None:
        self.status = status


@pytest.mark.parametrize(
    ("answer", "status", "id"),
    [(None, 0, b"7"), (b"7", 0, b"7"), (b'"ours"', 0, b'"ours"'), (b"", 202, b"7")],
    ids=["nobody has it", "the same id", "an id of the gateway", "not sent"],
)
async def test_the_notification_goes_to_the_server_with_the_id_that_the_call_has_there(
    answer: bytes | None, status: int, id: bytes
) -> None:
    body = b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":%b}}'
    call: Any = SimpleNamespace(request=SimpleNamespace(method="notifications/cancelled"), body=body % b"7")
    plan: Any = SimpleNamespace(body=call.body)
    process, reply = Process(lambda *_: answer), Replied()
    served = await process.cancellations.serve(call, plan, process.session, cast(Any, reply), Outcome())
    assert (served, reply.status) == (status == 202, status)
    assert plan.body == body % id


@pytest.mark.parametrize("moved", [False, True])
async def test_a_question_that_another_process_has_passed_on_is_answered_at_its_server(moved: bool) -> None:
    process = Process()
    streams = process.session.streams
    shown = streams.ask(b"0", HOME, monotonic(), moved=moved)
    assert (shown == b"0") != moved
    assert process.answered("token", "me", b'"another"') is None
    assert process.answered("token", "other", shown) is None
    stood = streams.stood_still(monotonic() + 60)
    assert process.answered("token", "me", shown) == b"0"
    assert streams.stood_still(monotonic() + 60) < stood, "the clocks of the session's calls go on"


async def test_a_question_of_a_server_that_is_no_longer_the_home_has_no_id() -> None:
    process = Process()
    shown = process.session.streams.ask(b"0", ("b", "session-at-b"), monotonic(), moved=False)
    assert process.answered("token", "me", shown) == b""


@pytest.mark.parametrize(
    ("asked_as", "goes", "id"),
    [(None, True, b"7"), (b"7", True, b"7"), (b'"theirs"', True, b'"theirs"'), (b"", False, b"7")],
    ids=["nobody asked it", "the same id", "an id of the server", "its server is gone"],
)
async def test_an_answer_goes_to_the_server_with_the_id_of_its_question(
    asked_as: bytes | None, goes: bool, id: bytes
) -> None:
    body = b'{"jsonrpc":"2.0","id":%b,"result":{}}'
    plan: Any = SimpleNamespace(body=body % b"7")
    process = Process(lambda *_: asked_as)
    assert await process.client_answers.take(process.session, plan) == goes
    assert plan.body == body % id
