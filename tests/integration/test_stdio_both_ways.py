"""Local programs and their clients talk both ways: questions of a server, their answers, cancellation."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from mcp import Client
from mcp_types import CreateMessageRequestParams, CreateMessageResult, ElicitRequestParams, ElicitResult, TextContent

from tests.conftest import GatewayFactory
from tests.integration.raw_session import HEADERS, RawSession, call
from tests.integration.test_stdio import SERVER, ask, pool
from tests.requirements import CACHE, need_node, need_path
from tests.servers import executions, modern_call, text_of
from tests.waiting import until

NPM_SCRIPT = CACHE / "npm/node_modules/@modelcontextprotocol/server-everything/dist/index.js"


def copies(number: int) -> Any:
    """A client's side that wants so many."""

    async def answer(_context: Any, _params: ElicitRequestParams) -> ElicitResult:
        return ElicitResult(action="accept", content={"copies": number})

    return answer


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_each_client_answers_the_question_that_its_own_call_led_to(gateway: GatewayFactory, mode: str) -> None:
    front = await asyncio.to_thread(gateway, pool(sys.executable, SERVER))

    async def reserve(number: int) -> str:
        async with Client(front.url, mode=mode, elicitation_callback=copies(number)) as client:
            result = await client.call_tool("reserve", {"title": "Emma"})
            return text_of(result)

    assert await asyncio.gather(*(reserve(n) for n in range(4))) == [f"{n} x Emma by stdio" for n in range(4)]


async def test_a_server_of_the_older_era_asks_its_client_for_a_sample(gateway: GatewayFactory) -> None:
    need_path(NPM_SCRIPT, "npm's @modelcontextprotocol/server-everything", "`make servers` installs it")
    front = await asyncio.to_thread(gateway, pool(str(need_node()), str(NPM_SCRIPT), "stdio", replicas=1))

    async def sample(text: str) -> str:
        async def think(_context: Any, params: CreateMessageRequestParams) -> CreateMessageResult:
            asked = json.dumps([message.model_dump(mode="json") for message in params.messages])
            assert text in asked
            return CreateMessageResult(
                role="assistant", content=TextContent(type="text", text=f"thought of {text}"), model="none"
            )

        async with Client(front.url, mode="legacy", sampling_callback=think) as client:
            result = await client.call_tool("trigger-sampling-request", {"prompt": text, "maxTokens": 10})
            return text_of(result)

    for text, answer in zip(("one", "two"), await asyncio.gather(sample("one"), sample("two")), strict=True):
        assert f"thought of {text}" in answer


async def test_a_client_of_today_that_leaves_cancels_its_call(
    gateway: GatewayFactory, http: aiohttp.ClientSession, ledger: Path
) -> None:
    front = await asyncio.to_thread(gateway, pool(sys.executable, SERVER, "--log", str(ledger), replicas=1))
    headers, body = modern_call("wait", {"key": "left"})
    leaving = asyncio.ensure_future(http.post(front.url, data=body, headers=headers))
    await until(lambda: executions(ledger, "wait"), "at work")
    leaving.cancel()
    await until(lambda: executions(ledger, "cancelled"), "the program has heard of it")
    assert (await ask(http, front, "whoami"))["name"] == "stdio", "and goes on"


async def test_a_client_of_the_older_era_cancels_by_saying_so_and_not_by_leaving(
    gateway: GatewayFactory, http: aiohttp.ClientSession, ledger: Path
) -> None:
    front = await asyncio.to_thread(gateway, pool(sys.executable, SERVER, "--log", str(ledger), replicas=1))
    session = RawSession(http)
    await session.open(front)
    headers = {**HEADERS, "Mcp-Session-Id": session.id, "MCP-Protocol-Version": "2025-11-25"}
    message = {**call("wait", key="stays"), "id": "mine"}
    leaving = asyncio.ensure_future(http.post(front.url, json=message, headers=headers))
    await until(lambda: executions(ledger, "wait"), "at work")
    leaving.cancel()
    assert await session.whoami(front) == "stdio"
    assert not executions(ledger, "cancelled")
    notice = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "mine"}}
    assert (await session.post(front, notice))[0] == 202
    await until(lambda: executions(ledger, "cancelled"), "the program has heard of it, under the id that it knows")
    assert await session.whoami(front) == "stdio"
