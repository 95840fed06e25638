"""The judgement of calls that were inside a killed process of the gateway."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.faults.clients import Record
from bench.faults.scene import Lengths, Scene, Window
from bench.faults.verdict import was_inside


def scene() -> Scene:
    """A process of the gateway is killed at 100, and is gone at 101."""
    played = Scene((), Path("ledger"), None, Lengths(0, 0, 0, 0))
    played.killed.append(Window("", 100.0, 101.0))
    return played


def record(began: float, took: float, failure: str | None) -> Record:
    return Record("1", "modern", "echo", "k1k", began, took, failure)


@pytest.mark.parametrize(
    ("call", "inside"),
    [
        (record(99.5, 0.6, "connection: reset"), True),
        (record(100.5, 0.1, "the answer was cut"), True),
        (record(99.5, 0.6, None), False),
        (record(99.5, 0.6, "overloaded"), False),
        (record(99.0, 0.5, "connection: reset"), False),
        (record(101.5, 0.1, "connection: reset"), False),
    ],
)
def test_only_a_call_that_broke_off_as_the_process_died_counts_as_inside_it(call: Record, inside: bool) -> None:
    assert was_inside(call, scene()) is inside
