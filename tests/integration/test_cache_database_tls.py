"""TLS with the database of the cache: each `sslmode` against a PostgreSQL with and without TLS."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from mcppool.cache.sql_link import database_of
from tests.certificates import ServerCertificate, make_server_certificate
from tests.integration.cached import HintServer, caching_pool
from tests.integration.shared_stores import InPostgres, a_postgres
from tests.servers.postgres_server import PASSWORD, PostgresServer

#: `mcppool` may connect in any way, `secret` with TLS only, `127.0.0.1` with a client certificate of that name.
RULES = """
hostssl all "127.0.0.1" all cert
hostnossl all secret all reject
host all secret all trust
"""

NAMED, ADDRESS = "localhost", "127.0.0.1"
"""The name in the certificate of the server, and its address, which is not in it."""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> ServerCertificate:
    return make_server_certificate(tmp_path_factory.mktemp("tls"), name=NAMED)


@pytest.fixture(scope="module")
def with_tls(certificate: ServerCertificate) -> Iterator[PostgresServer]:
    with a_postgres(certificate, RULES) as server:
        yield server


@pytest.fixture(scope="module")
def without_tls() -> Iterator[PostgresServer]:
    with a_postgres() as server:
        yield server


@pytest.fixture(scope="module")
def another_authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_server_certificate(tmp_path_factory.mktemp("other"), "another authority").ca


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings of the person who runs the tests."""
    for name in ("PGSSLMODE", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY", "PGPASSWORD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "password").write_text(PASSWORD)


def url_at(server: PostgresServer, *, mode: str = "", host: str = ADDRESS, user: str = "mcppool") -> str:
    query = f"?sslmode={mode}" if mode else ""
    return server.address.replace(ADDRESS, host).replace("mcppool@", f"{user}@") + query


async def is_encrypted(url: str, folder: Path, ca_file: Path | None = None) -> bool:
    """Connect, and ask the server whether this connection has TLS."""
    ca = str(ca_file) if ca_file is not None else None
    database = database_of(url, timeout=10.0, password_file=str(folder / "password"), ca_file=ca)
    try:
        ((encrypted,),) = await database._fetch(  # type: ignore[attr-defined]
            "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        )
    finally:
        await database.close()
    return bool(encrypted)


@pytest.mark.parametrize(
    ("mode", "encrypted"), [("", True), ("prefer", True), ("require", True), ("allow", False), ("disable", False)]
)
async def test_modes_that_check_no_certificate_use_tls_as_they_say(
    with_tls: PostgresServer, tmp_path: Path, mode: str, encrypted: bool
) -> None:
    assert await is_encrypted(url_at(with_tls, mode=mode), tmp_path) is encrypted


@pytest.mark.parametrize("mode", ["", "prefer", "allow", "disable"])
async def test_modes_that_require_no_tls_work_with_a_server_without_it(
    without_tls: PostgresServer, tmp_path: Path, mode: str
) -> None:
    assert not await is_encrypted(url_at(without_tls, mode=mode), tmp_path)


@pytest.mark.parametrize(
    ("mode", "host"),
    [("verify-full", NAMED), ("", NAMED), ("require", NAMED), ("verify-ca", NAMED), ("verify-ca", ADDRESS)],
)
async def test_a_certificate_of_the_authority_is_accepted(
    with_tls: PostgresServer, certificate: ServerCertificate, tmp_path: Path, mode: str, host: str
) -> None:
    assert await is_encrypted(url_at(with_tls, mode=mode, host=host), tmp_path, certificate.ca)


@pytest.mark.parametrize("mode", ["verify-full", "", "require"])
async def test_a_certificate_with_another_name_is_refused(
    with_tls: PostgresServer, certificate: ServerCertificate, tmp_path: Path, mode: str
) -> None:
    with pytest.raises(ConnectionError) as refused:
        await is_encrypted(url_at(with_tls, mode=mode), tmp_path, certificate.ca)
    said = str(refused.value)
    assert f"certificate is not valid for '{ADDRESS}'" in said
    assert f"cache.sql_url has {f'sslmode={mode}' if mode else 'no sslmode'}" in said


@pytest.mark.parametrize("mode", ["verify-full", "verify-ca", ""])
async def test_a_certificate_of_another_authority_is_refused(
    with_tls: PostgresServer, another_authority: Path, tmp_path: Path, mode: str
) -> None:
    with pytest.raises(ConnectionError) as refused:
        await is_encrypted(url_at(with_tls, mode=mode, host=NAMED), tmp_path, another_authority)
    assert "the certificate of the database is refused" in str(refused.value)
    assert f"cache.sql_ca_file is {another_authority}" in str(refused.value)


@pytest.mark.parametrize("mode", ["verify-full", "verify-ca"])
async def test_without_a_file_of_authorities_those_of_the_system_count(
    with_tls: PostgresServer, tmp_path: Path, mode: str
) -> None:
    with pytest.raises(ConnectionError, match=r"refused.*sslmode=verify-.*cache\.sql_ca_file is not set"):
        await is_encrypted(url_at(with_tls, mode=mode, host=NAMED), tmp_path)


@pytest.mark.parametrize("mode", ["verify-full", "verify-ca", "require"])
async def test_the_environment_may_name_the_file_of_authorities(
    with_tls: PostgresServer,
    certificate: ServerCertificate,
    another_authority: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
) -> None:
    url = url_at(with_tls, mode=mode, host=NAMED)
    monkeypatch.setenv("PGSSLROOTCERT", str(certificate.ca))
    assert await is_encrypted(url, tmp_path)
    monkeypatch.setenv("PGSSLROOTCERT", str(another_authority))
    with pytest.raises(ConnectionError, match=rf"refused.*PGSSLROOTCERT is {another_authority}"):
        await is_encrypted(url, tmp_path)
    assert await is_encrypted(url, tmp_path, certificate.ca), "the configuration has precedence"


@pytest.mark.parametrize(("mode", "ca"), [("require", False), ("verify-full", True), ("verify-ca", True), ("", True)])
async def test_a_server_without_tls_is_refused_if_tls_is_required(
    without_tls: PostgresServer, certificate: ServerCertificate, tmp_path: Path, mode: str, ca: bool
) -> None:
    with pytest.raises(ConnectionError, match=r"(has no TLS|rejected SSL upgrade).*cache\.sql_url has"):
        await is_encrypted(url_at(without_tls, mode=mode), tmp_path, certificate.ca if ca else None)


async def test_a_server_that_requires_tls_refuses_a_connection_without_it(
    with_tls: PostgresServer, tmp_path: Path
) -> None:
    with pytest.raises(ConnectionError, match=r"no encryption.*cache\.sql_url has sslmode=disable"):
        await is_encrypted(url_at(with_tls, mode="disable", user="secret"), tmp_path)


@contextlib.asynccontextmanager
async def role(server: PostgresServer, name: str) -> AsyncIterator[None]:
    database = database_of(server.socket_address, timeout=10.0)
    try:
        await database._fetch(f'CREATE ROLE "{name}" LOGIN')  # type: ignore[attr-defined]
        yield
        await database._fetch(f'DROP ROLE "{name}"')  # type: ignore[attr-defined]
    finally:
        await database.close()


@pytest.mark.parametrize("mode", ["verify-full", "require"])
async def test_a_client_certificate_comes_from_the_files_that_the_environment_names(
    with_tls: PostgresServer,
    certificate: ServerCertificate,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
) -> None:
    url = url_at(with_tls, mode=mode, host=NAMED, user=ADDRESS)
    ca = certificate.ca if mode == "verify-full" else None
    async with role(with_tls, ADDRESS):
        if ca is not None:
            with pytest.raises(ConnectionError, match=r"client certificate.*sslmode=verify-full"):
                await is_encrypted(url, tmp_path, ca)
        monkeypatch.setenv("PGSSLCERT", str(certificate.certificate))
        monkeypatch.setenv("PGSSLKEY", str(certificate.key))
        assert await is_encrypted(url, tmp_path, ca)


async def test_calls_go_on_uncached_while_the_certificate_is_refused_and_the_cause_is_visible(
    with_tls: PostgresServer, another_authority: Path, tmp_path: Path
) -> None:
    shared = InPostgres(with_tls, tmp_path)
    shared.url = url_at(with_tls, mode="verify-full", host=NAMED)
    cache = f'{shared.section()}sql_ca_file = "{another_authority}"\n'
    sections = '[pools.tools.read]\ncache_ttl = "1m"\n'
    async with HintServer() as server, caching_pool(server, cache=cache, sections=sections) as client:
        assert await client.tool("read") != await client.tool("read")
        assert f"cache.sql_ca_file is {another_authority}" in (client.caching.store.trouble or "")
        assert client.pool.metrics.sql_errors == {"connection": 1}
