"""Calls under access rules and an audit log run without a task, and end as they would in one."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from mcppool.observe.audit import AuditLogs
from mcppool.pipeline import audit
from mcppool.pipeline.call import Call
from mcppool.pipeline.outcome import Outcome
from tests.unit.pipeline.pools import Heard, call_of, tool_call
from tests.unit.pipeline.test_direct_calls import ANSWERS, ONE_ATTEMPT, Client, answered, with_line
from tests.unit.pipeline.test_direct_limits import ALL
from tests.unit.upstream.line import sized

AUDIT = '[audit]\ntype = "stdout"\narguments = true'
READERS = '[[access.allow]]\nname = "readers"\ntools = ["read"]'
POLICIES = {"access rules": READERS, "audit": AUDIT, "every policy": f"{READERS}\n{AUDIT}\n{ALL}"}
BY_CHANCE = ("time", "id", "duration_ms")


class Kept:
    """An audit log that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.full = False

    def configure(self, _: object) -> None:
        """Nothing is bounded."""

    def write(self, line: bytes, *, reserve: bool) -> bool:
        self.lines.append({key: value for key, value in json.loads(line).items() if key not in BY_CHANCE})
        return True


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Kept:
    kept = Kept()
    make: Any = lambda _: kept  # noqa: E731
    monkeypatch.setattr(audit, "audit_logs", AuditLogs(make))
    return kept


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("answer", ANSWERS)
async def test_a_call_under_policies_ends_alike_with_and_without_a_task(kept: Kept, answer: str, policy: str) -> None:
    seen, lines = [], []
    for direct in (True, False):
        kept.lines.clear()
        seen.append(await answered([ANSWERS[answer]], direct=direct, text=f"{ONE_ATTEMPT}\n{POLICIES[policy]}"))
        lines.append(list(kept.lines))
    assert seen[0] == seen[1]
    assert lines[0] == lines[1]
    assert len(lines[0]) == ("audit" in POLICIES[policy])


@pytest.mark.parametrize(
    ("text", "call", "status", "allowed"),
    [
        (READERS, tool_call("write"), "rejected", False),
        (f'{READERS}\n[access]\nmode = "shadow"', tool_call("write"), "success", True),
        (READERS, call_of("tools/list"), "success", None),
    ],
    ids=["denied", "would be denied", "list to shorten"],
)
async def test_a_call_that_is_refused_or_changed_for_its_client_has_a_task(
    kept: Kept, text: str, call: Call, status: str, allowed: bool | None
) -> None:
    pool, line = with_line(f"{ONE_ATTEMPT}\n{AUDIT}\n{text}")
    outcome = Outcome()
    rest = pool.begin(call, Heard(), outcome, Client())
    assert rest is not None
    task = asyncio.ensure_future(rest)
    while not task.done() and not line.transport.written:
        line.connection.flush()
        await asyncio.sleep(0)
    line.says(sized(b'{"jsonrpc":"2.0","id":1,"result":{"content":[],"tools":[]}}'))
    await task
    assert outcome.status == status
    assert [entry["allowed"] for entry in kept.lines] == ([] if allowed is None else [allowed])
    assert sum(pool.metrics.requests.values()) == 1
    line.transport.dispose()


async def test_a_call_that_a_full_audit_log_refuses_has_a_task(kept: Kept) -> None:
    pool, line = with_line(f'{ONE_ATTEMPT}\n{AUDIT}\noverflow = "refuse"')
    kept.full = True
    outcome = Outcome()
    rest = pool.begin(tool_call("read"), Heard(), outcome, Client())
    assert rest is not None
    await rest
    assert (outcome.status, line.transport.written, len(kept.lines)) == ("rejected", [], 1)
    line.transport.dispose()
