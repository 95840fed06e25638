"""Decides whether a failed attempt is followed by another one, when, and where (design §4.3).

A message that was never sent, or that a server refused, may always be repeated. A sent one may be repeated only if its
class is safe or idempotent, within `max_attempts` and the retry budget. The next attempt goes to another endpoint at
once; it waits only after all endpoints have been asked. The call of a session is repeated at its endpoint first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Where = Literal["same", "other", "any"]
"""`same`: at the endpoint that failed; `other`: at one that this call has not asked; `any`: at any, after the wait."""

Because = Literal["unsafe", "max_attempts", "deadline", "refusals", "budget", "unreachable", "not_worth_it"]


@dataclass(frozen=True, slots=True)
class RetryState:
    """The attempts of the call so far.

    `sent` counts those that may have been executed, the failed one included; `waits` those that waited; `stayed`: one
    was repeated at its session's endpoint.
    """

    sent: int = 0
    waits: int = 0
    stayed: bool = False


@dataclass(frozen=True, slots=True)
class RetryFacts:
    """The facts at the failure of an attempt.

    * `sent`: this attempt may have been executed.
    * `unsafe`: executing the call twice may do harm.
    * `throttled`: the server asked for fewer calls.
    * `may_stay`: the call has a session whose endpoint can be asked again.
    * `may_leave`: the call may go to another endpoint.
    * `others`: there is another endpoint.
    * `others_answer`: one of these answers its calls.
    * `one_may_come`: a server is starting.
    * `refusals_left`: the client may still have refused calls repeated.
    * `budget_left`: the retry budget pays for one more.
    * `budget_allows`: the retry budget allows any retries at all.
    * `worth_it`: the learned rates recommend another attempt.
    * `wait`: seconds to wait after all endpoints have been asked.
    """

    sent: bool
    unsafe: bool
    throttled: bool
    max_attempts: int
    deadline: float
    may_stay: bool = False
    may_leave: bool = True
    others: bool = False
    others_answer: bool = False
    one_may_come: bool = False
    refusals_left: bool = True
    budget_left: bool = True
    budget_allows: bool = True
    worth_it: bool = True
    wait: float = 0.0


@dataclass(frozen=True, slots=True)
class Retry:
    """Another attempt after so many seconds. `paid`: the retry budget pays for it."""

    after: float
    where: Where
    paid: bool = False


@dataclass(frozen=True, slots=True)
class Stop:
    """No other attempt, and the reason."""

    because: Because


def decide(state: RetryState, facts: RetryFacts, now: float) -> Retry | Stop:
    """Decide the next step after a failed attempt, at `now` (monotonic seconds)."""
    if facts.sent and facts.unsafe:
        return Stop("unsafe")
    if facts.sent and state.sent >= facts.max_attempts:
        return Stop("max_attempts")
    if now >= facts.deadline:
        return Stop("deadline")
    if not facts.refusals_left:
        return Stop("refusals")
    if facts.may_stay and not state.stayed and facts.worth_it and facts.budget_left:
        return Retry(0.0, "same", paid=True)
    if facts.may_leave and facts.others:
        return _elsewhere(facts)
    return _again(state, facts, now)


def _elsewhere(facts: RetryFacts) -> Retry | Stop:
    """At once, at an endpoint that the call has not asked yet.

    Repetitions of calls that failed at one bad endpoint give a good one no more than all of the calls, which it would
    have without the bad one, so the budget does not limit them. In an outage of all endpoints, none answers.
    """
    if not facts.sent:
        return Retry(0.0, "other")
    if facts.worth_it and facts.budget_left:
        return Retry(0.0, "other", paid=True)
    if facts.budget_allows and facts.others_answer:
        return Retry(0.0, "other")
    return Stop("budget" if facts.worth_it else "not_worth_it")


def _again(state: RetryState, facts: RetryFacts, now: float) -> Retry | Stop:
    """After a wait, at any endpoint: all have been asked."""
    if not facts.throttled and not facts.sent and not state.sent and not facts.one_may_come:
        return Stop("unreachable")  # waiting does not change that: a fast error
    if state.waits + 1 >= facts.max_attempts:
        return Stop("max_attempts")
    if not facts.worth_it:
        return Stop("not_worth_it")
    if now + facts.wait >= facts.deadline:
        return Stop("deadline")
    if facts.sent and not facts.budget_left:
        return Stop("budget")
    return Retry(facts.wait, "any", paid=facts.sent)
