"""Hedging: one answer for the client, whichever attempt gives it, and nothing left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any

import pytest

from mcppool.pipeline.attempt import Attempt
from mcppool.pipeline.hedging import Hedging
from mcppool.pipeline.outcome import Outcome
from mcppool.pipeline.plan import Plan
from mcppool.pipeline.pool.pool import ServerPool
from mcppool.pipeline.routing.picker import Picker
from mcppool.policy.hedge_delay import ENOUGH
from mcppool.spec.sections.retry_policy import HEDGE_BY_LATENCY
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.failures import AttemptFailed, BadAnswer, ConnectionLost
from tests.unit.pipeline.pools import Heard, call_of, planned, pool_of
from tests.waiting import until

Behaviour = Callable[[Attempt], Awaitable[None]]
SOON = 0.001
NEVER = 60.0


class GivenBack:
    """A picker that notes the endpoints whose attempts are over."""

    def __init__(self, picker: Picker) -> None:
        self._picker = picker
        self.over: list[object] = []

    def attempt_over(self, endpoint: Endpoint, plan: Plan) -> None:
        self.over.append(endpoint)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._picker, name)


class Race:
    """A hedged call on two endpoints: the first attempt behaves as `one`, the second as `two`."""

    def __init__(self, one: Behaviour, two: Behaviour, *, text: str = "", names: str = "ab") -> None:
        self.pool: ServerPool = pool_of(text, *names)
        self.picker: Any = self.pool.picker
        self.client = Heard()
        self.behaviours = [one, two]
        self.ran: list[Attempt] = []
        self.cancelled: list[Attempt] = []
        self.outcome = Outcome()
        call = call_of("tools/list")
        plan = planned(call, self.pool)
        self.first = self.pool.picker.endpoint_for(plan, (), monotonic())
        self.attempt = Attempt(
            self.pool.attempts.context, call, plan, self.first, self.client, self.outcome, None, monotonic()
        )

    async def play(self, after: float = SOON) -> None:
        pool = self.pool
        async with asyncio.timeout(60):
            await Hedging(pool.settings, self.picker, pool.budget, self, pool.feedback, pool.metrics).run(
                self.attempt, after
            )

    async def run(self, attempt: Attempt) -> None:
        self.ran.append(attempt)
        try:
            await self.behaviours[len(self.ran) - 1](attempt)
        except asyncio.CancelledError:
            self.cancelled.append(attempt)
            raise


def answers(text: bytes, status: str = "success", *, after: asyncio.Event | None = None) -> Behaviour:
    async def behave(attempt: Attempt) -> None:
        if after is not None:
            await after.wait()
        attempt.outcome.status = status
        attempt.reply.whole(200, b"", text)

    return behave


def fails(failure: AttemptFailed, *, after: asyncio.Event | None = None) -> Behaviour:
    async def behave(attempt: Attempt) -> None:
        if after is not None:
            await after.wait()
        raise failure

    return behave


async def hangs(attempt: Attempt) -> None:
    await asyncio.sleep(NEVER)


async def test_a_call_that_is_answered_in_time_is_asked_once() -> None:
    race = Race(answers(b"one"), answers(b"two"))
    await race.play(NEVER)
    assert (race.client.said, race.client.body, len(race.ran)) == (["whole"], b"one", 1)
    assert race.pool.metrics.hedges == 0


async def test_each_attempt_knows_its_number() -> None:
    race = Race(hangs, answers(b"two"))
    race.outcome.attempts = 1
    await race.play()
    assert [attempt.outcome.attempts for attempt in race.ran] == [1, 2]


async def test_a_slow_one_is_overtaken_by_the_second_and_cancelled() -> None:
    race = Race(hangs, answers(b"two", "error"))
    await race.play()
    assert (race.client.said, race.client.body) == (["whole"], b"two")
    assert race.cancelled == race.ran[:1]
    assert race.attempt.endpoint is race.outcome.endpoint is race.ran[1].endpoint
    assert race.ran[1].endpoint is not race.first
    assert (race.outcome.status, race.outcome.attempts) == ("error", 1)
    assert race.ran[1].reissue is not None, "both may be executed, so they have ids of their own"


async def test_each_is_charged_with_its_own_time() -> None:
    race = Race(hangs, answers(b"two"))
    before = race.attempt.started
    await race.play(0.05)
    assert race.attempt.started == race.ran[1].started >= before + 0.05, "the winner began later"
    assert race.first.latency.estimate >= 0.05, "the loser was without an answer for all of its time"


async def test_a_breakers_trial_that_a_hedge_took_is_given_back() -> None:
    race = Race(answers(b"one", after=asyncio.Event()), answers(b"two"))
    race.picker = GivenBack(race.pool.picker)
    await race.play()
    assert race.picker.over == [race.ran[1].endpoint]


async def test_the_first_may_still_win() -> None:
    second = asyncio.Event()

    async def waits(attempt: Attempt) -> None:
        second.set()
        await asyncio.sleep(NEVER)

    race = Race(answers(b"one", after=second), waits)
    await race.play()
    assert (race.client.body, race.attempt.endpoint) == (b"one", race.first)
    assert race.cancelled == race.ran[1:]


async def test_of_two_that_answer_at_once_the_outcome_is_of_the_one_that_was_heard() -> None:
    go = asyncio.Event()

    async def two(attempt: Attempt) -> None:
        attempt.outcome.status = "success"
        attempt.reply.whole(200, b"", b"two")
        go.set()
        await asyncio.sleep(0)

    race = Race(answers(b"one", "error", after=go), two)
    await race.play()
    assert (race.client.said, race.client.body, race.outcome.status) == (["whole"], b"two", "success")
    assert race.attempt.endpoint is race.ran[1].endpoint


async def test_a_stream_that_has_begun_is_not_hedged_and_completes() -> None:
    async def streams(attempt: Attempt) -> None:
        attempt.reply.begin(200, b"")
        await asyncio.sleep(20 * SOON)  # a loop's timers come in order: that of the hedge has come
        attempt.reply.write(b"data")
        attempt.reply.end()
        attempt.outcome.status = "success"

    race = Race(streams, answers(b"two"))
    await race.play()
    assert race.client.said == ["begin", "write", "end"]
    assert len(race.ran) == 1


async def test_a_stream_that_wins_is_not_ended_by_one_that_is_faster_to_be_whole() -> None:
    begun = asyncio.Event()

    async def streams(attempt: Attempt) -> None:
        attempt.reply.begin(200, b"")
        begun.set()
        for _ in range(5):
            await asyncio.sleep(SOON)
            attempt.reply.write(b"x")
        attempt.reply.end()

    race = Race(answers(b"one", after=begun), streams)
    await race.play()
    assert race.client.said == ["begin", *["write"] * 5, "end"]
    assert race.client.body == b"xxxxx"


async def test_the_second_is_waited_for_when_the_first_fails() -> None:
    second = asyncio.Event()

    async def two(attempt: Attempt) -> None:
        second.set()
        await asyncio.sleep(5 * SOON)
        attempt.reply.whole(200, b"", b"two")

    race = Race(fails(ConnectionLost("reset"), after=second), two)
    await race.play()
    assert race.client.body == b"two"
    assert race.first.stats.failures == 1, "its failure is not forgotten over the other's success"


async def test_where_both_fail_it_is_the_first_ones_failure() -> None:
    race = Race(fails(ConnectionLost("reset"), after=(second := asyncio.Event())), fails(BadAnswer("x"), after=second))
    running = asyncio.ensure_future(race.play())
    await until(lambda: len(race.ran) == 2, "both are asked")
    second.set()
    with pytest.raises(ConnectionLost):
        await running
    assert race.client.said == []
    assert race.ran[1].endpoint.stats.failures == 1


async def test_a_failure_in_time_is_not_hedged_but_retried_by_the_caller() -> None:
    race = Race(fails(ConnectionLost("reset")), answers(b"two"))
    with pytest.raises(ConnectionLost):
        await race.play(NEVER)
    assert len(race.ran) == 1


@pytest.mark.parametrize(
    ("text", "names"),
    [("", "a"), ("[retry_policy]\nbudget_percent = 0\nbudget_min_per_second = 0", "ab")],
    ids=["nobody else", "no budget"],
)
async def test_there_is_no_hedge_without_another_endpoint_or_a_budget(text: str, names: str) -> None:
    async def slow(attempt: Attempt) -> None:
        await asyncio.sleep(10 * SOON)  # a loop's timers come in order: that of a hedge would have come
        attempt.reply.whole(200, b"", b"one")

    race = Race(slow, answers(b"two"), text=text, names=names)
    await race.play()
    assert (race.client.body, len(race.ran)) == (b"one", 1)


async def test_a_hedge_takes_no_place_that_a_limit_leaves_to_others() -> None:
    async def slow(attempt: Attempt) -> None:
        await asyncio.sleep(10 * SOON)
        attempt.reply.whole(200, b"", b"one")

    race = Race(slow, answers(b"two"), text="[limits.endpoint]\nmax_concurrent = 1")
    for endpoint in race.pool.endpoints.values():
        endpoint.active = 1
    await race.play()
    assert (race.client.body, len(race.ran)) == (b"one", 1)


async def test_a_client_that_leaves_cancels_both() -> None:
    race = Race(hangs, hangs)
    running = asyncio.ensure_future(race.play())
    await until(lambda: len(race.ran) == 2, "both are asked")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert set(race.cancelled) == set(race.ran)
    assert not asyncio.all_tasks() - {asyncio.current_task()}


async def test_a_learned_delay_hedges_nothing_until_the_latencies_of_the_method_are_known() -> None:
    race = Race(answers(b"one"), answers(b"one"))
    pool, behaviours = race.pool, race.behaviours
    hedging = Hedging(pool.settings, pool.picker, pool.budget, race, pool.feedback, pool.metrics)

    async def play(*now: Behaviour) -> None:
        behaviours[:] = now
        race.ran.clear()
        first = race.attempt
        attempt = Attempt(first.context, first.call, first.plan, race.first, Heard(), Outcome(), None, monotonic())
        async with asyncio.timeout(30):
            await hedging.run(attempt, HEDGE_BY_LATENCY)

    known = asyncio.Event()
    asyncio.get_running_loop().call_later(0.05, known.set)
    await play(answers(b"slow", after=known), answers(b"two"))
    assert pool.metrics.hedges == 0, "nothing is known yet"
    for _ in range(ENOUGH * 2):
        await play(answers(b"one"), answers(b"two"))
    await play(hangs, answers(b"two"))
    assert pool.metrics.hedges == 1
