"""The line of a call in the audit log: its constant parts are kept, and no line shows those of another call."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcppool.gateway.call_of_request import NOTHING
from mcppool.observe.audit import AuditLogs
from mcppool.pipeline import audit
from mcppool.pipeline.audit import AuditTrail
from mcppool.pipeline.call import Call
from mcppool.pipeline.outcome import Outcome
from mcppool.pipeline.pool.pool import ServerPool
from mcppool.policy.access_request import Decision
from mcppool.wire.era import LEGACY
from tests.unit.pipeline.pools import pool_of, tool_call


class Kept:
    """An audit log that keeps its lines."""

    full = False

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def configure(self, _: object) -> None:
        """Nothing is bounded."""

    def close(self, *, wait: bool = True) -> None:
        """Nothing waits."""

    def write(self, line: bytes, *, reserve: bool) -> bool:
        self.lines.append(line)
        return True


class Trail:
    """A pool with an audit log, whose lines are kept."""

    def __init__(self, pool: ServerPool, kept: Kept) -> None:
        self._kept = kept
        trail = pool.access_log.audit
        assert trail is not None
        self._trail: AuditTrail = trail
        (self._endpoint,) = pool.endpoints.values()

    def line(self, call: Any, *, attempts: int = 1, duration: float = 0.1, decision: Decision | None = None) -> Any:
        """The line of a call that has succeeded, but for its time."""
        outcome = Outcome()
        outcome.status, outcome.attempts, outcome.endpoint = "success", attempts, self._endpoint
        outcome.decision = decision
        self._trail.call(call, outcome, duration)
        said = json.loads(self._kept.lines.pop())
        assert len(said.pop("time")) == len("2026-11-30T00:00:00.000Z")
        return said


async def trail_with(kept: Kept) -> Trail:
    return Trail(pool_of('[audit]\ntype = "stdout"', "a"), kept)


@pytest.fixture(scope="module")
def trail() -> Iterator[Trail]:
    kept = Kept()
    make: Any = lambda _: kept  # noqa: E731
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(audit, "audit_logs", AuditLogs(make))
        yield asyncio.run(trail_with(kept))


@given(
    id=st.one_of(st.integers(0, 10**30), st.text(max_size=5)),
    name=st.text(min_size=1, max_size=5),
    address=st.sampled_from(["", "127.0.0.1", "::1"]),
    duration=st.floats(0, 10_000),
)
def test_a_usual_call_has_the_members_of_every_call_in_their_order(
    trail: Trail, id: object, name: str, address: str, duration: float
) -> None:
    call = tool_call(name, id=id, address=address)
    usual, other = (trail.line(call, attempts=attempts, duration=duration) for attempts in (1, 2))
    assert list(usual) == list(other)
    assert usual.pop("duration_ms") == pytest.approx(other.pop("duration_ms"), abs=0.0011)
    assert usual | {"attempts": 2} == other


def test_a_line_has_the_decision_and_the_principal_of_its_own_call(trail: Trail) -> None:
    call = tool_call("read", principal="ann")
    for decision in (Decision(True, "one"), Decision(True, "other"), None, Decision(True, "one")):
        assert trail.line(call, decision=decision).get("rule") == (decision.rule if decision is not None else None)
    for name in ("ann", "bob"):
        assert trail.line(tool_call("read", principal=name))["principal"]["name"] == name


def test_messages_without_a_method_are_told_apart(trail: Trail) -> None:
    for verb in (b"GET", b"DELETE", b"GET"):
        assert trail.line(Call(NOTHING, b"", b"", LEGACY, 0.0, verb=verb))["method"] == verb.decode()
