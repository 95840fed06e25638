"""One page of several gateways, over real admin ports."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from mcppool.observe.admin import AdminServer
from mcppool.observe.admin_access import AdminAccess
from mcppool.observe.bearer_token import BearerToken
from mcppool.observe.other_gateways import OWN, OtherGateways
from mcppool.observe.pages import OwnPages
from mcppool.workers.merged_gateways import merged_gateways
from tests.browser.example import ExampleGateway

NOBODY = "http://127.0.0.1:1"
NAMELESS = f"http://{'x' * 70}:9090"  # a label of a name has at most 63 characters
TOKEN = "first-token-0123456789"


class Together:
    """Two gateways; the second one shows both, and itself among them, and an address where nobody listens."""

    def __init__(self, token_file: str) -> None:
        self.token_file = token_file
        self.sources = [ExampleGateway(4, 2, seed=seed) for seed in (1, 2)]
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
