"""Session ids as clients see them: sealed, bound to their principal, invalid once ended."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mcppool.pipeline.outcome import Outcome
from mcppool.pipeline.sessions import sealed_ids as sessions_module
from mcppool.pipeline.sessions import session as session_module
from mcppool.pipeline.sessions.session import MAX_SUBSCRIPTION_BYTES, MAX_SUBSCRIPTIONS
from mcppool.policy.memory_budget import MemoryBudget
from mcppool.spec import SessionsSpec
from mcppool.upstream.http.response import Response
from mcppool.wire.sealing import Key, KeyRing, inflated
from tests.unit.pipeline.pools import call_of, pool_of
from tests.unit.pipeline.sealed_sessions import NOW, RESULT, Wall, answered, begin, end, hello, sessions_of


class Clock:
    def __init__(self) -> None:
        self.now = 500.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (session_module, sessions_module):
        monkeypatch.setattr(module, "monotonic", clock)
    return clock


async def test_an_id_holds_all_data_of_its_session_for_any_gateway_with_the_key() -> None:
    session = sessions_of().open(begin(sessions_of()))
    assert session is not None
    assert (session.endpoint, session.upstream_id) == ("http://a/mcp", "upstream-1")
    assert session.line == b"mcp-session-id: upstream-1\r\n"
    claims = session.claims
    assert (claims.version, json.loads(claims.client)) == ("2025-06-18", {"name": "agent", "version": "3"})
    assert json.loads(inflated(claims.capabilities or b"")) == {"elicitation": {}}
    assert (claims.issued, session.moved) == (NOW, False)


async def test_an_id_is_of_no_use_to_another_principal_pool_or_key() -> None:
    token = begin(sessions_of(), principal="ann")
    assert sessions_of().open(token, "ann") is not None
    assert sessions_of().open(token, "bob") is None
    assert sessions_of().open(token) is None
    assert sessions_of(pool="q").open(token, "ann") is None
    assert sessions_of(KeyRing([Key("other", bytes(range(32)))])).open(token, "ann") is None


async def test_sessions_of_one_principal_are_not_given_to_another() -> None:
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


async def test_an_ended_session_stays_dead_for_as_long_as_its_id_could_be_used(clock: Clock) -> None:
    wall = Wall()
    sessions = sessions_of(now=wall, max_age=1000.0)
    token, other = begin(sessions), begin(sessions, "upstream-2")
    end(sessions, token)
    for _ in range(90):
        wall.now += 10
        clock.now += 10
        sessions.sweep(clock.now)
        assert sessions.open(token) is None
    assert sessions.open(other) is not None
    assert sessions.remembered == 1
    wall.now += 200
    clock.now += 200
    sessions.sweep(clock.now)
    assert sessions.open(token) is None
    assert sessions.ended == 0, "its id opens nothing any more, so nothing has to be remembered"


async def test_an_id_opens_nothing_once_it_is_too_old_remembered_or_not(clock: Clock) -> None:
    wall = Wall()
    sessions = sessions_of(now=wall, max_age=1000.0, idle_timeout=10_000.0)
    token = begin(sessions)
    wall.now += 999
    clock.now += 999
    assert sessions.open(token) is not None
    assert sessions_of(now=wall).open(token) is not None
    wall.now += 1
    clock.now += 1
    assert sessions.open(token) is None
    assert sessions_of(now=wall).open(token) is None
    assert sessions.remembered == 0


@pytest.mark.parametrize("what", ["stream", "call"])
async def test_a_session_is_remembered_while_its_stream_is_open_or_a_call_is_under_way(clock: Clock, what: str) -> None:
    sessions = sessions_of(idle_timeout=60)
    token = begin(sessions)
    session = sessions.open(token)
    assert session is not None
    connection: Any = object()
    outcome = Outcome()
    if what == "stream":
        session.streams.open = (connection,)
    else:
        session.streams.begin(b"1", outcome)
    clock.now += 100
    sessions.sweep(clock.now)
    assert sessions.open(token) is session, "it knows where the session has moved to"
    session.streams.open = ()
    session.streams.end(b"1", outcome)
    clock.now += 100
    sessions.sweep(clock.now)
    assert sessions.remembered == 0


async def test_only_unused_sessions_are_forgotten(clock: Clock) -> None:
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
    sessions.configure(SessionsSpec(max_sessions=1, idle_timeout=60.0))
    begin(sessions, "upstream-9")
    assert sessions.remembered == 1


async def test_settings_for_a_new_home_are_remembered() -> None:
    sessions = sessions_of()
    session = sessions.open(begin(sessions))
    assert session is not None

    def note(method: str, **params: Any) -> None:
        sessions.note(session, method, call_of(method, **params).body)

    note("logging/setLevel", level="debug")
    note("resources/subscribe", uri="x://1")
    note("resources/subscribe", uri="x://2")
    note("resources/unsubscribe", uri="x://1")
    note("tools/call", uri="x://3")
    note("logging/setLevel", level="x" * 1000)
    assert (session.log_level, list(session.subscriptions)) == ("debug", ["x://2"])
    for number in range(2 * MAX_SUBSCRIPTIONS):
        note("resources/subscribe", uri=f"y://{number}")
    assert len(session.subscriptions) == MAX_SUBSCRIPTIONS
    sessions.note(session, "logging/setLevel", b"[]")


@pytest.mark.parametrize(("count", "length"), [(700, 100), (8, 20_000), (2, 1_000_000)])
async def test_subscriptions_of_a_session_are_bounded_in_bytes_and_counted(count: int, length: int) -> None:
    budget = MemoryBudget()
    sessions = sessions_of(budget=budget)
    session = sessions.open(begin(sessions))
    assert session is not None
    before = budget.charged
    for number in range(count):
        uri = f"{number}".ljust(length, "u")
        sessions.note(session, "resources/subscribe", call_of("resources/subscribe", uri=uri).body)
    held = sum(len(uri) for uri in session.subscriptions)
    assert held <= MAX_SUBSCRIPTION_BYTES
    assert budget.charged - before >= held
    for uri in list(session.subscriptions):
        sessions.note(session, "resources/unsubscribe", call_of("resources/unsubscribe", uri=uri).body)
    assert budget.charged == before
