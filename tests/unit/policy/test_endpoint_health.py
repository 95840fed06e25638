"""The states of an endpoint's health and the events that change them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcppool.policy.endpoint_health import EndpointState, Facts, HealthEvent, next_state

S, E = EndpointState, HealthEvent

WELL = Facts()
FAILING = Facts(checks_pass=False)
SILENT = Facts(silent=True)
EJECTED = Facts(ejected=True)
ON_TRIAL = Facts(ejected=True, on_trial=True)
NEW = Facts(answered=False)

TABLE = [
    # It joins.
    (S.JOINING, E.CHECK_PASSED, WELL, S.AVAILABLE),
    (S.JOINING, E.CHECK_REFUSED, FAILING, S.UNHEALTHY),
    (S.JOINING, E.CHECK_FAILED, FAILING, S.JOINING),
    (S.JOINING, E.EJECTED, EJECTED, S.JOINING),
    (S.JOINING, E.CHECK_PASSED, EJECTED, S.EJECTED),
    (S.JOINING, E.CONNECTION_REFUSED, WELL, S.UNREACHABLE),
    (S.AVAILABLE, E.STARTS, NEW, S.JOINING),
    (S.UNREACHABLE, E.STARTS, NEW, S.UNREACHABLE),
    # Checks, silences and answers to calls.
    (S.AVAILABLE, E.CHECK_FAILED, WELL, S.AVAILABLE),
    (S.AVAILABLE, E.CHECK_FAILED, FAILING, S.UNHEALTHY),
    (S.UNHEALTHY, E.CHECK_PASSED, FAILING, S.UNHEALTHY),
    (S.UNHEALTHY, E.CHECK_PASSED, WELL, S.AVAILABLE),
    (S.AVAILABLE, E.SILENT, SILENT, S.BUSY),
    (S.BUSY, E.ANSWERS_AGAIN, WELL, S.AVAILABLE),
    (S.UNHEALTHY, E.SILENT, Facts(checks_pass=False, silent=True), S.UNHEALTHY),
    (S.AVAILABLE, E.EJECTED, EJECTED, S.EJECTED),
    (S.EJECTED, E.CHECK_PASSED, EJECTED, S.EJECTED),
    (S.EJECTED, E.EJECTION_OVER, ON_TRIAL, S.PROBATION),
    (S.PROBATION, E.EJECTED, EJECTED, S.EJECTED),
    (S.PROBATION, E.RECOVERED, WELL, S.AVAILABLE),
    (S.PROBATION, E.RECOVERED, FAILING, S.UNHEALTHY),
    # It is lost, and found.
    (S.AVAILABLE, E.CONNECTION_REFUSED, WELL, S.UNREACHABLE),
    (S.PROBATION, E.CONNECTION_REFUSED, WELL, S.UNREACHABLE),
    (S.BUSY, E.HANGS, SILENT, S.HUNG),
    (S.HUNG, E.CONNECTION_REFUSED, WELL, S.HUNG),
    (S.UNREACHABLE, E.HANGS, WELL, S.UNREACHABLE),
    (S.UNREACHABLE, E.CHECK_FAILED, WELL, S.UNREACHABLE),
    (S.UNREACHABLE, E.CHECK_PASSED, WELL, S.AVAILABLE),
    (S.HUNG, E.CHECK_PASSED, WELL, S.AVAILABLE),
    (S.HUNG, E.CHECK_REFUSED, FAILING, S.UNHEALTHY),
    # It drains, and is wanted again.
    (S.AVAILABLE, E.DRAINED, WELL, S.DRAINING),
    (S.JOINING, E.DRAINED, NEW, S.DRAINING),
    (S.UNREACHABLE, E.DRAINED, WELL, S.GONE),
    (S.HUNG, E.DRAINED, WELL, S.STUCK),
    (S.DRAINING, E.CONNECTION_REFUSED, WELL, S.GONE),
    (S.DRAINING, E.HANGS, SILENT, S.STUCK),
    (S.DRAINING, E.EJECTED, EJECTED, S.DRAINING),
    (S.GONE, E.CHECK_PASSED, WELL, S.DRAINING),
    (S.STUCK, E.CHECK_PASSED, WELL, S.DRAINING),
    (S.DRAINING, E.RESUMED, WELL, S.AVAILABLE),
    (S.DRAINING, E.RESUMED, ON_TRIAL, S.PROBATION),
    (S.DRAINING, E.RESUMED, NEW, S.JOINING),
    (S.GONE, E.RESUMED, WELL, S.UNREACHABLE),
    (S.STUCK, E.RESUMED, WELL, S.HUNG),
    (S.AVAILABLE, E.RESUMED, WELL, S.AVAILABLE),
]


@pytest.mark.parametrize(
    ("state", "event", "facts", "then"), TABLE, ids=[f"{s.name}-{e.name}-{t.name}" for s, e, _, t in TABLE]
)
def test_an_event_changes_the_state(
    state: EndpointState, event: HealthEvent, facts: Facts, then: EndpointState
) -> None:
    assert next_state(state, event, facts) is then


@pytest.mark.parametrize(
    ("state", "word", "available", "draining", "lost", "reachable"),
    [
        (S.JOINING, "joining", False, False, False, False),
        (S.AVAILABLE, "available", True, False, False, True),
        (S.BUSY, "busy", True, False, False, True),
        (S.UNHEALTHY, "unhealthy", False, False, False, True),
        (S.EJECTED, "ejected", False, False, False, True),
        (S.PROBATION, "ejected", False, False, False, True),
        (S.UNREACHABLE, "unreachable", False, False, True, False),
        (S.HUNG, "hung", False, False, True, False),
        (S.DRAINING, "draining", False, True, False, False),
        (S.GONE, "draining", False, True, True, False),
        (S.STUCK, "draining", False, True, True, False),
    ],
    ids=[state.name for state in S],
)
def test_a_state_tells_where_calls_may_go(
    state: EndpointState, word: str, available: bool, draining: bool, lost: bool, reachable: bool
) -> None:
    assert (state.word, state.available, state.draining, state.lost) == (word, available, draining, lost)
    assert state.reachable is reachable


EVENTS = st.lists(
    st.tuples(st.sampled_from(list(E)), st.builds(Facts, *[st.booleans()] * 5)),
    max_size=12,
)


@given(state=st.sampled_from(list(S)), events=EVENTS)
def test_only_an_order_ends_a_drain_and_only_an_answer_ends_a_loss(
    state: EndpointState, events: list[tuple[HealthEvent, Facts]]
) -> None:
    for event, facts in events:
        before, state = state, next_state(state, event, facts)
        if before.draining is not state.draining:
            assert event is (E.RESUMED if before.draining else E.DRAINED)
        if before.lost and not state.lost:
            assert event in (E.CHECK_PASSED, E.CHECK_REFUSED)
        if state.lost and not before.lost:
            assert event in (E.CONNECTION_REFUSED, E.HANGS)
