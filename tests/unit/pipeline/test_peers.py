"""Processes of one gateway tell each other what calls show about endpoints: a row of failures is one row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

from mcppool.observe.metrics import PoolMetrics
from mcppool.pipeline.catalog import PoolCatalog
from mcppool.pipeline.peers import Lesson, News, OnSessionEvent, SessionEvent
from mcppool.pipeline.pool.pool import ServerPool
from mcppool.policy.circuit_breaker import BreakerState
from mcppool.policy.token_bucket import RateLimit
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.failures import BadAnswer, ServerRefused
from tests.unit.pipeline.pools import RING, TOOLS, planned, spec_of, tool_call

SECTIONS = """
[circuit_breaker]
failure_threshold = 4
success_threshold = 1
[outlier_detection]
consecutive_failures = 4
max_ejection_percent = 50
"""


class Told:
    """The other process of a pool: gets its news at once. `held` are the trials that this process has claimed."""

    def __init__(self) -> None:
        self.news: list[News] = []
        self.held: set[tuple[str, str]] = set()
        self.other: Told | None = None
        self._heard: list[Callable[[News], None]] = []

    async def take(self, limits: Sequence[RateLimit]) -> None:
        """Counts nothing."""

    def try_take(self, limits: Sequence[RateLimit]) -> bool:
        raise AssertionError("no pool of this file has limits")

    async def first_use(self, digest: bytes, seconds: int) -> None:
        """Knows no proof."""

    def limiter(self, name: str, key: str, capacity: Callable[[], int], max_queue: int) -> Any:
        raise AssertionError("no pool of this file has limits")

    def trials(self) -> Told:
        return self

    def claim(self, endpoint: str, tool: str) -> bool:
        if self.other is not None and (endpoint, tool) in self.other.held:
            return False
        self.held.add((endpoint, tool))
        return True

    def give_up(self, endpoint: str, tool: str) -> None:
        self.held.discard((endpoint, tool))

    def programs(self, *_: Any) -> Any:
        raise AssertionError("no pool of this file has local servers")

    def sessions(self) -> Any:
        return None

    async def ask_others(self, event: SessionEvent, token: str, principal: str, id: bytes) -> bytes | None:
        raise AssertionError("no call of this file is resumed or cancelled")

    def on_session_event(self, event: SessionEvent, answer: OnSessionEvent) -> None:
        """There is no such event at another process."""

    def tell(self, news: News) -> None:
        self.news.append(news)
        if self.other is not None:
            for heard in self.other._heard:
                heard(news)

    def hear(self, heard: Callable[[News], None]) -> None:
        self._heard.append(heard)

    def close(self) -> None:
        """Nothing to close."""


def two_processes() -> tuple[list[ServerPool], list[Told]]:
    told = [Told(), Told()]
    told[0].other, told[1].other = told[1], told[0]
    pools = [ServerPool(spec_of(SECTIONS, "a", "b"), PoolMetrics("p"), RING, peers=peers) for peers in told]
    for pool in pools:
        pool.settings.learn(PoolCatalog(tools=TOOLS))
    return pools, told


def at_a(pool: ServerPool) -> Endpoint:
    return pool.endpoints["http://a/mcp"]


def fail(pool: ServerPool, principal: str) -> None:
    plan = planned(tool_call("write", principal=principal), pool)
    pool.feedback.failed(at_a(pool), plan, BadAnswer("garbage"), monotonic())


def succeed(pool: ServerPool) -> None:
    pool.feedback.succeeded(at_a(pool), planned(tool_call("write"), pool), monotonic())


async def test_failures_that_two_processes_see_eject_the_endpoint_in_both_and_count_once() -> None:
    (one, two), _ = two_processes()
    for number in range(2):
        fail(one, f"alice-{number}")
        fail(two, f"bob-{number}")
    assert at_a(one).health.outlier.ejected
    assert at_a(two).health.outlier.ejected
    assert at_a(one).stats.ejections + at_a(two).stats.ejections == 1
    assert [pool.endpoints["http://a/mcp"].breakers["write"].state for pool in (one, two)] == [BreakerState.OPEN] * 2


async def test_a_success_in_one_process_ends_the_row_of_both() -> None:
    (one, two), _ = two_processes()
    for number in range(3):
        fail(one, f"alice-{number}")
    assert at_a(two).health.outlier.failures == 3
    succeed(two)
    assert at_a(one).health.outlier.failures == at_a(two).health.outlier.failures == 0
    fail(two, "bob")
    assert not at_a(one).health.outlier.ejected


async def test_calls_at_a_healthy_endpoint_tell_nothing() -> None:
    (one, _), (told, _) = two_processes()
    for _ in range(5):
        succeed(one)
    assert told.news == []


class Turns:
    """Stands for the prober of an endpoint of one process, and counts what it is asked to do."""

    def __init__(self, pool: ServerPool) -> None:
        self.put_off = self.woken = 0
        pool.probers[at_a(pool)] = self  # type: ignore[assignment]
        at_a(pool).wake_prober = self._wake

    def passed_elsewhere(self) -> None:
        self.put_off += 1

    def _wake(self) -> None:
        self.woken += 1


async def test_a_check_that_one_process_has_passed_is_put_off_in_the_other() -> None:
    (one, two), _ = two_processes()
    turns = Turns(two)
    one.membership.checks.passed(at_a(one), False)
    assert (turns.put_off, turns.woken) == (1, 0)


async def test_other_tools_and_a_state_that_differs_make_the_other_process_look_itself() -> None:
    (one, two), _ = two_processes()
    mine, others = Turns(one), Turns(two)

    def woken_by(step: Callable[[], None]) -> tuple[int, int]:
        """How often a step wakes the prober of each process."""
        before = mine.woken, others.woken
        step()
        return mine.woken - before[0], others.woken - before[1]

    assert woken_by(lambda: one.membership.checks.passed(at_a(one), True)) == (0, 1)
    assert woken_by(at_a(one).health.unreachable)[1] == 1
    assert woken_by(at_a(two).health.unreachable)[0] == 0, "both have seen it"
    assert woken_by(lambda: at_a(one).health.checked(True, one.spec)) == (0, 1)
    assert woken_by(lambda: at_a(two).health.checked(True, two.spec)) == (0, 0)


async def test_a_rest_that_an_endpoint_asks_for_holds_in_both() -> None:
    (one, two), (told, _) = two_processes()
    plan = planned(tool_call("write"), one)
    one.feedback.failed(at_a(one), plan, ServerRefused(429, 30.0), monotonic())
    assert [news.what for news in told.news] == [Lesson.RESTS]
    now = monotonic()
    assert two.rests.until(plan.kind, at_a(two), now) > now + 20


async def test_news_of_an_endpoint_that_has_left_changes_nothing() -> None:
    (one, _), (_, told) = two_processes()
    told.tell(News(Lesson.BAD, "http://gone/mcp", "write", "x", "x"))
    assert not any(endpoint.health.outlier.failures for endpoint in one.endpoints.values())
