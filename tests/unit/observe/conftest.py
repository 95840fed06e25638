"""An admin port for each test that asks for one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from mcppool.observe import collector
from mcppool.observe.admin import AdminServer
from mcppool.observe.pages import OwnPages
from tests.unit.observe.admin_port import Admin, Gateway


@pytest.fixture
async def admin() -> AsyncIterator[Admin]:
    gateway = Gateway()
    registry = collector.registry(gateway.metrics, lambda: gateway.pools, gateway.config)
    pages = OwnPages(gateway, registry)
    server = AdminServer("127.0.0.1", 0, pages)
    await server.start()
    async with aiohttp.ClientSession() as session:
        yield Admin(gateway, server, session, pages)
    await server.stop()
