"""The prober's own session on a server."""

from __future__ import annotations

import asyncio

import pytest

from mcppool.spec import EndpointSpec
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.probing.check_times import CheckTimes
from mcppool.upstream.probing.prober_session import ProberSession
from tests.servers.faults import FaultServer
from tests.servers.handshakes import Handshakes
from tests.unit.upstream.transports import pool_spec


@pytest.mark.parametrize("turns", range(6))
async def test_the_end_of_a_session_goes_on_if_its_check_is_cancelled(turns: int) -> None:
    legacy = Handshakes()
    async with FaultServer(legacy, everything=True) as server:
        spec = pool_spec(min_connections=0)
        endpoint = Endpoint(EndpointSpec(url=server.url), spec)
        session = ProberSession(endpoint, CheckTimes(endpoint, spec))
        await session.handshake()
        renewal = asyncio.create_task(session.forget())
        for _ in range(turns):
            await asyncio.sleep(0)
        renewal.cancel()
        await asyncio.wait({renewal})
        await session.stop()
        endpoint.connections.abort()
        (opened,) = legacy.sessions.values()
        assert opened.ended
