"""Processes of one gateway tell each other what calls show about endpoints: a row of failures is one row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

from mcppool.observe.metrics import PoolMetrics
from mcppool.pipeline.catalog import PoolCatalog
from mcppool.pipeline.peers import Lesson, News
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
    """The other process of a pool: gets its news at once."""

    def __init__(self) -> None:
        self.news: list[News] = []
        self.other: Told | None = None
        self._heard: Callable[[News], None] = lambda _: None

    async def take(self, limits: Sequence[RateLimit]) -> None:
        """Counts nothing."""

    async def first_use(self, digest: bytes, seconds: int) -> None:
        """Knows no proof."""

    def limiter(self, name: str, key: str, capacity: Callable[[], int], max_queue: int) -> Any:
        raise AssertionError("no pool of this file has limits")

    def sessions(self) -> Any:
        return None

    def tell(self, news: News) -> None:
        self.news.append(news)
        if self.other is not None:
            self.other._heard(news)

    def hear(self, heard: Callable[[News], None]) -> None:
        self._heard = heard

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
