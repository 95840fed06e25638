"""The listener's certificate: refused by name where it is none, read again when its files change."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from mcppool.gateway.http.connection import HttpConnection
from mcppool.gateway.http.listener import Listener
from mcppool.gateway.http.reader import HttpRequest
from mcppool.gateway.http.tls import Certificate
from mcppool.observe.metrics import GatewayMetrics
from mcppool.policy.memory_budget import MemoryBudget
from mcppool.spec import ConfigError, ListenerSpec
from tests.certificates import ServerCertificate, make_server_certificate


async def greet(request: HttpRequest, connection: HttpConnection) -> None:
    connection.response.whole(200, b"", b"hello")


async def ask(address: tuple[str, int], authority: Path) -> bytes:
    """The answer to one request, by a client that trusts this authority alone."""
    trust = ssl.create_default_context(cafile=str(authority))
    reader, writer = await asyncio.open_connection(*address, ssl=trust)
    try:
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return await reader.read()
    finally:
        writer.close()


def certificate_of(made: ServerCertificate) -> Certificate:
    return Certificate(str(made.certificate), str(made.key))


async def test_a_client_that_trusts_the_authority_is_served(tmp_path: Path) -> None:
    made = make_server_certificate(tmp_path)
    listener = Listener(greet, GatewayMetrics(), MemoryBudget(), ListenerSpec())
    await listener.start("127.0.0.1", 0, certificate_of(made))
    assert (await ask(listener.address, made.ca)).endswith(b"hello")
    await listener.stop(1)


async def test_changed_files_are_taken_over_for_new_connections(tmp_path: Path) -> None:
    old, new = make_server_certificate(tmp_path / "old"), make_server_certificate(tmp_path / "new", "another authority")
    certificate = certificate_of(old)
    listener = Listener(greet, GatewayMetrics(), MemoryBudget(), ListenerSpec())
    await listener.start("127.0.0.1", 0, certificate)
    assert await ask(listener.address, old.ca)
    for source, target in ((new.certificate, old.certificate), (new.key, old.key)):
        shutil.copyfile(source, target)
    certificate.refresh()
    assert (await ask(listener.address, new.ca)).endswith(b"hello")
    with pytest.raises(ssl.SSLCertVerificationError):
        await ask(listener.address, old.ca)
    await listener.stop(1)


async def test_a_pair_that_does_not_fit_leaves_the_old_one_in_use(tmp_path: Path) -> None:
    old, new = make_server_certificate(tmp_path / "old"), make_server_certificate(tmp_path / "new")
    certificate = certificate_of(old)
    listener = Listener(greet, GatewayMetrics(), MemoryBudget(), ListenerSpec())
    await listener.start("127.0.0.1", 0, certificate)
    old.key.write_bytes(new.key.read_bytes())
    certificate.refresh()
    old.certificate.unlink()
    certificate.refresh()
    assert (await ask(listener.address, old.ca)).endswith(b"hello")
    await listener.stop(1)


async def test_a_client_that_speaks_no_tls_is_cut_off(tmp_path: Path) -> None:
    listener = Listener(greet, GatewayMetrics(), MemoryBudget(), ListenerSpec())
    await listener.start("127.0.0.1", 0, certificate_of(make_server_certificate(tmp_path)))
    reader, writer = await asyncio.open_connection(*listener.address)
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b"hello" not in await asyncio.wait_for(reader.read(), 5)
    writer.close()
    await listener.stop(1)


def test_files_that_hold_no_certificate_are_refused_by_name(tmp_path: Path) -> None:
    made = make_server_certificate(tmp_path)
    with pytest.raises(ConfigError, match=r"listener\.tls"):
        Certificate(str(tmp_path / "missing.crt"), str(made.key))
    with pytest.raises(ConfigError, match=r"listener\.tls"):
        Certificate(str(made.key), str(made.certificate))


def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_its_password(tmp_path: Path) -> None:
    made = make_server_certificate(tmp_path)
    key = serialization.load_pem_private_key(made.key.read_bytes(), None)
    made.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(ConfigError, match="encrypted"):
        certificate_of(made)
