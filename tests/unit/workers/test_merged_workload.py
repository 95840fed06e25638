"""Facts about tools of several processes, for advice."""

from __future__ import annotations

from typing import Any

from mcppool.workers.merged_status import merged_workload


def page(sampled: int, *, sessions: bool) -> dict[str, Any]:
    counts = {"annotation": "read-only", "repeatable": True, "sampled": sampled, "seconds": 0.5}
    return {"p": {"serverSessions": sessions, "tools": {"find": counts}}}


def test_counts_are_summed_and_facts_are_kept() -> None:
    assert merged_workload([page(3, sessions=False), page(4, sessions=True)]) == {
        "p": {
            "serverSessions": True,
            "tools": {"find": {"annotation": "read-only", "repeatable": True, "sampled": 7, "seconds": 1.0}},
        }
    }
    assert merged_workload([]) == {}
