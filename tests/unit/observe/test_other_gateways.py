"""One page of several gateways, over real admin ports."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import AsyncIterator, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from mcppool.observe import gateway_addresses
from mcppool.observe.admin import AdminServer
from mcppool.observe.admin_access import AdminAccess
from mcppool.observe.bearer_token import BearerToken
from mcppool.observe.other_gateways import OWN, OtherGateways
from mcppool.observe.pages import OwnPages
from mcppool.workers.merged_gateways import merged_gateways
from tests.browser.example import ExampleGateway
from tests.certificates import make_server_certificate

NOBODY = "http://127.0.0.1:1"
NAMELESS = f"http://{'x' * 70}:9090"  # a label of a name has at most 63 characters
TOKEN = "first-token-0123456789"


class Together:
    """Two gateways; the second one shows both, and itself among them, and an address where nobody listens."""

    def __init__(self, token_file: str) -> None:
        self.token_file = token_file
        now = time.time()  # with slots of two times, the oldest one of the sum would be given up
        self.sources = [ExampleGateway(4, 2, seed=seed, now=now) for seed in (1, 2)]
        self.servers: list[AdminServer] = []

    async def start(self) -> None:
        urls: list[str] = []
        for source in self.sources:
            others = partial(OtherGateways, lambda: urls, merged_gateways)
            made = partial(others, token_file=self.token_file)
            door = AdminAccess(token=BearerToken(self.token_file))
            server = AdminServer("127.0.0.1", 0, OwnPages(source), door, made)
            await server.start()
            self.servers.append(server)
            urls.append(f"http://127.0.0.1:{server.port}")
        urls += [NOBODY, NAMELESS]

    async def get(self, path: str, server: int = 1) -> Any:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.get(f"http://127.0.0.1:{self.servers[server].port}{path}") as response,
        ):
            assert response.status == 200
            return await response.json()


@pytest.fixture
async def together(tmp_path: Path) -> AsyncIterator[Together]:
    (tmp_path / "token").write_text(TOKEN)
    both = Together(str(tmp_path / "token"))
    await both.start()
    yield both
    for server in both.servers:
        await server.stop()


async def test_the_status_of_all_is_the_sum_and_names_each_gateway(together: Together) -> None:
    one = await together.get("/status.json")
    assert "gateways" not in one
    whole = await together.get("/status.json?gateways=all")
    assert whole["pools"][0]["sessions"] == 2 * one["pools"][0]["sessions"]
    lines = {line["address"]: line for line in whole["gateways"]}
    assert lines.keys() == {OWN, f"http://127.0.0.1:{together.servers[0].port}", NOBODY, NAMELESS}
    assert lines[OWN]["callsPerSecond"] == one["pools"][0]["callsPerSecond"]
    assert "connect" in lines[NOBODY]["why"].lower()
    assert "no address" in lines[NAMELESS]["why"]
    assert {problem["name"] for problem in whole["problems"]} >= {NOBODY, NAMELESS}


async def test_the_history_of_all_is_the_sum_and_is_taken_once(together: Together) -> None:
    parts = [(await together.get("/history.json", server))["pools"][0]["summary"]["calls"] for server in (0, 1)]
    for _ in range(2):
        whole = await together.get("/history.json?gateways=all")
        assert whole["pools"][0]["summary"]["calls"] == sum(parts)
    newest = whole["newest"]
    assert (await together.get(f"/history.json?gateways=all&after={newest}"))["seconds"] == []


async def test_a_gateway_that_refuses_the_token_or_is_none_is_told_and_hides_nobody(together: Together) -> None:
    await together.servers[0].stop()
    port, door = together.servers[0].port, AdminAccess(lambda _: False)
    refusing = AdminServer("127.0.0.1", port, OwnPages(together.sources[0]), door)
    await refusing.start()
    try:
        whole = await together.get("/status.json?gateways=all")
    finally:
        await refusing.stop()
    assert [line.get("why") for line in whole["gateways"]][1:] != [None, None]
    assert any(line.get("why") == "HTTP 421" for line in whole["gateways"])
    assert len(whole["pools"]) == 1


# --- names with several addresses ------------------------------------------------------------------------------------


async def at_one_port(
    first: str, second: str | list[str], tls: ssl.SSLContext | None = None
) -> tuple[AdminServer, AdminServer]:
    """Two gateways with one port at addresses of their own; both show all gateways at `gateways.test`."""
    for _ in range(20):
        urls: list[str] = []
        others = partial(OtherGateways, urls.copy, merged_gateways)
        one = AdminServer(first, 0, OwnPages(ExampleGateway(4, 2, seed=1)), None, others)
        await one.start(tls)
        urls.append(f"{'http' if tls is None else 'https'}://gateways.test:{one.port}")
        other = AdminServer(second, one.port, OwnPages(ExampleGateway(4, 2, seed=2)), None, others)
        try:
            await other.start(tls)
        except OSError:  # another socket has this port there
            await stop((one, other))
        else:
            return one, other
    raise AssertionError("no port is free at both")


async def stop(servers: Iterable[AdminServer]) -> None:
    for server in servers:
        await server.stop()


async def all_of(server: AdminServer, url: str, trust: ssl.SSLContext | None = None) -> Any:
    """The status page of all gateways, by `server`."""
    async with aiohttp.ClientSession() as session:
        at = f"{url}:{server.port}/status.json?gateways=all"
        async with session.get(at, ssl=trust or True, server_hostname="gateways.test" if trust else None) as response:
            return await response.json()


def resolve(monkeypatch: pytest.MonkeyPatch, *found: tuple[int, str]) -> None:
    async def look_up(name: str, port: int) -> list[tuple[int, str]]:
        assert name == "gateways.test"
        return list(found)

    monkeypatch.setattr(gateway_addresses, "look_up", look_up)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_each_address_of_a_name_is_a_gateway_also_with_https(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve(monkeypatch, (socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "127.0.0.2"))
    own = trust = None
    if scheme == "https":
        files = make_server_certificate(tmp_path, name="gateways.test")
        monkeypatch.setenv("SSL_CERT_FILE", str(files.ca))
        own, trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context(cafile=files.ca)
        own.load_cert_chain(files.certificate, files.key)
    servers = await at_one_port("127.0.0.1", "127.0.0.2", own)
    try:
        whole = await all_of(servers[1], f"{scheme}://127.0.0.2", trust)
    finally:
        await stop(servers)
    lines = [(line["address"], line.get("why")) for line in whole["gateways"]]
    assert lines == [(OWN, None), (f"{scheme}://127.0.0.1:{servers[0].port}", None)]


async def test_a_gateway_with_two_addresses_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve(monkeypatch, (socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "127.0.0.2"), (socket.AF_INET, "127.0.0.3"))
    servers = await at_one_port("127.0.0.1", ["127.0.0.2", "127.0.0.3"])
    try:
        whole = await all_of(servers[0], "http://127.0.0.1")
    finally:
        await stop(servers)
    assert [line["address"] for line in whole["gateways"]] == [OWN, f"http://127.0.0.2:{servers[0].port}"]


async def test_a_family_in_which_no_gateway_listens_is_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve(monkeypatch, (socket.AF_INET6, "::1"), (socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "127.0.0.9"))
    servers = await at_one_port("127.0.0.1", "127.0.0.2")
    try:
        whole = await all_of(servers[1], "http://127.0.0.2")
    finally:
        await stop(servers)
    port = servers[0].port
    silent = [line["address"] for line in whole["gateways"] if not line["answers"]]
    assert silent == [f"http://127.0.0.9:{port}"]  # its family answers elsewhere
    assert [line["address"] for line in whole["gateways"] if line["answers"]] == [OWN, f"http://127.0.0.1:{port}"]
