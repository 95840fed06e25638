from __future__ import annotations

import pytest

from mcppool.policy.consecutive_failures import MAX_TOLD_APART, PERSISTENT, ClientKey, ConsecutiveFailures
from tests.unit.footprint import footprint


def row(*clients: tuple[str, str], now: float = 0.0) -> ConsecutiveFailures:
    made = ConsecutiveFailures()
    for key, origin in clients:
        made.add(ClientKey(key, origin), now)
    return made


@pytest.mark.parametrize(
    ("clients", "shared"),
    [
        ([], False),
        ([("alice", "alice")] * 9, False),
        ([("alice", "alice"), ("bob", "bob")], True),
        ([("c1", "10.0.0.1"), ("c2", "10.0.0.2")], True),
        ([("c1", "10.0.0.1"), ("c2", "10.0.0.1"), ("c3", "10.0.0.1")], False),
        ([("c1", "10.0.0.1")] * 5 + [("c2", "10.0.0.1")], False),
        ([("c1", "10.0.0.1"), ("c2", "10.0.0.1")] * 2, True),
    ],
)
def test_failures_in_a_row_of_more_than_one_client(clients: list[tuple[str, str]], shared: bool) -> None:
    assert row(*clients).shared is shared


def test_a_success_ends_it() -> None:
    made = row(("alice", "alice"), ("bob", "bob"))
    made.end()
    assert not made
    assert not made.shared
    assert not made.persists(100.0)
    made.add(ClientKey("bob", "bob"), 100.0)
    assert (made.length, made.shared, made.of(ClientKey("bob", "bob"))) == (1, False, 1)


def test_it_persists_after_its_time() -> None:
    made = row(("alice", "alice"), now=10.0)
    assert not made.persists(10.0 + PERSISTENT - 0.01)
    assert made.persists(10.0 + PERSISTENT)
    assert not ConsecutiveFailures().persists(1e9)


def test_clients_without_end_take_no_memory_without_end() -> None:
    made = row(*((f"c{n}", "10.0.0.1") for n in range(1000)))
    assert made.length == 1000
    assert footprint(made) == pytest.approx(
        footprint(row(*((f"c{n}", "10.0.0.1") for n in range(MAX_TOLD_APART)))), abs=100
    )
