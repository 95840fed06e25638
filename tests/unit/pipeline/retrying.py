"""Calls and endpoints for tests of repetitions."""

from __future__ import annotations

import random
from time import monotonic

from mcppool.pipeline.call import Call
from mcppool.pipeline.plan import Plan
from mcppool.pipeline.pool.pool import ServerPool
from mcppool.pipeline.sessions.session import Session
from mcppool.upstream.endpoint import Endpoint
from mcppool.wire.sealing import SessionClaims, compressed
from tests.unit.pipeline.pools import call_of, planned, tool_call

SAFE, IDEMPOTENT, UNSAFE = call_of("tools/list"), tool_call("read"), tool_call("write")


class Longest(random.Random):
    """Full jitter always gives the whole wait."""

    def random(self) -> float:
        return 1.0

    def uniform(self, a: float, b: float) -> float:
        return b


def first(pool: ServerPool) -> Endpoint:
    return next(iter(pool.endpoints.values()))


def plan_of(call: Call, pool: ServerPool) -> Plan:
    plan = planned(call, pool)
    plan.deadline = monotonic() + 60
    return plan


def session_at(endpoint: Endpoint) -> Session:
    return Session(
        SessionClaims(
            endpoint=endpoint.key, upstream_session="s", version="2025-11-25",
            capabilities=compressed(b"{}"), client=b"{}", issued=0, expires=1,
        )
    )  # fmt: skip
