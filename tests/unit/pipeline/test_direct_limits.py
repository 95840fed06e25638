"""Calls of pools with limits run without a task, too: each place and token is taken once and given back once."""

from __future__ import annotations

import asyncio
from time import monotonic

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcppool.pipeline.admission import rates as rates_module
from mcppool.pipeline.admission.limits import Admission
from mcppool.pipeline.call import Call
from mcppool.pipeline.direct_attempt import DirectAttempt, Rest
from mcppool.pipeline.outcome import Outcome
from mcppool.pipeline.peers import Limiter
from mcppool.pipeline.pool.pool import ServerPool
from mcppool.policy.circuit_breaker import CircuitBreaker
from mcppool.wire.errors import Reason
from tests.unit.pipeline.pools import Heard, pool_of, tool_call
from tests.unit.upstream.line import Line, chunks, sized

CLIENTS = 4
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
PROGRESS = chunks(b'data: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1}}\n\n')
SETTLED = 20
"""Turns of the loop after which a call has done all that it can do."""

ONE_ATTEMPT = f"[retry_policy]\nmax_attempts = 1\n[connection_pool]\nmax_connections = {CLIENTS + 1}\n"
LIMITS = {
    "pool": "[limits.pool]\nmax_concurrent = 2\nmax_queue = 1",
    "principal": "[limits.principal]\nmax_concurrent = 1\nmax_queue = 1",
    "tool": "[limits.tool]\nmax_concurrent = 1\nmax_queue = 1",
    "one tool": "[tools.read]\nmax_concurrent = 1",
    "endpoint": "[limits.endpoint]\nmax_concurrent = 2\nmax_queue = 1",
    "learned": '[limits]\nendpoint = "auto"',
    "rates": "\n".join(
        f"[rate_limit.{kind}]\nrequests_per_second = 1\nburst = {burst}"
        for kind, burst in (("principal", 3), ("tool", 4), ("pool", 5))
    ),
}
ALL = "\n".join(LIMITS[name] for name in ("pool", "principal", "tool", "endpoint", "rates"))


class Client:
    """The connection of a client, with one call at a time."""

    def __init__(self, pool: ServerPool) -> None:
        self.pool = pool
        self.call: Call | None = None
        self.outcome = Outcome()
        self.heard = Heard()
        self.attempt: DirectAttempt | None = None
        self.task: asyncio.Task[object] | None = None
        self.outcomes: list[Outcome] = []

    def begin(self, call: Call) -> None:
        self.call, self.outcome, self.heard = call, Outcome(), Heard()
        self.outcomes.append(self.outcome)
        rest = self.pool.begin(call, self.heard, self.outcome, self)
        if rest is not None:
            self._run(rest)

    def under_way(self, attempt: DirectAttempt) -> None:
        self.attempt = attempt

    def go_on(self, rest: Rest, call: Call, outcome: Outcome) -> None:
        self.attempt = None
        self._run(rest)

    def call_ended(self) -> None:
        self.call = self.attempt = None

    @property
    def connection(self) -> object:
        """The connection that carries its attempt."""
        return None if self.outcome.attempt is None else self.outcome.attempt.connection

    async def leave(self) -> None:
        if self.attempt is not None:
            self.attempt.go_on()
        await asyncio.sleep(0)  # a task begins before it is cancelled, as in `CallWorker`
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait([self.task])

    def _run(self, rest: Rest) -> None:
        self.task = asyncio.ensure_future(rest)
        self.task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[object]) -> None:
        self.call = self.task = None
        if not task.cancelled():
            task.result()


class Traffic:
    """Some clients of a pool, and the connections to its endpoint."""

    def __init__(self, limits: str) -> None:
        self.pool = pool_of(ONE_ATTEMPT + limits, "127.0.0.1:1")
        (self.endpoint,) = self.pool.endpoints.values()
        self.clients = [Client(self.pool) for _ in range(CLIENTS)]
        self.lines: list[Line] = []
        self.ids = 0
        for _ in range(CLIENTS + 1):
            self._connect()

    def _connect(self) -> None:
        line, connections = Line(), self.endpoint.connections
        line.connection.owner = connections
        line.connection.stale_at = float("inf")
        connections._idle.append(line.connection)
        self.lines.append(line)

    @property
    def admission(self) -> Admission:
        admission = self.pool.admission
        assert admission is not None
        return admission

    def call(self, client: Client, tool: str = "read", principal: str = "ann") -> None:
        self.ids += 1
        client.begin(tool_call(tool, id=self.ids, principal=principal))

    def line(self, client: Client) -> Line | None:
        """The connection that carries the call of a client; its request has gone out."""
        for line in self.lines:
            if line.connection is client.connection:
                line.connection.flush()
                return line
        return None

    async def step(self, what: str, number: int) -> None:
        client = self.clients[number % CLIENTS]
        if what == "call" and client.call is None:
            self.call(client, "read" if number % 3 else "write", "ann" if number % 2 else "bob")
        elif what == "leave" and client.call is not None:
            await client.leave()
        elif what == "turn":
            await settle()
        elif client.call is not None and (line := self.line(client)) is not None:
            await self._serve(what, client.call, line)

    async def _serve(self, what: str, call: Call, line: Line) -> None:
        answer = b'{"jsonrpc":"2.0","id":%b,"result":{"content":[]}}' % (call.request.id or b"")
        if what == "answer":
            line.says(sized(answer))
        elif what == "stream":
            line.says(HEAD + PROGRESS)
        elif what == "event":
            line.says(HEAD + chunks(b"data: %b\n\n" % answer))
        elif what == "refuse":
            line.says(sized(b"oh").replace(b"200 OK", b"503 No"))
        elif what == "close":
            self.lines.remove(line)
            self._connect()
            await line.ends()

    async def end(self) -> None:
        """All clients leave, and all connections close."""
        for client in self.clients:
            if client.call is not None:
                await client.leave()
        await settle()
        for line in self.lines:
            line.transport.dispose()

    @property
    def outcomes(self) -> list[Outcome]:
        return [outcome for client in self.clients for outcome in client.outcomes]

    def gates(self) -> list[Limiter]:
        admission = self.admission
        every = [*admission._always, *admission._places.values(), *admission._tool_gates.values()]
        return [*every, *admission.client_gates.values()]

    def tokens(self) -> dict[str, float]:
        """Taken tokens, by rate."""
        taken = {}
        for rate in self.admission.rates._rates:
            buckets = rate._buckets.values()
            taken[rate._kind] = sum(bucket.burst - bucket._tokens for bucket in buckets)
        return taken


def reason(outcome: Outcome) -> Reason | None:
    return None if outcome.failure is None else outcome.failure.reason


async def settle() -> None:
    for _ in range(SETTLED):
        await asyncio.sleep(0)


@pytest.fixture
def no_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    now = monotonic()
    monkeypatch.setattr(rates_module, "monotonic", lambda: now)


@pytest.mark.parametrize("limit", [*LIMITS, "all"])
async def test_a_call_that_no_limit_makes_wait_runs_without_a_task(limit: str) -> None:
    traffic = Traffic(ALL if limit == "all" else LIMITS[limit])
    client, tasks = traffic.clients[0], asyncio.all_tasks()
    traffic.call(client)
    assert client.attempt is not None
    assert all(gate.inside == 1 for gate in traffic.gates())
    await traffic.step("answer", 0)
    assert (client.heard.status, client.outcome.status, asyncio.all_tasks()) == (200, "success", tasks)
    assert not any(gate.inside for gate in traffic.gates())
    await traffic.end()


@pytest.mark.parametrize("limit", [*LIMITS, "all"])
async def test_a_call_that_goes_on_in_a_task_gives_its_places_back_there(limit: str) -> None:
    traffic = Traffic(ALL if limit == "all" else LIMITS[limit])
    traffic.call(traffic.clients[0])
    await traffic.step("stream", 0)
    await settle()
    assert traffic.clients[0].task is not None
    assert all(gate.inside == 1 for gate in traffic.gates())
    await traffic.clients[0].leave()
    assert not any(gate.inside for gate in traffic.gates())
    await traffic.end()


@pytest.mark.parametrize("limit", ["pool", "principal", "tool", "one tool", "endpoint"])
@pytest.mark.usefixtures("no_time_passes")
async def test_a_call_without_a_free_place_waits_in_a_task_and_has_taken_one_token(limit: str) -> None:
    queue = "\n[limits.tool]\nmax_concurrent = 1\nmax_queue = 1" if limit == "one tool" else ""
    text = (LIMITS[limit] + queue).replace("max_concurrent = 2", "max_concurrent = 1")
    traffic = Traffic(f"{text}\n[rate_limit.pool]\nrequests_per_second = 1\nburst = 9")
    first, second = traffic.clients[:2]
    traffic.call(first)
    traffic.call(second)
    await settle()
    assert (first.task, second.attempt, traffic.admission.waiting) == (None, None, 1)
    assert traffic.tokens() == {"pool": 2}
    await traffic.step("answer", 0)
    await settle()
    await traffic.step("answer", 1)
    await settle()
    assert (first.outcome.status, second.outcome.status) == ("success", "success")
    assert not any(gate.inside or gate.waiting for gate in traffic.gates())
    await traffic.end()


@pytest.mark.usefixtures("no_time_passes")
async def test_a_call_that_a_rate_refuses_keeps_no_place_and_no_connection() -> None:
    traffic = Traffic(LIMITS["pool"] + "\n[rate_limit.pool]\nrequests_per_second = 1\nburst = 1")
    first, second = traffic.clients[:2]
    traffic.call(first)
    await traffic.step("answer", 0)
    traffic.call(second)
    await settle()
    assert reason(second.outcome) is Reason.RATE_LIMITED
    assert traffic.tokens() == {"pool": 1}
    assert not any(gate.inside for gate in traffic.gates())
    assert not traffic.endpoint.connections.leased
    await traffic.end()


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["call", "call", "call", "answer", "answer", "event", "stream", "refuse", "close", "leave", "turn"]
        ),
        st.integers(0, 11),
    ),
    max_size=40,
)


@given(STEPS, st.sampled_from([*LIMITS, "all"]))
@settings(max_examples=60, deadline=None)
def test_whatever_ends_a_call_its_places_are_free_and_it_has_used_one_token(
    steps: list[tuple[str, int]], limit: str
) -> None:
    async def check() -> None:
        traffic = Traffic(ALL if limit == "all" else LIMITS[limit])
        for what, number in steps:
            await traffic.step(what, number)
            assert all(0 <= gate.inside <= CLIENTS for gate in traffic.gates())
        await traffic.end()
        assert not any(gate.inside or gate.waiting for gate in traffic.gates())
        assert traffic.endpoint.active == traffic.pool.metrics.in_flight == 0
        assert not traffic.endpoint.connections.leased
        assert sum(traffic.pool.metrics.requests.values()) == len(traffic.outcomes)
        admitted = [each for each in traffic.outcomes if reason(each) is not Reason.RATE_LIMITED]
        assert all(taken == len(admitted) for taken in traffic.tokens().values())

    now = monotonic()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rates_module, "monotonic", lambda: now)
        asyncio.run(check())


async def test_a_closed_breaker_with_failures_needs_no_task_and_one_that_is_open_does() -> None:
    traffic = Traffic("")
    client = traffic.clients[0]
    breaker = traffic.endpoint.breakers["read"] = CircuitBreaker()
    limits = traffic.pool.settings.breaker_limits
    breaker.failed(tool_call("read").client, monotonic(), limits)
    traffic.call(client)
    assert client.attempt is not None
    await traffic.step("answer", 0)
    assert "read" not in traffic.endpoint.breakers  # the success has ended the row of failures
    breaker = traffic.endpoint.breakers["read"] = CircuitBreaker()
    for number in range(limits.failure_threshold):
        breaker.failed(tool_call("read", principal=f"client {number}").client, monotonic(), limits)
    traffic.call(client)
    assert (client.attempt, client.task is None) == (None, False)
    await traffic.end()
