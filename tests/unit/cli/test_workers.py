"""The command that starts a worker."""

from __future__ import annotations

import sys

import pytest

from mcppool.cli.workers import worker_command

SELF = [sys.executable, "-m", "mcppool"]


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["serve", "--config", "a.toml"], ["serve", "--config", "a.toml", "--worker", "7"]),
        (
            ["serve", "--workers", "2", "--", "x", "--", "y"],
            ["serve", "--workers", "2", "--worker", "7", "--", "x", "--", "y"],
        ),
    ],
    ids=["a file", "a local server"],
)
def test_a_worker_gets_the_arguments_of_its_supervisor_and_its_channel(argv: list[str], expected: list[str]) -> None:
    assert worker_command(argv, 7) == [*SELF, *expected]
