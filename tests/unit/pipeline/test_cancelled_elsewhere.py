"""A cancellation comes to another process of the gateway than its call."""

from __future__ import annotations

from time import monotonic
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mcppool.pipeline.outcome import Outcome
from mcppool.pipeline.peers import OnSessionEvent, Peers, SessionEvent
from mcppool.pipeline.response.cancellation import GRACE, Cancellations
from mcppool.pipeline.sessions.session import Session
from mcppool.pipeline.sessions.streams import SessionStreams

PATIENCE = 3.0
SETTINGS: Any = SimpleNamespace(spec=SimpleNamespace(health_check=SimpleNamespace(timeout=PATIENCE)))


class Process:
    """One process of a gateway with one session; `others` answer its questions."""

    def __init__(self, others: OnSessionEvent = lambda *_: None) -> None:
        self.session = cast(Session, SimpleNamespace(streams=SessionStreams(), token="token", principal="me"))
        self.others = others
        self.asked: OnSessionEvent = lambda *_: None
        sessions: Any = SimpleNamespace(known=lambda *key: self.session if key == ("token", "me") else None)
        self.cancellations = Cancellations(SETTINGS, sessions, cast(Peers, self))

    def on_session_event(self, event: SessionEvent, answer: OnSessionEvent) -> None:
        assert event is SessionEvent.CANCELLED
        self.asked = answer

    async def ask_others(self, event: SessionEvent, token: str, principal: str, id: bytes) -> bytes | None:
        assert event is SessionEvent.CANCELLED
        return self.others(token, principal, id)

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
    assert process.asked("token", "me", b"7") == (reissued or b"7")
    assert outcome.cancelled
    assert sent.connection.deadline <= monotonic() + PATIENCE + GRACE


@pytest.mark.parametrize("waiting", [None, attempt(connected=False)], ids=["no endpoint", "no connection"])
def test_a_call_that_waits_is_cancelled_and_has_no_id_at_a_server(waiting: object | None) -> None:
    process = Process()
    outcome = process.call(b"7", waiting)
    assert process.asked("token", "me", b"7") == b""
    assert outcome.cancelled


@pytest.mark.parametrize("key", [("token", "me", b"8"), ("token", "other", b"7"), ("tokem", "me", b"7")])
def test_other_calls_and_sessions_are_not_cancelled(key: tuple[str, str, bytes]) -> None:
    process = Process()
    outcome = process.call(b"7", attempt())
    assert process.asked(*key) is None
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
