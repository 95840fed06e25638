"""Session ids as clients see them: sealed, bound to their principal, never opened once they were ended."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from mcppool.pipeline import sessions as module
from mcppool.pipeline.exchange import Call
from mcppool.pipeline.sessions import MAX_SUBSCRIPTIONS, Session, Sessions, note_state
from mcppool.upstream.connection import Connection, Response
from mcppool.wire.era import Era
from mcppool.wire.sealing import Key, KeyRing
from tests.unit.pipeline.pools import RING, call_of, pool_of

NOW = 1_800_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = 500.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "monotonic", clock)
    return clock


def sessions_of(
    ring: KeyRing = RING, *, pool: str = "p", max_sessions: int = 3, idle_timeout: float = 60.0
) -> Sessions:
    return Sessions(pool, ring, lambda: NOW, max_sessions=max_sessions, idle_timeout=idle_timeout)


def answered(*, id: str | None = "upstream-1", status: int = 200) -> Response:
    response = Response(cast(Connection, None))
    response.status = status
    response.headers = [] if id is None else [(b"mcp-session-id", id.encode())]
    return response


def hello(principal: str = "anonymous") -> Call:
    info = {"name": "agent", "version": "3"}
    return call_of(
        "initialize", era=Era.LEGACY, principal=principal, protocolVersion="2025-11-25",
        capabilities={"elicitation": {}}, clientInfo=info,
    )  # fmt: skip


RESULT = b'{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{}}}'


def begin(sessions: Sessions, upstream: str = "upstream-1", principal: str = "anonymous") -> str:
    """The id that a client is given for a new session."""
    endpoint = pool_of("", "a").endpoints["http://a/mcp"]
    line = sessions.opened(hello(principal), endpoint, answered(id=upstream), RESULT)
    name, _, value = line.decode().strip().partition(": ")
    assert name == "mcp-session-id"
    return value


async def test_an_id_holds_what_its_session_needs_on_any_gateway_with_the_key() -> None:
    session = sessions_of().open(begin(sessions_of()))
    assert session is not None
    assert (session.endpoint, session.upstream_id) == ("http://a/mcp", "upstream-1")
    assert session.line == b"mcp-session-id: upstream-1\r\n"
    claims = session.claims
    assert (claims.version, claims.client_name, claims.client_version) == ("2025-06-18", "agent", "3")
    assert json.loads(claims.capabilities or b"") == {"elicitation": {}}
    assert (claims.issued, session.moved) == (NOW, False)


async def test_an_id_is_of_no_use_to_another_principal_pool_or_key() -> None:
    token = begin(sessions_of(), principal="ann")
    assert sessions_of().open(token, "ann") is not None
    assert sessions_of().open(token, "bob") is None
    assert sessions_of().open(token) is None
    assert sessions_of(pool="q").open(token, "ann") is None
    assert sessions_of(KeyRing([Key("other", bytes(range(32)))])).open(token, "ann") is None


async def test_what_is_remembered_of_one_principal_is_not_given_to_another() -> None:
    sessions = sessions_of()
    token = begin(sessions, principal="ann")
    assert sessions.open(token, "ann") is not None
    assert sessions.open(token, "bob") is None


async def test_keys_may_be_changed_while_sessions_live() -> None:
    old, new = Key("old", bytes(32)), Key("new", bytes(range(32)))
    sessions = sessions_of(KeyRing([old]))
    token = begin(sessions)
    sessions.renew_ring(KeyRing([new, old]))
    assert sessions.open(token) is not None
    fresh = begin(sessions, "upstream-2")
    elsewhere = sessions_of(KeyRing([new, old]))
    assert elsewhere.open(token) is not None
    only_new = sessions_of(KeyRing([new]))
    assert only_new.open(fresh) is not None
    assert only_new.open(token) is None


@pytest.mark.parametrize("left", [[Key("new", bytes(32))], [Key("new", bytes(32)), Key("old", bytes(range(32)))]])
async def test_with_its_key_a_session_ends_although_it_is_remembered(left: list[Key]) -> None:
    old, new = Key("old", bytes(32)), Key("new", bytes(32))
    sessions = sessions_of(KeyRing([old, new]))
    token = begin(sessions)
    sessions.renew_ring(KeyRing([new, old]))
    fresh = begin(sessions, "upstream-2")
    sessions.renew_ring(KeyRing(left))
    assert sessions.open(token) is None
    assert sessions.open(fresh) is not None
    assert sessions.remembered == 1


@pytest.mark.parametrize(
    ("response", "body"),
    [
        (answered(id=None), RESULT),
        (answered(status=400), RESULT),
        (answered(), b'{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no"}}'),
        (answered(), b"not json"),
    ],
    ids=["none given", "refused", "an error", "garbage"],
)
async def test_there_is_no_id_without_a_session(response: Response, body: bytes) -> None:
    sessions = sessions_of()
    endpoint = pool_of("", "a").endpoints["http://a/mcp"]
    assert sessions.opened(hello(), endpoint, response, body) == b""
    assert sessions.remembered == 0


async def test_the_least_used_is_forgotten_and_can_still_be_opened() -> None:
    sessions = sessions_of(max_sessions=3)
    tokens = [begin(sessions, f"upstream-{number}") for number in range(3)]
    moved = sessions.open(tokens[0])
    assert moved is not None
    moved.settle("http://b/mcp", "elsewhere", NOW)
    tokens.append(begin(sessions, "upstream-3"))
    assert sessions.remembered == 3
    assert sessions.open(tokens[0]) is moved, "it was used, so it is not the one that is forgotten"
    again = sessions.open(tokens[1])
    assert again is not None
    assert again.upstream_id == "upstream-1"


async def test_an_ended_session_is_unknown_until_nobody_can_remember_it(clock: Clock) -> None:
    sessions = sessions_of(idle_timeout=60)
    token, other = begin(sessions), begin(sessions, "upstream-2")
    sessions.end(token)
    clock.now += 59
    sessions.sweep(clock.now)
    assert sessions.open(token) is None
    assert sessions.open(other) is not None
    assert sessions.remembered == 1


async def test_tombstones_are_bounded(clock: Clock) -> None:
    sessions = sessions_of(max_sessions=3)
    tokens = [begin(sessions, f"upstream-{number}") for number in range(6)]
    for token in tokens:
        sessions.end(token)
    assert [sessions.open(token) is None for token in tokens[3:]] == [True] * 3
    assert len(sessions._ended) <= 3


async def test_what_nobody_uses_is_forgotten_and_what_is_used_is_not(clock: Clock) -> None:
    sessions = sessions_of(idle_timeout=60)
    idle, used = begin(sessions), begin(sessions, "upstream-2")
    clock.now += 40
    assert sessions.open(used) is not None
    clock.now += 30
    sessions.sweep(clock.now)
    assert sessions.remembered == 1
    assert sessions.open(used) is not None
    assert sessions.open(idle) is not None, "its id still says all"


async def test_smaller_limits_hold_from_the_next_session_on() -> None:
    sessions = sessions_of(max_sessions=3)
    for number in range(3):
        begin(sessions, f"upstream-{number}")
    sessions.configure(max_sessions=1, idle_timeout=60)
    begin(sessions, "upstream-9")
    assert sessions.remembered == 1


async def test_what_a_new_home_must_be_told_is_remembered() -> None:
    session = sessions_of().open(begin(sessions_of()))
    assert session is not None
    note(session, "logging/setLevel", level="debug")
    note(session, "resources/subscribe", uri="x://1")
    note(session, "resources/subscribe", uri="x://2")
    note(session, "resources/unsubscribe", uri="x://1")
    note(session, "tools/call", uri="x://3")
    assert (session.log_level, list(session.subscriptions)) == ("debug", ["x://2"])
    for number in range(2 * MAX_SUBSCRIPTIONS):
        note(session, "resources/subscribe", uri=f"y://{number}")
    assert len(session.subscriptions) == MAX_SUBSCRIPTIONS
    note_state(session, "logging/setLevel", b"[]")


def note(session: Session, method: str, **params: Any) -> None:
    note_state(session, method, call_of(method, **params).body)
