"""The listener's certificate: refused by name if it is none, read again when its files change."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from mcppool.gateway.http.connection import HttpConnection
from mcppool.gateway.http.http_request import HttpRequest
from mcppool.gateway.http.listener import Listener
from mcppool.gateway.http.tls import Certificate
from mcppool.observe.metrics import GatewayMetrics
from mcppool.policy.memory_budget import MemoryBudget
from mcppool.spec import ConfigError, ListenerSpec
from mcppool.spec.sections.process import ListenerTlsSpec
from tests.certificates import ServerCertificate, make_server_certificate


async def greet(request: HttpRequest, connection: HttpConnection) -> None:
    connection.response.whole(200, b"", b"hello")


async def ask(
    address: tuple[str, int], authority: Path, own: ServerCertificate | None = None, newest: bool = True
) -> bytes:
    """The answer to one request, by a client that trusts this authority alone; `own` is its certificate."""
    trust = ssl.create_default_context(cafile=str(authority))
    if own is not None:
        trust.load_cert_chain(own.certificate, own.key)
    if not newest:
        trust.maximum_version = ssl.TLSVersion.TLSv1_2
    reader, writer = await asyncio.open_connection(*address, ssl=trust)
    try:
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return await reader.read()
    finally:
        writer.close()


async def refused(
    address: tuple[str, int], authority: Path, own: ServerCertificate | None = None, newest: bool = True
) -> bool:
    """Whether a client gets no answer: in TLS 1.3 its handshake is over before the server looks at its certificate."""
    try:
        return await ask(address, authority, own, newest) == b""
    except OSError:
        return True


def certificate_of(made: ServerCertificate) -> Certificate:
    return Certificate(spec_of(made))


def spec_of(made: ServerCertificate, **more: Any) -> ListenerTlsSpec:
    return ListenerTlsSpec(certificate_file=str(made.certificate), key_file=str(made.key), **more)


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
    assert b"hello" not in await asyncio.wait_for(reader.read(), 60)
    writer.close()
    await listener.stop(1)


def test_files_that_cannot_be_used_are_refused_by_their_keys(tmp_path: Path) -> None:
    made = make_server_certificate(tmp_path)
    with pytest.raises(ConfigError, match=r"listener\.tls\.key_file: .*No such file"):
        Certificate(spec_of(made).model_copy(update={"key_file": str(tmp_path / "missing.key")}))
    with pytest.raises(ConfigError, match=r"metrics\.tls\.client_ca_file: .*no certificate in PEM"):
        Certificate(spec_of(made, client_ca_file=str(made.key)), "metrics.tls")


@asynccontextmanager
async def listening(certificate: Certificate) -> AsyncIterator[tuple[str, int]]:
    listener = Listener(greet, GatewayMetrics(), MemoryBudget(), ListenerSpec())
    await listener.start("127.0.0.1", 0, certificate)
    try:
        yield listener.address
    finally:
        await listener.stop(1)


@pytest.mark.parametrize("newest", [True, False], ids=["TLS 1.3", "TLS 1.2"])
async def test_a_client_without_a_certificate_of_the_authority_is_not_served(tmp_path: Path, newest: bool) -> None:
    made, friend, stranger = (make_server_certificate(tmp_path / name, name) for name in ("server", "friend", "other"))
    async with listening(Certificate(spec_of(made, client_ca_file=str(friend.ca)))) as address:
        assert (await ask(address, made.ca, friend, newest)).endswith(b"hello")
        for own in (None, stranger):
            assert await refused(address, made.ca, own, newest)


async def test_a_certificate_may_be_optional_and_a_wrong_one_is_still_refused(tmp_path: Path) -> None:
    made, friend, stranger = (make_server_certificate(tmp_path / name, name) for name in ("server", "friend", "other"))
    spec = spec_of(made, client_ca_file=str(friend.ca), client_certificates="optional")
    async with listening(Certificate(spec)) as address:
        assert (await ask(address, made.ca)).endswith(b"hello")
        assert (await ask(address, made.ca, friend)).endswith(b"hello")
        assert await refused(address, made.ca, stranger)


async def test_an_authority_that_leaves_its_file_is_trusted_no_more(tmp_path: Path) -> None:
    made, old, new = (make_server_certificate(tmp_path / name, name) for name in ("server", "old", "new"))
    bundle = tmp_path / "bundle.crt"
    bundle.write_bytes(old.ca.read_bytes())
    certificate = Certificate(spec_of(made, client_ca_file=str(bundle)))
    async with listening(certificate) as address:
        assert (await ask(address, made.ca, old)).endswith(b"hello")
        bundle.write_bytes(new.ca.read_bytes())
        certificate.refresh()
        assert (await ask(address, made.ca, new)).endswith(b"hello")
        assert await refused(address, made.ca, old)
        bundle.write_bytes(b"half a")
        certificate.refresh()
        assert (await ask(address, made.ca, new)).endswith(b"hello")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_versions_before_tls_1_2_are_not_spoken(tmp_path: Path) -> None:
    made = make_server_certificate(tmp_path)
    async with listening(certificate_of(made)) as address:
        trust = ssl.create_default_context(cafile=str(made.ca))
        trust.minimum_version = trust.maximum_version = ssl.TLSVersion.TLSv1_1
        trust.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.raises((ssl.SSLError, OSError)):
            await asyncio.open_connection(*address, ssl=trust)


def test_an_encrypted_key_is_refused_without_a_prompt_for_its_password(tmp_path: Path) -> None:
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
