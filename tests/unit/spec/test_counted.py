"""Singular and plural agree in texts for people."""

from __future__ import annotations

import pytest

from mcppool.spec.plural import counted


@pytest.mark.parametrize(
    ("count", "of", "told"),
    [
        (1, None, "1 server answers"),
        (2, None, "2 servers answer"),
        (0, None, "0 servers answer"),
        (1, 1, "1 of 1 server answers"),
        (1, 3, "1 of 3 servers answers"),
        (2, 3, "2 of 3 servers answer"),
    ],
)
def test_noun_and_verb_agree_with_their_number(count: int, of: int | None, told: str) -> None:
    assert counted(count, "server", ("answers", "answer"), of=of) == told


def test_a_noun_alone() -> None:
    assert (counted(1, "call"), counted(5, "call")) == ("1 call", "5 calls")
