"""Session ids as clients see them: sealed, bound to their principal, invalid once ended."""

from __future__ import annotations

import gc
import json
import random
import string
import tracemalloc
from collections.abc import Callable
from typing import Any, cast

import pytest

from mcppool.pipeline.call import Call
from mcppool.pipeline.outcome import Outcome
from mcppool.pipeline.sessions import sealed_ids as sessions_module
from mcppool.pipeline.sessions import session as session_module
from mcppool.pipeline.sessions.sealed_ids import MAX_UPSTREAM_ID, Sessions
from mcppool.pipeline.sessions.session import MAX_SUBSCRIPTION_BYTES, MAX_SUBSCRIPTIONS
from mcppool.policy.memory_budget import MemoryBudget
from mcppool.spec import SessionsSpec
from mcppool.upstream.failures import BadAnswer
from mcppool.upstream.http.connection import Connection
from mcppool.upstream.http.response import Response
from mcppool.wire.era import Era
from mcppool.wire.sealing import Key, KeyRing, inflated
from tests.principals import principal_of
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
    for module in (session_module, sessions_module):
        monkeypatch.setattr(module, "monotonic", clock)
    return clock


class Wall:
    """The time of day, in seconds."""

    now = NOW

    def __call__(self) -> float:
        return self.now


def sessions_of(
    ring: KeyRing = RING, *, pool: str = "p", now: Callable[[], float] | None = None,
    budget: MemoryBudget | None = None, **limits: Any,
) -> Sessions:  # fmt: skip
    spec = SessionsSpec(**{"max_sessions": 3, "idle_timeout": 60.0, **limits})
    return Sessions(pool, ring, now or Wall(), spec, (budget or MemoryBudget()).account("sessions"))


def answered(*, id: str | None = "upstream-1", status: int = 200) -> Response:
    response = Response(cast(Connection, None))
    response.status = status
    response.headers = [] if id is None else [(b"mcp-session-id", id.encode())]
    return response


def hello(principal: str = "anonymous", **params: Any) -> Call:
    usual = {"capabilities": {"elicitation": {}}, "clientInfo": {"name": "agent", "version": "3"}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {**usual, **params}}
    request = call_of("initialize").request
    return Call(request, json.dumps(message).encode(), b"", Era.LEGACY, 0.0, principal=principal_of(principal))


RESULT = b'{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{}}}'


def begin(
    sessions: Sessions, upstream: str = "upstream-1", principal: str = "anonymous", *, client: str = "",
    result: bytes = RESULT, **params: Any,
) -> str:  # fmt: skip
    """The id that a client is given for a new session."""
    endpoint = pool_of("", "a").endpoints["http://a/mcp"]
    call = hello(principal, **params)
    call.address = client
    line = sessions.opened(call, endpoint, answered(id=upstream), result)
    name, _, value = line.decode().strip().partition(": ")
    assert name == "mcp-session-id"
    return value


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


def end(sessions: Sessions, token: str) -> None:
    session = sessions.open(token)
    assert session is not None
    sessions.end(session)


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


@pytest.mark.parametrize("length", [100, 20_000, 1_000_000])
async def test_subscriptions_of_a_session_are_bounded_in_bytes_and_counted(length: int) -> None:
    budget = MemoryBudget()
    sessions = sessions_of(budget=budget)
    session = sessions.open(begin(sessions))
    assert session is not None
    before = budget.charged
    for number in range(700):
        uri = f"{number}".ljust(length, "u")
        sessions.note(session, "resources/subscribe", call_of("resources/subscribe", uri=uri).body)
    held = sum(len(uri) for uri in session.subscriptions)
    assert held <= MAX_SUBSCRIPTION_BYTES
    assert budget.charged - before >= held
    for uri in list(session.subscriptions):
        sessions.note(session, "resources/unsubscribe", call_of("resources/unsubscribe", uri=uri).body)
    assert budget.charged == before


# --- memory ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "params",
    [
        {"capabilities": {"experimental": {"x": "y" * 4_000_000}}},
        {"capabilities": {"experimental": {str(n): {} for n in range(10_000)}}},
        {"capabilities": {"experimental": {"x": "".join(map(chr, range(0x4E00, 0x9000)))}}},
        {"clientInfo": {"name": "n" * 1_000_000, "version": "v" * 1_000_000}},
        {"clientInfo": {"name": "n", "version": "1", "icons": ["i" * 1_000_000]}},
        {"clientInfo": "c" * 1_000_000},
    ],
)
async def test_client_parameters_are_kept_up_to_some_kib(params: dict[str, Any]) -> None:
    budget = MemoryBudget()
    sessions = sessions_of(budget=budget)
    session = sessions.open(begin(sessions, **params))
    assert session is not None
    assert budget.charged == session.size < 8_000
    assert len(session.claims.client) <= 600
    again = sessions_of().open(session.token)
    assert again is not None
    assert again.claims == session.claims, "and as much is in the id"


async def test_an_ordinary_session_takes_less_than_1500_bytes_and_is_counted_with_its_size() -> None:
    budget = MemoryBudget()
    sessions = sessions_of(budget=budget, max_sessions=100_000)
    begin(sessions)
    gc.collect()
    tracemalloc.start()
    for number in range(2000):
        begin(sessions, f"{number:032}", client=f"10.0.{number % 7}.1")
    gc.collect()
    took = tracemalloc.get_traced_memory()[0] / 2000
    tracemalloc.stop()
    assert took < 1500
    counted = budget.charged / 2001
    assert 0.9 * took < counted < 1.3 * took


async def test_bytes_of_all_sessions_are_bounded() -> None:
    budget = MemoryBudget()
    sessions = sessions_of(budget=budget, max_sessions=100_000, max_bytes=1 << 20)
    tokens = [begin(sessions, f"upstream-{number}") for number in range(2000)]
    assert 300 < sessions.remembered < 1000
    assert budget.charged <= 1 << 20
    assert sessions.open(tokens[0]) is not None, "its id says all"
    sessions.close()
    assert budget.charged == 0


async def test_a_budget_that_is_full_loses_no_session() -> None:
    budget = MemoryBudget(1, base=0)
    budget.account("bodies").charge(1 << 40)
    sessions = sessions_of(budget=budget)
    tokens = [begin(sessions, f"upstream-{number}") for number in range(3)]
    assert sessions.remembered == 0
    assert [session.upstream_id for token in tokens if (session := sessions.open(token))] == [
        "upstream-0", "upstream-1", "upstream-2",
    ]  # fmt: skip


async def test_a_client_with_many_sessions_makes_room_by_its_own() -> None:
    sessions = sessions_of(max_sessions=80)
    moved = []
    for number in range(30):
        session = sessions.open(begin(sessions, f"quiet-{number}", client=f"10.0.0.{number}"))
        assert session is not None
        session.settle("http://b/mcp", "elsewhere", NOW)
        moved.append(session)
    for number in range(1000):
        begin(sessions, f"loud-{number}", client="10.9.9.9")
    assert sessions.remembered == 80
    assert [sessions.open(session.token) for session in moved] == moved, "where they have moved to is still known"


async def test_a_client_makes_room_by_its_own_though_others_have_its_address() -> None:
    sessions = sessions_of(max_sessions=80)
    moved = []
    for number in range(30):
        session = sessions.open(
            begin(sessions, f"quiet-{number}", f"quiet-{number}", client="10.0.0.1"), f"quiet-{number}"
        )
        assert session is not None
        session.settle("http://b/mcp", "elsewhere", NOW)
        moved.append(session)
    for number in range(1000):
        begin(sessions, f"loud-{number}", "loud", client="10.0.0.1")
    assert [sessions.open(session.token, session.principal) for session in moved] == moved


@pytest.mark.parametrize("principal", ["anonymous", "ann"])
async def test_a_client_has_no_more_sessions_than_its_limit_and_a_forgotten_one_opens_again(principal: str) -> None:
    sessions = sessions_of(max_sessions=80, max_sessions_per_client=2)
    other = "other" if principal == "anonymous" else "10.0.0.1"
    kept = sessions.open(begin(sessions, "quiet", "bob", client=other), "bob")
    tokens = [begin(sessions, f"{number}", principal, client="10.0.0.1") for number in range(5)]
    assert sessions.remembered == 3
    assert kept is not None
    assert sessions.open(kept.token, "bob") is kept
    again = sessions.open(tokens[0], principal, "10.0.0.1" if principal == "anonymous" else principal)
    assert again is not None
    assert sessions.remembered == 3


# --- odd handshakes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "info",
    [
        {}, {"name": "x"}, {"version": "1"}, {"name": 1, "version": 2.5}, {"name": None, "version": None}, [], "x", 7,
        None, True, {"name": "x", "version": {"major": 1}}, {"name": "x", "version": "1", "title": "T", "icons": []},
        {"name": "\ud800", "version": "\udfff"}, {"name": "\0\r\n", "version": ""}, {"name": "é" * 300, "version": "1"},
        {"name": "\ud800" * 300, "version": "1"},
    ],
)  # fmt: skip
@pytest.mark.parametrize("capabilities", [{}, [], None, "x", 1, {"sampling": 1, "roots": [[]]}])
async def test_a_session_is_opened_for_any_client_parameters(info: Any, capabilities: Any) -> None:
    session = sessions_of().open(begin(sessions_of(), clientInfo=info, capabilities=capabilities))
    assert session is not None
    assert json.loads(inflated(session.claims.capabilities or b"")) == capabilities
    kept = json.loads(session.claims.client)
    assert kept == info or {"name", "version"} == set(kept)


async def test_a_session_is_opened_without_any_parameters() -> None:
    endpoint = pool_of("", "a").endpoints["http://a/mcp"]
    odd: list[dict[str, Any]] = [{}, {"params": None}, {"params": {}}, {"params": []}]
    for params in odd:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", **params}).encode()
        call = Call(hello().request, body, b"", Era.LEGACY, 0.0)
        assert sessions_of().opened(call, endpoint, answered(), RESULT).startswith(b"mcp-session-id: ")


@pytest.mark.parametrize("version", [b"7", b"null", b'""', b'"' + b"9" * 5000 + b'"', b'"2025-03-26"', b"{}"])
async def test_a_session_is_opened_for_any_version_of_the_server(version: bytes) -> None:
    result = b'{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":%b}}' % version
    session = sessions_of().open(begin(sessions_of(), result=result))
    assert session is not None
    assert session.claims.version == "2025-03-26"


@pytest.mark.parametrize("length", [1, 1000, 3000, 4000, MAX_UPSTREAM_ID])
@pytest.mark.parametrize("noise", [0, 1500, 100_000])
async def test_a_session_is_opened_whatever_the_sizes_of_ids_and_capabilities(length: int, noise: int) -> None:
    sessions = sessions_of()
    letters = "".join(random.Random(3).choices(string.printable, k=noise))
    token = begin(sessions, "u" * length, capabilities={"x": letters}, clientInfo={"name": letters, "version": "1"})
    assert len(token) <= 6 * 1024
    for gateway in (sessions, sessions_of()):
        session = gateway.open(token)
        assert session is not None
        assert session.upstream_id == "u" * length


async def test_a_server_whose_session_ids_are_longer_than_headers_may_be_answers_badly() -> None:
    with pytest.raises(BadAnswer, match="4097 bytes; at most 4096"):
        begin(sessions_of(), "u" * (MAX_UPSTREAM_ID + 1))
