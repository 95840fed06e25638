"""Hedging, if `retry_policy.hedge_after` is set: a safe call that has waited that long goes to a second endpoint too.
With `auto`, the time comes from the latencies of the method (`policy.hedge_delay`).

The first answer counts; the other attempt is cancelled. Only the safe class is hedged, because both attempts may be
executed. The retry budget pays for each hedge (Dean and Barroso, "The Tail at Scale", 2013).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING

from mcppool.observe.metrics import PoolMetrics
from mcppool.pipeline.attempt import Attempt
from mcppool.pipeline.call import Reply
from mcppool.pipeline.exchange import Exchange
from mcppool.pipeline.feedback import Feedback
from mcppool.pipeline.outcome import Outcome
from mcppool.pipeline.request_id import ReissuedRequest, reissue
from mcppool.pipeline.routing.picker import Picker
from mcppool.pipeline.settings import Settings
from mcppool.policy.hedge_delay import HedgeDelay
from mcppool.policy.retry_budget import RetryBudget
from mcppool.spec.sections.retry_policy import HEDGE_BY_LATENCY
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.failures import AttemptFailed

if TYPE_CHECKING:
    from mcppool.pipeline.tracing.exchanges import TracedExchange


class _Race:
    """The client's side, for the attempt that answers first; `decided` tells when that is."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.winner: _Lane | None = None
        self.decided: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class _Lane:
    """The `Reply` of one attempt: silent unless it answers first."""

    def __init__(self, race: _Race) -> None:
        self._race = race

    def _mine(self) -> bool:
        if self._race.winner is None:
            self._race.winner = self
            self._race.decided.set_result(None)
        return self._race.winner is self

    def aside(self, chunk: bytes, headers: bytes) -> None:
        """As of `Reply`. Events without a message do not decide the race."""
        if self._race.winner in (None, self):
            self._race.reply.aside(chunk, headers)

    def whole(self, status: int, headers: bytes, body: bytes) -> None:
        """As of `Reply`."""
        if self._mine():
            self._race.reply.whole(status, headers, body)

    def whole_stream(self, headers: bytes, events: bytes) -> None:
        """As of `Reply`."""
        if self._mine():
            self._race.reply.whole_stream(headers, events)

    def begin(self, status: int, headers: bytes, part: bytes = b"") -> None:
        """As of `Reply`."""
        if self._mine():
            self._race.reply.begin(status, headers, part)

    def write(self, chunk: bytes) -> None:
        """As of `Reply`."""
        if self._mine():
            self._race.reply.write(chunk)

    def within_event(self, inside: bool) -> None:
        """As of `Reply`."""
        if self._mine():
            self._race.reply.within_event(inside)

    def resumable(self) -> None:
        """As of `Reply`."""
        if self._race.winner in (None, self):
            self._race.reply.resumable()

    async def drain(self) -> None:
        """As of `Reply`."""
        if self._mine():
            await self._race.reply.drain()

    def end(self) -> None:
        """As of `Reply`."""
        if self._mine():
            self._race.reply.end()

    def abort(self) -> None:
        """As of `Reply`."""
        if self._mine():
            self._race.reply.abort()


@dataclass(slots=True)
class Hedging:
    """Hedges the calls of one pool. `exchange` is replaced when tracing begins or ends."""

    settings: Settings
    picker: Picker
    budget: RetryBudget
    exchange: Exchange | TracedExchange
    feedback: Feedback
    metrics: PoolMetrics
    _delays: dict[str, HedgeDelay] = field(default_factory=dict)  # by method; safe methods are few

    async def run(self, attempt: Attempt, hedge_after: float) -> None:
        """Run `attempt`, and a second one elsewhere if the first is slow. `attempt.outcome` and `.endpoint` become the
        winner's.

        Raises AttemptFailed if neither was answered: the first one's failure.
        """
        if hedge_after != HEDGE_BY_LATENCY:
            await self._run(attempt, hedge_after)
            return
        method, began = attempt.call.request.method or "", monotonic()
        delay = self._delays.get(method)
        if delay is None:
            delay = self._delays[method] = HedgeDelay()
        if delay.seconds is None:
            await self.exchange.run(attempt)
        else:
            await self._run(attempt, delay.seconds)
        delay.observe(monotonic() - began)

    async def _run(self, attempt: Attempt, hedge_after: float) -> None:
        plan, call = attempt.plan, attempt.call
        race = _Race(attempt.reply)
        lanes = [_in_lane(attempt, race, attempt.endpoint, attempt.reissue)]
        tasks: list[asyncio.Task[None]] = [asyncio.create_task(self.exchange.run(lanes[0]))]
        try:
            await asyncio.wait([tasks[0], race.decided], timeout=hedge_after, return_when=asyncio.FIRST_COMPLETED)
            now = monotonic()
            if (
                race.winner is None
                and not tasks[0].done()
                and _has_room(self.picker.others((attempt.endpoint,), plan.kind, now))
                and self.budget.pay(now, call.principal.key)
            ):
                endpoint = self.picker.endpoint_for(plan, (attempt.endpoint,), now)
                attempt.outcome.attempts += 1
                again = await reissue(call.request, plan.body, attempt.outcome.attempts)
                lanes.append(_in_lane(attempt, race, endpoint, again))
                tasks.append(asyncio.create_task(self.exchange.run(lanes[1])))
                self.metrics.hedges += 1
            await _decided(race, tasks)
            won = next((i for i, lane in enumerate(lanes) if lane.reply is race.winner), 0)
            for loser in (task for i, task in enumerate(tasks) if i != won):
                loser.cancel()
            await asyncio.wait([tasks[won]])  # the answer may still be a stream
            attempt.endpoint = attempt.outcome.endpoint = lanes[won].endpoint
            attempt.started = lanes[won].started
            attempt.outcome.take(lanes[won].outcome)
            for lane, task in zip(lanes, tasks, strict=True):
                if lane is not lanes[won]:
                    self._charge_loser(lane, task)
            tasks[won].result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for lane in lanes:
                attempt.outcome.learn(lane.outcome.delivered)
            for lane in lanes[1:]:
                self.picker.attempt_over(lane.endpoint, plan)

    def _charge_loser(self, lane: Attempt, task: asyncio.Task[None]) -> None:
        """The losing attempt has failed, or has been without an answer for as long as it lasted."""
        failure = task.exception() if task.done() and not task.cancelled() else None
        if isinstance(failure, AttemptFailed):
            self.feedback.failed(lane.endpoint, lane.plan, failure, lane.started)
        elif failure is None:
            now = monotonic()
            lane.endpoint.latency.penalise(now - lane.started, now)


def _has_room(endpoints: tuple[Endpoint, ...]) -> bool:
    """Whether one of `endpoints` has a free place for a hedge."""
    return any(endpoint.active < endpoint.places for endpoint in endpoints)


def _in_lane(attempt: Attempt, race: _Race, endpoint: Endpoint, reissue: ReissuedRequest | None) -> Attempt:
    outcome = Outcome()
    outcome.attempts = attempt.outcome.attempts
    outcome.taker = attempt.outcome.taker
    lane = Attempt(attempt.context, attempt.call, attempt.plan, endpoint, _Lane(race), outcome, reissue, monotonic())
    lane.movable = attempt.movable
    return lane


async def _decided(race: _Race, tasks: list[asyncio.Task[None]]) -> None:
    """Wait until one attempt begins to answer, or all have failed."""
    pending: set[asyncio.Future[None]] = set(tasks)
    while pending and race.winner is None:
        _, pending = await asyncio.wait({*pending, race.decided}, return_when=asyncio.FIRST_COMPLETED)
        pending.discard(race.decided)
