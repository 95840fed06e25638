"""What many tests against gateways need."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from mcppool.wire.sealing import generate_key_line
from tests.integration.raw_session import RawSession
from tests.servers.faults import FaultServer
from tests.servers.handshakes import Handshakes


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A client over bare HTTP."""
    async with aiohttp.ClientSession() as client:
        yield client


@pytest.fixture
def session(http: aiohttp.ClientSession) -> RawSession:
    """A session that is not open yet."""
    return RawSession(http)


@pytest.fixture
def keys(tmp_path: Path) -> str:
    """The line of [listener] with a key file that several gateways may share."""
    file = tmp_path / "sealing-keys"
    file.write_text(generate_key_line(time.time()) + "\n")
    return f'sealing_keys = "{file}"'


@pytest.fixture
async def server() -> AsyncIterator[FaultServer]:
    """A server of the handshake era with the behaviour `handshakes`."""
    async with FaultServer(Handshakes(), everything=True) as server:
        yield server


@pytest.fixture
def handshakes(server: FaultServer) -> Handshakes:
    """How that server behaves."""
    assert isinstance(server.behaviour, Handshakes)
    return server.behaviour
