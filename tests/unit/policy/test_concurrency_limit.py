"""The limit of an endpoint that adapts: its rules, and replayed loads at a simulated server."""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

import pytest

from mcppool.policy.concurrency_limit import LEAST, MOST, START, WINDOW, AdaptiveLimit
from tests.unit.footprint import footprint


def feed(limit: AdaptiveLimit, seconds: float, in_flight: int, calls: int, now: float = 0.0, tool: str = "t") -> None:
    for _ in range(calls):
        limit.answered(tool, seconds, in_flight, now)


def learned() -> AdaptiveLimit:
    """A limit that knows a tool of a tenth of a second."""
    limit = AdaptiveLimit()
    feed(limit, 0.1, 1, WINDOW)
    return limit


def test_a_limit_grows_while_it_is_used_and_calls_take_as_long_as_usual() -> None:
    limit = learned()
    assert limit.limit == START, "an unused limit does not grow"
    feed(limit, 0.1, 20, WINDOW)
    assert limit.limit == 1.5 * START
    for _ in range(100):
        feed(limit, 0.1, limit.places, limit.places + 1)
    assert limit.places == MOST


def test_a_limit_shrinks_with_latency_and_by_half_of_a_window_at_most() -> None:
    limit = learned()
    feed(limit, 1.0, 20, WINDOW)
    assert START / 2 <= limit.limit < START
    for _ in range(50):
        feed(limit, 10.0, 20, WINDOW)
    assert LEAST <= limit.limit <= 2 * LEAST


def test_each_tool_is_compared_with_itself() -> None:
    limit = AdaptiveLimit()
    feed(limit, 0.01, 1, 10, tool="quick")
    feed(limit, 20.0, 1, 10, tool="slow")
    for _ in range(10):
        before = limit.limit
        feed(limit, 20.0, limit.places, limit.places + 1, tool="slow")
        assert limit.limit > before


def test_refusals_shrink_it_once_in_a_window() -> None:
    limit = AdaptiveLimit()
    for _ in range(10):
        limit.overloaded()
    assert limit.limit == 0.9 * START


def test_a_full_endpoint_is_probed_with_few_calls_for_a_bounded_time() -> None:
    limit = AdaptiveLimit()
    feed(limit, 0.1, 20, WINDOW)
    assert limit.places < limit.limit / 2, "nothing is known, and no call met few others"
    feed(limit, 0.1, 20, 1, now=4.0)
    assert limit.places < limit.limit / 2
    feed(limit, 0.1, 20, 1, now=6.0)
    assert limit.places == int(limit.limit), "calls of seconds do not keep it down"


def test_it_keeps_a_bounded_number_of_tools() -> None:
    limit = AdaptiveLimit()
    for number in range(10_000):
        limit.answered(f"t{number}", 0.1, 1, 0.0)
    assert footprint(limit) < 100_000


@dataclass
class Call:
    at: float
    service: float
    tool: str
    sent: float = 0.0
    in_flight: int = 0
    done: bool = False


@dataclass
class Replay:
    """A server with `servers` places of its own that queues the rest, behind a gateway with `limit` and a queue of 50.
    Calls come at `rate(now)` a second, and give up after five seconds; the server works on them all the same."""

    servers: int
    rate: Callable[[float], float]
    service: Callable[[random.Random], tuple[str, float]]
    limit: AdaptiveLimit | None
    seconds: float = 20.0
    seed: int = 1
    answered: list[float] = field(default_factory=list)
    refused: int = 0
    given_up: int = 0

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)
        self._events: list[tuple[float, int, str, Call | None]] = []
        self._numbers = count()
        self._in_flight = self._busy = 0
        self._at_gateway: deque[Call] = deque()
        self._at_server: deque[Call] = deque()

    def run(self) -> Replay:
        self._after(0.0, self._rng.expovariate(self.rate(0.0)), "arrives")
        while self._events:
            now, _, what, call = heapq.heappop(self._events)
            if now > self.seconds:
                break
            if call is None:
                self._arrive(now)
            elif what == "served":
                self._served(now, call)
            elif not call.done:
                call.done = True
                self.given_up += 1
                self._in_flight -= 1
                if self.limit is not None:
                    self.limit.overloaded()
                self._admit(now)
        return self

    @property
    def in_time(self) -> int:
        """Calls that were answered within two seconds."""
        return sum(took <= 2.0 for took in self.answered)

    def high(self) -> float:
        """The 99th percentile of the answered calls."""
        return sorted(self.answered)[int(0.99 * len(self.answered))]

    def _after(self, now: float, wait: float, what: str, call: Call | None = None) -> None:
        heapq.heappush(self._events, (now + wait, next(self._numbers), what, call))

    def _has_place(self) -> bool:
        return self.limit is None or self._in_flight < self.limit.places

    def _arrive(self, now: float) -> None:
        self._after(now, self._rng.expovariate(self.rate(now)), "arrives")
        tool, service = self.service(self._rng)
        call = Call(now, service, tool)
        if self._has_place() and not self._at_gateway:
            self._send(now, call)
        elif len(self._at_gateway) < 50:
            self._at_gateway.append(call)
        else:
            self.refused += 1

    def _send(self, now: float, call: Call) -> None:
        self._in_flight += 1
        call.sent, call.in_flight = now, self._in_flight
        self._after(now, call.at + 5.0 - now, "gives up", call)
        if self._busy < self.servers:
            self._serve(now, call)
        else:
            self._at_server.append(call)

    def _serve(self, now: float, call: Call) -> None:
        self._busy += 1
        self._after(now, call.service, "served", call)

    def _served(self, now: float, call: Call) -> None:
        self._busy -= 1
        if not call.done:
            call.done = True
            self._in_flight -= 1
            self.answered.append(now - call.at)
            if self.limit is not None:
                self.limit.answered(call.tool, now - call.sent, call.in_flight, now)
        if self._at_server:
            self._serve(now, self._at_server.popleft())
        self._admit(now)

    def _admit(self, now: float) -> None:
        while self._at_gateway and self._has_place():
            call = self._at_gateway.popleft()
            if now < call.at + 5.0:
                self._send(now, call)


def steady(calls: float) -> Callable[[float], float]:
    return lambda _: calls


def a_tenth(rng: random.Random) -> tuple[str, float]:
    """One tool, a tenth of a second in the mean."""
    return "t", rng.expovariate(10.0)


def mixed(rng: random.Random) -> tuple[str, float]:
    """A quick tool, and a slow one with a long tail."""
    quick = rng.random() < 0.5
    return ("quick", rng.lognormvariate(-5.0, 0.5)) if quick else ("slow", rng.lognormvariate(-2.0, 1.5))


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(("servers", "calls"), [(8, 160.0), (64, 1280.0)])
def test_in_an_overload_almost_the_whole_capacity_answers_in_time_where_almost_nothing_did(
    servers: int, calls: float, seed: int
) -> None:
    without = Replay(servers, steady(calls), a_tenth, None, seed=seed).run()
    limited = Replay(servers, steady(calls), a_tenth, AdaptiveLimit(), seed=seed).run()
    capacity = servers * 10 * 20
    assert without.in_time < 0.3 * capacity
    assert limited.in_time > 0.85 * capacity
    assert limited.high() < without.high() / 2
    assert limited.given_up == 0


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(
    ("servers", "calls", "service"),
    [(8, 40.0, a_tenth), (200, 1400.0, a_tenth), (50, 60.0, mixed)],
    ids=["small", "large from a small start", "long tails"],
)
def test_without_an_overload_it_refuses_and_delays_almost_nothing(
    servers: int, calls: float, service: Callable[[random.Random], tuple[str, float]], seed: int
) -> None:
    without = Replay(servers, steady(calls), service, None, seed=seed).run()
    limited = Replay(servers, steady(calls), service, AdaptiveLimit(), seed=seed).run()
    assert limited.refused <= 0.02 * len(without.answered)
    assert limited.in_time >= 0.98 * without.in_time


def test_after_a_burst_calls_are_answered_as_before() -> None:
    burst = Replay(8, lambda now: 160.0 if 10 < now < 20 else 40.0, a_tenth, AdaptiveLimit(), seconds=40.0).run()
    assert burst.given_up == 0
    assert burst.in_time > 0.95 * len(burst.answered)
    assert burst.limit is not None
    assert burst.limit.places >= 8
