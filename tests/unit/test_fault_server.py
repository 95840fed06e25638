"""The fake server leaves nothing behind: what it leaves would fail a later test."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from tests.certificates import make_server_certificate
from tests.descriptors import described, held
from tests.servers.faults import FaultServer
from tests.servers.process import HOST
from tests.waiting import until


@pytest.mark.parametrize("encrypted", [True, False])
async def test_a_server_that_ends_closes_connections_that_have_said_nothing_yet(
    encrypted: bool, tmp_path: Path
) -> None:
    tls: ssl.SSLContext | None = None
    if encrypted:
        own = make_server_certificate(tmp_path)
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(own.certificate, own.key)
    server = FaultServer(tls=tls)
    before = held()
    async with server:
        _, writer = await asyncio.open_connection(HOST, server.port)
        await until(lambda: len(held() - before) == 3, "the server has accepted: it has two sockets, and we have one")
    writer.close()
    await writer.wait_closed()
    assert not held() - before, described(held() - before)
