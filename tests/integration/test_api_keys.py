"""API keys on a gateway as users run it: keys from the command, real servers, rotation, and sessions of their own."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

from mcppool.wire.sealing import generate_key_line
from tests.conftest import GatewayFactory
from tests.integration.keyed_clients import add_key, sdk_call
from tests.integration.raw_http import Answer, ask, request
from tests.servers import Gateway, aserving, pool_toml, sdk2_replica


def initialize() -> tuple[dict[str, str], bytes]:
    body = {
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
    }  # fmt: skip
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    return headers, json.dumps(body).encode()


async def post(front: Gateway, headers: dict[str, str], body: bytes, key: str | None) -> Answer:
    shown = {"Authorization": f"Bearer {key}"} if key is not None else {}
    return await ask(front, request(body, headers | shown))


async def test_keys_let_clients_in_are_rotated_and_own_their_sessions(tmp_path: Path, gateway: GatewayFactory) -> None:
    file = tmp_path / "keys.toml"
    ann = add_key(file, "ann")
    async with aserving(sdk2_replica("a")) as (server,):
        auth = f'[pools.auth.inbound]\ntype = "api_keys"\n[pools.auth.inbound.api_keys]\nkeys_file = "{file}"\n'
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=auth))

        assert await sdk_call(front.url, ann) == "5"
        headers, body = initialize()
        assert (await post(front, headers, body, None)).status == 401
        assert (await post(front, headers, body, ann + "x")).status == 401

        bob = add_key(file, "bob")
        bob_is_in = False
        for _ in range(300):
            bob_is_in = (await post(front, headers, body, bob)).status == 200
            if bob_is_in:
                break
            await asyncio.sleep(0.1)
        assert bob_is_in, "a key that was added holds without a restart"

        session = (await post(front, headers, body, ann)).headers["mcp-session-id"]
        ping = b'{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{}}'
        mine = headers | {"Mcp-Session-Id": session, "Mcp-Protocol-Version": "2025-06-18"}
        assert (await post(front, mine, ping, bob)).status == 404
        assert (await post(front, mine, ping, None)).status == 401
        assert (await post(front, mine, ping, ann)).status == 200

        log = front.log
        assert "auth: authentication pool=demo type=api_keys" in log
        for secret in (ann, bob):
            assert secret not in log
            for page in ("/metrics", "/configz", "/status.json", "/health"):
                assert secret not in (await asyncio.to_thread(front.get, page))[1]
        assert await asyncio.to_thread(front.metric, 'mcppool_auth_failures_total{pool="demo",failure="missing"}') >= 2
        assert '"authentication": "api_keys"' in (await asyncio.to_thread(front.get, "/status.json"))[1]


async def listed(front: Gateway, session: str, key: str | None) -> int:
    """The status of a list in a session."""
    headers, _ = initialize()
    more = {"Mcp-Session-Id": session, "Mcp-Protocol-Version": "2025-06-18"}
    body = b'{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{}}'
    return (await post(front, headers | more, body, key)).status


async def test_a_session_is_its_principals_at_every_gateway_and_whatever_the_configuration_becomes(
    tmp_path: Path, gateway: GatewayFactory
) -> None:
    file, sealing = tmp_path / "keys.toml", tmp_path / "sealing"
    ann, bob = add_key(file, "ann"), add_key(file, "bob")
    sealing.write_text(generate_key_line(time.time()))
    async with aserving(sdk2_replica("a")) as (server,):
        auth = f'[pools.auth.inbound]\ntype = "api_keys"\n[pools.auth.inbound.api_keys]\nkeys_file = "{file}"\n'
        closed, opened = pool_toml(server.url, sections=auth), pool_toml(server.url)
        listener = f'sealing_keys = "{sealing}"'
        one = await asyncio.to_thread(gateway, closed, listener=listener)
        two = await asyncio.to_thread(gateway, opened, listener=listener)
        headers, body = initialize()
        anns = (await post(one, headers, body, ann)).headers["mcp-session-id"]
        everybodys = (await post(two, headers, body, None)).headers["mcp-session-id"]
        assert await listed(two, anns, ann) == 404  # there she is anonymous
        assert await listed(two, everybodys, None) == 200

        two.edit(closed)
        deadline = time.monotonic() + 90
        while (await post(two, headers, body, None)).status != 401:
            assert time.monotonic() < deadline, "the gateway asks for keys"
            await asyncio.sleep(0.05)
        statuses = {
            (session, key): await listed(two, session, key)
            for session in (anns, everybodys)
            for key in (ann, bob, None)
        }
        assert statuses == {
            (anns, ann): 200, (anns, bob): 404, (anns, None): 401,
            (everybodys, ann): 404, (everybodys, bob): 404, (everybodys, None): 401,
        }  # fmt: skip
        assert await listed(one, anns, ann) == 200
