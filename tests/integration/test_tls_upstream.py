"""Servers behind https, through the whole gateway: trust, client certificates, and messages of failures."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from mcp import Client

from tests.certificates import ServerCertificate, make_server_certificate
from tests.conftest import GatewayFactory
from tests.integration.raw_http import ask, tool_call
from tests.servers import Gateway, pool_toml, text_of
from tests.servers.faults import FaultServer
from tests.waiting import until


def serving(own: ServerCertificate, *, clients: ServerCertificate | None = None, name: str = "fake") -> FaultServer:
    """A server with this certificate; `clients`: the authority that must have signed its clients."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(own.certificate, own.key)
    if clients is not None:
        context.load_verify_locations(clients.ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return FaultServer(tls=context, name=name)


def trusting(*authorities: ServerCertificate, more: str = "") -> str:
    """The section that trusts these."""
    bundle = authorities[0].ca.with_name("bundle.crt")
    bundle.write_bytes(b"".join(authority.ca.read_bytes() for authority in authorities))
    return f'[pools.tls]\nca_file = "{bundle}"\n{more}'


@pytest.fixture
def right(tmp_path: Path) -> ServerCertificate:
    return make_server_certificate(tmp_path / "right", "an authority")


@pytest.fixture
async def server(right: ServerCertificate) -> AsyncIterator[FaultServer]:
    async with serving(right) as server:
        yield server


async def why_refused(front: Gateway) -> str:
    """The log's text about the only endpoint, once the gateway has refused a call."""
    answer = await ask(front, tool_call("write"))
    assert answer.error["data"]["delivered"] == "no"
    assert answer.error["data"]["reason"] in ("no_endpoint", "connect_failed")
    assert "127.0.0.1" not in answer.body.decode(), "addresses are for the log"
    await until(lambda: "state=unreachable" in front.log, "it is left out")
    return next(line for line in front.log.splitlines() if "state=unreachable" in line)


async def test_servers_of_an_own_authority_serve_both_eras(
    gateway: GatewayFactory, right: ServerCertificate, server: FaultServer
) -> None:
    front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=trusting(right)))
    for mode in ("auto", "legacy"):
        async with Client(front.url, mode=mode) as client:
            for _ in range(3):
                result = await client.call_tool("read", {})
                assert (result.is_error, text_of(result)) == (False, "fake")
    assert server.executed("read") == 6


async def test_an_authority_that_is_not_trusted_is_the_reason_that_is_given(
    gateway: GatewayFactory, server: FaultServer
) -> None:
    front = await asyncio.to_thread(gateway, pool_toml(server.url))
    assert "its certificate is refused" in await why_refused(front)
    assert server.requests == []


async def test_a_certificate_of_another_name_is_the_reason_that_is_given(
    gateway: GatewayFactory, tmp_path: Path
) -> None:
    other = make_server_certificate(tmp_path / "other", name="somebody.else.example")
    async with serving(other) as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=trusting(other)))
        why = await why_refused(front)
        assert "its certificate is refused" in why
        assert "IP address mismatch" in why
        assert server.requests == []


async def test_the_name_that_certificates_must_have_may_be_another_than_the_address(
    gateway: GatewayFactory, tmp_path: Path
) -> None:
    other = make_server_certificate(tmp_path / "other", name="search.example")
    async with serving(other) as server:
        sections = trusting(other, more='server_name = "search.example"\n')
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=sections))
        assert (await ask(front, tool_call("read"))).status == 200


async def test_a_server_with_a_wrong_certificate_gets_no_calls_and_the_others_take_them(
    gateway: GatewayFactory, right: ServerCertificate, server: FaultServer, tmp_path: Path
) -> None:
    other = make_server_certificate(tmp_path / "other", "another authority", name="somebody.else.example")
    async with serving(other, name="wrong") as wrong:
        text = pool_toml(wrong.url, server.url, sections=trusting(right, other))
        front = await asyncio.to_thread(gateway, text)
        answers = [await ask(front, tool_call("write")) for _ in range(20)]
        assert [answer.status for answer in answers] == [200] * 20
        assert wrong.requests == []
        assert server.executed("write") == 20


async def test_a_server_that_requires_a_client_certificate_gets_ours(
    gateway: GatewayFactory, right: ServerCertificate, tmp_path: Path
) -> None:
    ours = make_server_certificate(tmp_path / "ours", "authority of clients")
    own = f'certificate_file = "{ours.certificate}"\nkey_file = "{ours.key}"\n'
    async with serving(right, clients=ours) as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=trusting(right, more=own)))
        assert (await ask(front, tool_call("read"))).status == 200
        stranger = await asyncio.to_thread(gateway, pool_toml(server.url, sections=trusting(right)))
        answer = await ask(stranger, tool_call("read"))
        assert answer.error["data"]["reason"] in ("no_endpoint", "connect_failed", "connection_lost"), answer
