"""Claims to trial calls: one process at a time has the claim, and a process that dies has none."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator

import pytest

from mcppool.workers.trial_locks import PoolTrials, TrialLocks

OTHER = """
import sys
from mcppool.workers.trial_locks import PoolTrials, TrialLocks
trials = PoolTrials(TrialLocks(int(sys.argv[1])), "demo")
for line in sys.stdin:
    step, endpoint, tool = line.rstrip("\\n").split("\\t")
    print(getattr(trials, step)(endpoint, tool), flush=True)
"""


class Other:
    """Another process with the same file."""

    def __init__(self, descriptor: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", OTHER, str(descriptor)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, pass_fds=[descriptor],
        )  # fmt: skip

    def does(self, step: str, endpoint: str, tool: str = "") -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{step}\t{endpoint}\t{tool}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def die(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def two() -> Iterator[tuple[PoolTrials, Other]]:
    """The claims of this process, and another process."""
    with tempfile.TemporaryFile() as file:
        other = Other(file.fileno())
        yield PoolTrials(TrialLocks(file.fileno()), "demo"), other
        other.die()


def test_one_process_at_a_time_has_the_claim_and_each_trial_has_its_own(two: tuple[PoolTrials, Other]) -> None:
    ours, other = two
    assert ours.claim("http://a", "find")
    assert other.does("claim", "http://a", "find") == "False"
    assert other.does("claim", "http://a", "write") == other.does("claim", "http://b", "find") == "True"
    assert not ours.claim("http://a", "write")
    ours.give_up("http://a", "find")
    assert other.does("claim", "http://a", "find") == "True"


def test_the_claims_of_a_process_that_dies_are_free(two: tuple[PoolTrials, Other]) -> None:
    ours, other = two
    assert other.does("claim", "http://a") == "True"
    assert not ours.claim("http://a", "")
    other.die()
    assert ours.claim("http://a", "")
