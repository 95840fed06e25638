"""Who may see the pages of the admin port."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from mcppool.gateway.allowed_hosts import AllowedHosts
from mcppool.gateway.http.tls import Certificate, admin_tls
from mcppool.observe.admin import AdminServer
from mcppool.observe.admin_access import AdminAccess
from mcppool.observe.bearer_token import BearerToken
from mcppool.observe.pages import OwnPages
from mcppool.spec.sections.process import ListenerTlsSpec
from tests.certificates import make_server_certificate
from tests.unit.observe.admin_port import Admin, Gateway

PAGES = ("/", "/status.json", "/history.json", "/health", "/configz", "/load", "/metrics")


async def pages_behind(door: AdminAccess, **headers: str) -> dict[str, int]:
    gateway = Gateway()
    server = AdminServer("127.0.0.1", 0, OwnPages(gateway), door=door)
    await server.start()
    try:
        async with aiohttp.ClientSession() as session:
            admin = Admin(gateway, server, session)
            return {path: (await admin.request(path, **headers))[0] for path in (*PAGES, "/livez", "/readyz")}
    finally:
        await server.stop()


async def test_pages_are_served_to_names_that_are_ours_and_probes_to_all() -> None:
    names = AllowedHosts("127.0.0.1", ("admin.example",), ())
    for host in ("127.0.0.1:9090", "admin.example"):
        assert 421 not in (await pages_behind(AdminAccess(names.host_allowed), Host=host)).values()
    rebound = await pages_behind(AdminAccess(names.host_allowed), Host="evil.example")
    assert rebound == {**dict.fromkeys(PAGES, 421), "/livez": 200, "/readyz": 200}


async def test_with_a_token_everything_but_probes_asks_for_it(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first-token-0123456789\n")
    door = AdminAccess(token=BearerToken(str(file)))
    refused = {**dict.fromkeys(PAGES, 401), "/livez": 200, "/readyz": 200}
    wrong = ({}, {"Authorization": "Bearer another-token-0123456"}, {"Authorization": "Basic first-token-0123456789"})
    for headers in wrong:
        assert await pages_behind(door, **headers) == refused
    right = {"Authorization": "bearer first-token-0123456789"}
    assert 401 not in (await pages_behind(door, **right)).values()
    file.write_text("second-token-0123456789")
    assert await pages_behind(door, **right) == refused, "the token was renewed"
    file.unlink()
    assert 401 not in (await pages_behind(door, Authorization="Bearer second-token-0123456789")).values()


async def test_with_an_authority_of_clients_everything_but_probes_asks_for_a_certificate(tmp_path: Path) -> None:
    own, friend = make_server_certificate(tmp_path / "own"), make_server_certificate(tmp_path / "friend", "friends")
    spec = ListenerTlsSpec(certificate_file=str(own.certificate), key_file=str(own.key), client_ca_file=str(friend.ca))
    server = AdminServer("127.0.0.1", 0, OwnPages(Gateway()), door=AdminAccess(certificate=True))
    await server.start(Certificate(admin_tls(spec), "metrics.tls").context)
    trust = ssl.create_default_context(cafile=str(own.ca))
    root = f"https://127.0.0.1:{server.port}"
    try:
        async with aiohttp.ClientSession() as session:
            statuses: dict[str, int] = {}
            for path in (*PAGES, "/livez", "/readyz"):
                async with session.get(root + path, ssl=trust) as response:
                    statuses[path] = response.status
            assert statuses == {**dict.fromkeys(PAGES, 403), "/livez": 200, "/readyz": 200}
        trust.load_cert_chain(friend.certificate, friend.key)
        async with aiohttp.ClientSession() as session:
            async with session.get(root + "/configz", ssl=trust) as response:
                assert response.status == 200
            async with session.get(root + "/readyz", ssl=trust) as response:
                assert "servers" in await response.json()
    finally:
        await server.stop()


TOKEN = "first-token-0123456789"
SHOWN = f"Authorization: Bearer {TOKEN}\r\n"
OURS = "Host: 127.0.0.1\r\n"


async def bytes_sent(server: AdminServer, line: str, headers: str) -> tuple[int, str]:
    """Status and body of the answer to a request that no client library would send."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(f"{line}\r\n{headers}Connection: close\r\n\r\n".encode("latin-1"))
    head, _, body = (await asyncio.wait_for(reader.read(), 30)).decode().partition("\r\n\r\n")
    writer.close()
    return int(head.split(" ")[1]), body


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[AdminServer]:
    """An admin port that asks for a token, and serves loopback names."""
    (tmp_path / "token").write_text(TOKEN)
    gateway = Gateway()
    gateway.waiting = {"search": "no server answers: http://10.1.2.3:8000/mcp"}
    door = AdminAccess(AllowedHosts("127.0.0.1", (), ()).host_allowed, BearerToken(str(tmp_path / "token")))
    server = AdminServer("127.0.0.1", 0, OwnPages(gateway), door=door)
    await server.start()
    yield server
    await server.stop()


@pytest.mark.parametrize("path", [*PAGES, "/nothing", "/%6detrics", "/livez/../metrics", "//livez/metrics", "*"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "CONNECT", "TRACE"])
async def test_no_path_and_no_method_goes_round_the_token(guarded: AdminServer, method: str, path: str) -> None:
    assert (await bytes_sent(guarded, f"{method} {path} HTTP/1.1", OURS))[0] in (400, 401)


@pytest.mark.parametrize(
    "headers",
    [
        "Authorization: Bearer \xff\xfe\r\n",
        "Authorization: \xff\xfe\r\n",
        f"Authorization: Basic {TOKEN}\r\n",
        f"Authorization: {TOKEN}\r\n",
        f"Authorization: Bearer\t{TOKEN}\r\n",
        f"Authorization: Bearer {TOKEN[:-1]}\r\n",
        f"Authorization: Bearer {TOKEN}x\r\n",
        f"Authorization: Bearer {TOKEN.upper()}\r\n",
        f"Authorization: Bearer {TOKEN}, Bearer {TOKEN}\r\n",
        "Authorization: Bearer \r\n",
        f"{SHOWN}Authorization: Bearer x\r\n",
        f"Authorization: Bearer x\r\n{SHOWN}",
        f"X-{SHOWN}",
    ],
)
async def test_only_the_token_itself_shown_once_opens_the_door(guarded: AdminServer, headers: str) -> None:
    assert (await bytes_sent(guarded, "GET /configz HTTP/1.1", OURS + headers))[0] == 401
    assert (await bytes_sent(guarded, "GET /configz HTTP/1.1", OURS + SHOWN))[0] == 200


@pytest.mark.parametrize(
    ("version", "host", "status"),
    [
        ("1.1", "evil.example", 421), ("1.1", "\xff\xfe", 421), ("1.1", "evil@127.0.0.1", 421),
        ("1.1", "localhost.evil.example", 421), ("1.1", "127.1", 421), ("1.1", "127.0.0.1:9090", 200),
        ("1.1", "[::1]", 200), ("1.1", "127.0.0.1\r\nHost: evil.example", 400), ("1.0", None, 421), ("1.1", None, 400),
    ],
)  # fmt: skip
async def test_a_host_that_is_not_ours_is_refused_however_it_is_written(
    guarded: AdminServer, version: str, host: str | None, status: int
) -> None:
    line = "" if host is None else f"Host: {host}\r\n"
    for target in ("/configz", "http://127.0.0.1/configz"):
        assert (await bytes_sent(guarded, f"GET {target} HTTP/{version}", line + SHOWN))[0] == status


@pytest.mark.parametrize("headers", [OURS, f"Host: evil.example\r\n{SHOWN}", f"{OURS}Authorization: Bearer x\r\n"])
async def test_a_stranger_learns_from_a_probe_its_status_alone(guarded: AdminServer, headers: str) -> None:
    status, body = await bytes_sent(guarded, "GET /readyz HTTP/1.1", headers)
    assert (status, json.loads(body)) == (503, {"ready": False})
    status, body = await bytes_sent(guarded, "GET /readyz HTTP/1.1", OURS + SHOWN)
    assert (status, list(json.loads(body)["notReady"])) == (503, ["search"])


@pytest.mark.parametrize("text", ["", "short", "two words of a token", "x" * 5000, "umlaut-äöü-0123456789"])
def test_a_file_that_holds_no_token_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(text)
    with pytest.raises(ValueError, match="a token is"):
        BearerToken(str(tmp_path / "token"))


@pytest.mark.parametrize("request_line", [b"GET \0 HTTP/1.1", b"GET / HTTP/9.9", b"GET /" + b"x" * 9000 + b" HTTP/1.1"])
async def test_a_malformed_request_is_answered_and_writes_no_line(
    admin: Admin, request_line: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", admin.server.port)
    writer.write(request_line + b"\r\nHost: 127.0.0.1\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    assert answer.startswith((b"HTTP/1.0 400", b"HTTP/1.1 400"))
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.parametrize("token", [b"\xff\xfe", "é".encode(), b"\xed\xa0\x80", b"", b" "])
async def test_a_token_that_is_no_text_is_refused_like_any_other(tmp_path: Path, token: bytes) -> None:
    file = tmp_path / "token"
    file.write_text("first-token-0123456789\n")
    server = AdminServer("127.0.0.1", 0, OwnPages(Gateway()), door=AdminAccess(token=BearerToken(str(file))))
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(
        b"GET /health HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + token + b"\r\nConnection: close\r\n\r\n"
    )
    answer = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    await server.stop()
    assert answer.startswith(b"HTTP/1.1 401")
