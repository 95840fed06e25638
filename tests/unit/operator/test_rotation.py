"""Sealing keys rotate: accepted first, then sealing, then accepted for as long as an id of theirs is valid."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcppool_operator.rotation import (
    FIRST,
    GONE,
    MARGIN,
    SETTLE,
    SLOTS,
    KeyState,
    Wishes,
    accepted,
    advanced,
    due_in,
    read_state,
    written_state,
)

WEEK, MONTH = 7 * 86400.0, 30 * 86400.0
NEVER = Wishes(None, "", WEEK)
MONTHLY = Wishes(MONTH, "", WEEK)
ASKED = Wishes(None, "please", WEEK)


def rotated(state: KeyState, wishes: Wishes, now: float, id: str) -> KeyState:
    """The state after a whole rotation that begins now."""
    begun = advanced(state, wishes, now, None, id)
    assert begun.next is not None
    done = advanced(begun, wishes, now + SETTLE, now, "unused")
    assert done.next is None
    return done


def test_without_a_wish_the_keys_stay_as_they_are_and_nothing_is_written() -> None:
    state = KeyState(since=0.0)
    assert advanced(state, NEVER, 1e9, None, "k1") == state
    assert written_state(state) == {}
    assert due_in(state, NEVER, 1e9, None) is None


def test_a_new_key_is_accepted_before_it_seals() -> None:
    begun = advanced(KeyState(since=0.0), MONTHLY, MONTH, None, "k1")
    assert begun.keys == (FIRST,)
    assert begun.next is not None
    assert (begun.next.slot, begun.next.id) == (1, "k1")
    assert advanced(begun, MONTHLY, MONTH + 1e6, None, "k2") == begun, "no gateway has accepted it yet"
    assert advanced(begun, MONTHLY, MONTH + 1, MONTH, "k2") == begun, "all have, but only for a second"
    done = advanced(begun, MONTHLY, MONTH + SETTLE, MONTH, "k2")
    assert [key.slot for key in done.keys] == [1, 0]
    assert done.since == MONTH + SETTLE


def test_the_earlier_key_is_accepted_until_its_last_id_has_expired() -> None:
    done = rotated(KeyState(since=0.0), MONTHLY, MONTH, "k1")
    over = MONTH + SETTLE + WEEK + MARGIN
    assert due_in(done, MONTHLY, over - 5, None) == 5
    assert [key.slot for key in advanced(done, MONTHLY, over - 1, None, "k2").keys] == [1, 0]
    assert [key.slot for key in advanced(done, MONTHLY, over, None, "k2").keys] == [1]


def test_ids_that_were_made_with_a_longer_validity_are_waited_for() -> None:
    first = rotated(KeyState(since=0.0), MONTHLY, MONTH, "k1")
    shorter = Wishes(MONTH, "", 3600.0)
    second = rotated(first, shorter, 3 * MONTH, "k2")
    assert second.keys[1].until == 3 * MONTH + SETTLE + WEEK + MARGIN


def test_each_new_value_of_the_annotation_asks_for_one_rotation() -> None:
    done = rotated(KeyState(since=0.0), ASKED, 10.0, "k1")
    assert advanced(done, ASKED, 1e6, None, "k2").next is None
    again = advanced(done, Wishes(None, "once more", WEEK), 1e6, None, "k2")
    assert again.next is not None
    assert again.next.slot == 2


def test_a_rotation_waits_until_the_key_before_the_last_has_expired() -> None:
    state = rotated(KeyState(since=0.0), ASKED, 0.0, "k1")
    state = rotated(state, Wishes(None, "b", WEEK), 100.0, "k2")
    third = Wishes(None, "c", WEEK)
    assert advanced(state, third, 200.0, None, "k3").next is None
    over = 100.0 + SETTLE + WEEK + MARGIN
    assert due_in(state, third, 200.0, None) is not None
    begun = advanced(state, third, over, None, "k3")
    assert begun.next is not None
    assert begun.next.slot == 1


def test_gateways_that_terminate_hold_a_rotation_up_for_a_while() -> None:
    begun = advanced(KeyState(since=0.0), ASKED, 100.0, None, "k1")
    assert not accepted(begun, {"other"}, ending=False, now=101.0)
    assert accepted(begun, {"other", "k1"}, ending=False, now=101.0)
    assert not accepted(begun, {"k1"}, ending=True, now=101.0)
    assert accepted(begun, {"k1"}, ending=True, now=101.0 + GONE)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"keys": 1}', '{"keys": [{}], "since": 1}', "not json"])
def test_a_state_that_cannot_be_read_is_that_of_a_new_pool(text: str) -> None:
    assert read_state({"mcppool.dev/sealing-keys": text}, 5.0) == KeyState(since=5.0)


@given(
    st.lists(
        st.tuples(
            st.floats(0, 2 * WEEK),
            st.sampled_from([None, 60.0, WEEK, MONTH]),
            st.sampled_from(["", "a", "b", "c"]),
            st.booleans(),
        ),
        max_size=30,
    )
)
def test_every_course_keeps_one_sealing_key_and_each_earlier_one_until_it_expires(
    course: list[tuple[float, float | None, str, bool]],
) -> None:
    now, state, sealed = 0.0, KeyState(since=0.0), dict[tuple[int, str], float]()
    for number, (wait, every, asked, all_accept) in enumerate(course):
        now += wait
        before = state
        since = now - SETTLE if all_accept else None
        state = advanced(state, Wishes(every, asked, WEEK), now, since, f"k{number}")
        assert read_state(written_state(state), state.since) == state or not written_state(state)
        first = state.keys[0]
        if first != before.keys[0]:
            assert before.next is not None, "it was accepted before"
            assert first.id == before.next.id
        sealed[first.slot, first.id] = now
        slots = [key.slot for key in state.all]
        assert len(slots) == len(set(slots))
        assert set(slots) <= {0, *SLOTS}
        accepted_keys = {(key.slot, key.id) for key in state.all}
        for key, last in sealed.items():
            assert key in accepted_keys or now >= last + WEEK, "an id of it may still be valid"
