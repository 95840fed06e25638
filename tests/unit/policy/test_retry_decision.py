"""The retry decision, row by row, by design §4.3."""

from __future__ import annotations

import dataclasses

import pytest

from mcppool.policy.retry_decision import Retry, RetryFacts, RetryState, Stop, decide

NOW, DEADLINE = 100.0, 200.0
SENT = RetryFacts(sent=True, unsafe=False, throttled=False, max_attempts=3, deadline=DEADLINE, others=True, wait=2.0)
NEVER_SENT = dataclasses.replace(SENT, sent=False)
REFUSED = dataclasses.replace(NEVER_SENT, throttled=True)
ONCE = RetryState(sent=1)
NOT_ONCE = RetryState()


def but(facts: RetryFacts, **changed: object) -> RetryFacts:
    return dataclasses.replace(facts, **changed)  # type: ignore[arg-type]  # the fields' own types, by name


@pytest.mark.parametrize(
    ("state", "facts", "decision"),
    [
        # A message that was sent: by class, attempts and budget.
        (ONCE, SENT, Retry(0.0, "other", paid=True)),
        (ONCE, but(SENT, unsafe=True), Stop("unsafe")),
        (RetryState(sent=3), SENT, Stop("max_attempts")),
        (ONCE, but(SENT, budget_left=False), Stop("budget")),
        (ONCE, but(SENT, budget_left=False, others_answer=True), Retry(0.0, "other")),
        (ONCE, but(SENT, budget_left=False, others_answer=True, budget_allows=False), Stop("budget")),
        (ONCE, but(SENT, worth_it=False), Stop("not_worth_it")),
        (ONCE, but(SENT, worth_it=False, others_answer=True), Retry(0.0, "other")),
        # Never sent: for every class, elsewhere at once and free.
        (NOT_ONCE, NEVER_SENT, Retry(0.0, "other")),
        (NOT_ONCE, but(NEVER_SENT, unsafe=True, budget_left=False, worth_it=False), Retry(0.0, "other")),
        (NOT_ONCE, but(NEVER_SENT, others=False), Stop("unreachable")),
        (NOT_ONCE, but(NEVER_SENT, others=False, one_may_come=True), Retry(2.0, "any")),
        # Refused: elsewhere at once; if all refuse, after a wait; within the client's budget of repetitions.
        (NOT_ONCE, REFUSED, Retry(0.0, "other")),
        (NOT_ONCE, but(REFUSED, unsafe=True, others=False), Retry(2.0, "any")),
        (NOT_ONCE, but(REFUSED, refusals_left=False), Stop("refusals")),
        (NOT_ONCE, but(REFUSED, others=False, wait=DEADLINE - NOW), Stop("deadline")),
        # All have been asked: a wait, at most `max_attempts` times.
        (ONCE, but(SENT, others=False), Retry(2.0, "any", paid=True)),
        (ONCE, but(SENT, others=False, budget_left=False), Stop("budget")),
        (ONCE, but(SENT, others=False, worth_it=False), Stop("not_worth_it")),
        (RetryState(sent=1, waits=2), but(SENT, others=False), Stop("max_attempts")),
        (ONCE, but(NEVER_SENT, others=False), Retry(2.0, "any")),
        # Nothing after the deadline.
        (NOT_ONCE, but(NEVER_SENT, deadline=NOW), Stop("deadline")),
        # A session's call: at its endpoint first, then elsewhere if it may move.
        (ONCE, but(SENT, may_stay=True), Retry(0.0, "same", paid=True)),
        (RetryState(sent=1, stayed=True), but(SENT, may_stay=True), Retry(0.0, "other", paid=True)),
        (RetryState(sent=1, stayed=True), but(SENT, may_stay=True, may_leave=False), Retry(2.0, "any", paid=True)),
        (ONCE, but(SENT, may_stay=True, unsafe=True), Stop("unsafe")),
        (ONCE, but(SENT, may_stay=True, budget_left=False), Stop("budget")),
        # Failover is off.
        (NOT_ONCE, but(NEVER_SENT, may_leave=False), Stop("unreachable")),
    ],
)
def test_the_decision_after_a_failed_attempt(state: RetryState, facts: RetryFacts, decision: Retry | Stop) -> None:
    assert decide(state, facts, NOW) == decision
