"""TLS towards servers: trust, the client certificate, and changes of files."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mcppool.spec import UpstreamTlsSpec
from mcppool.upstream.failures import ConnectFailed
from mcppool.upstream.http import tls as tls_module
from mcppool.upstream.http.connection import Connection
from mcppool.upstream.http.target import Target
from mcppool.upstream.http.tls import UpstreamTls
from tests.certificates import ServerCertificate, make_server_certificate
from tests.servers.plain import plain_server
from tests.unit.upstream.line import ask
from tests.unit.upstream.transports import OK


@asynccontextmanager
async def serving(own: ServerCertificate, *, clients: ServerCertificate | None = None) -> AsyncIterator[int]:
    """A server that answers each request with OK; `clients`: the authority that must have signed its clients."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(own.certificate, own.key)
    if clients is not None:
        context.load_verify_locations(clients.ca)
        context.verify_mode = ssl.CERT_REQUIRED

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.read(1000):
                writer.write(OK)
        except OSError:
            pass  # refused, or the test is over
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


class Nobody:
    def connection_released(self, connection: Connection) -> None: ...

    def connection_closed(self, connection: Connection) -> None: ...


async def status(port: int, spec: UpstreamTlsSpec, *, tls: UpstreamTls | None = None, host: str = "127.0.0.1") -> int:
    """The status of one request."""
    target = Target("127.0.0.1", port, tls or UpstreamTls(spec), f"{host}:{port}")
    connection = await target.connect(asyncio.get_running_loop(), Nobody(), 60.0)
    try:
        now = asyncio.get_running_loop().time()
        async with asyncio.timeout(60):
            response = await ask(connection, b"GET / HTTP/1.1\r\n\r\n", now, now + 9e9, 9e9, now + 9e9)
        return response.status
    finally:
        connection.close()
        await asyncio.sleep(0)


async def test_a_server_of_our_own_authority_is_trusted_and_no_other(tmp_path: Path) -> None:
    ours, other = make_server_certificate(tmp_path / "ours"), make_server_certificate(tmp_path / "other")
    async with serving(ours) as port:
        assert await status(port, UpstreamTlsSpec(ca_file=str(ours.ca))) == 200
        for spec in (UpstreamTlsSpec(ca_file=str(other.ca)), UpstreamTlsSpec()):
            with pytest.raises(ConnectFailed, match="its certificate is refused: ") as failure:
                await status(port, spec)
            assert not failure.value.sent


async def test_a_server_that_answers_in_plain_text_is_the_reason_that_is_given() -> None:
    async with plain_server() as port:
        with pytest.raises(ConnectFailed, match="it does not speak TLS: use http:// in place of https://"):
            await status(port, UpstreamTlsSpec())


async def test_the_name_must_be_the_servers(tmp_path: Path) -> None:
    ours = make_server_certificate(tmp_path)
    async with serving(ours) as port:
        assert await status(port, UpstreamTlsSpec(ca_file=str(ours.ca)), host="localhost") == 200
        with pytest.raises(ConnectFailed, match=r"not valid for 'other.test'"):
            await status(port, UpstreamTlsSpec(ca_file=str(ours.ca)), host="other.test")
        named = UpstreamTlsSpec(ca_file=str(ours.ca), server_name="localhost")
        assert await status(port, named, host="other.test") == 200


async def test_a_server_that_requires_a_client_certificate_gets_it(tmp_path: Path) -> None:
    server, us = make_server_certificate(tmp_path / "server"), make_server_certificate(tmp_path / "us")
    own = {"certificate_file": str(us.certificate), "key_file": str(us.key)}
    async with serving(server, clients=us) as port:
        assert await status(port, UpstreamTlsSpec(ca_file=str(server.ca), **own)) == 200


async def test_files_are_read_again_when_they_change_and_half_written_ones_do_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_module, "LOOK_EVERY", 0.0)
    old, new = make_server_certificate(tmp_path / "old"), make_server_certificate(tmp_path / "new")
    ca = tmp_path / "ca.crt"
    ca.write_bytes(old.ca.read_bytes())
    tls = UpstreamTls(spec := UpstreamTlsSpec(ca_file=str(ca)))
    async with serving(old) as before, serving(new) as after:
        assert await status(before, spec, tls=tls) == 200
        ca.write_text("half a certif")
        assert await status(before, spec, tls=tls) == 200
        (tmp_path / "next").write_bytes(new.ca.read_bytes())
        os.replace(tmp_path / "next", ca)
        assert await status(after, spec, tls=tls) == 200
        with pytest.raises(ConnectFailed):
            await status(before, spec, tls=tls)


async def test_a_file_that_is_not_there_is_a_connection_that_failed(tmp_path: Path) -> None:
    with pytest.raises(ConnectFailed):
        await status(1, UpstreamTlsSpec(ca_file=str(tmp_path / "missing")))
