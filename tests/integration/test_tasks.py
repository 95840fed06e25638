"""Any gateway of a pool reaches a task, without a store; a guessed task id reaches nothing."""

from __future__ import annotations

import asyncio
import http.client
import json
from itertools import cycle
from pathlib import Path
from typing import Any

from mcppool.wire.sealing import generate_key_line
from tests.conftest import GatewayFactory
from tests.integration.raw_http import Answer, ask, request
from tests.servers import (
    Gateway,
    modern_request,
    pool_toml,
    sdk1_tasks_replica,
    serving,
    tasks_replica,
    urls_of,
)
from tests.waiting import until

EXTENSION = {"io.modelcontextprotocol/clientCapabilities": {"extensions": {"io.modelcontextprotocol/tasks": {}}}}
LEGACY = {
    "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream",
    "MCP-Protocol-Version": "2025-11-25",
}
RELATED = "io.modelcontextprotocol/related-task"
ROUNDS = 6  # tasks: three replicas would not all be met, nor missed, by chance


async def modern(gateway: Gateway, method: str, **params: Any) -> Answer:
    """The result of one request of a modern client."""
    headers, body = modern_request(method, {**params, "_meta": EXTENSION})
    return await ask(gateway, request(body, headers))


async def legacy(gateway: Gateway, method: str, **params: Any) -> Any:
    """The JSON of the answer to one request of a client of 2025-11-25 without a session."""
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    answer = await ask(gateway, request(json.dumps(message).encode(), LEGACY))
    assert answer.status == 200
    if answer.headers["content-type"] == "application/json":
        return answer.json
    events = [line for line in answer.body.splitlines() if line.startswith(b"data: ")]
    return json.loads(events[-1].removeprefix(b"data: "))


def two_gateways(start: GatewayFactory, folder: Path, pools: str) -> list[Gateway]:
    """Two gateways that have nothing in common but their sealing keys."""
    keys = folder / "sealing.keys"
    keys.write_text(generate_key_line(0) + "\n")
    return [start(pools, listener=f'sealing_keys = "{keys}"') for _ in range(2)]


async def test_a_task_of_the_extension_is_reached_through_any_gateway(gateway: GatewayFactory, tmp_path: Path) -> None:
    with serving(*(tasks_replica(name) for name in "abc")) as replicas:
        fronts = await asyncio.to_thread(two_gateways, gateway, tmp_path, pool_toml(*urls_of(replicas)))
        other = cycle(fronts)
        done: set[str] = set()
        for number in range(ROUNDS):
            created = (await modern(next(other), "tools/call", name="start", arguments={})).json["result"]
            assert created["resultType"] == "task"
            id = created["taskId"]
            assert len(id) > 100  # sealed: the server's own has 36
            seen = (await modern(next(other), "tasks/get", taskId=id)).json["result"]
            assert (seen["taskId"], seen["status"]) == (id, "input_required")
            words = {"words": {"action": "accept", "content": {"words": f"words {number}"}}}
            assert "result" in (await modern(next(other), "tasks/update", taskId=id, inputResponses=words)).json
            seen = (await modern(next(other), "tasks/get", taskId=id)).json["result"]
            assert (seen["taskId"], seen["status"]) == (id, "completed")
            text = seen["result"]["content"][0]["text"]
            assert text.startswith(f"words {number} by ")
            done.add(text[-1])
            assert "result" in (await modern(next(other), "tasks/cancel", taskId=id)).json
            assert (await modern(next(other), "tasks/get", taskId=id)).json["result"]["status"] == "cancelled"
        assert len(done) > 1, "one replica had all the tasks"


async def test_a_task_of_2025_11_25_without_a_session_is_reached_through_any_gateway(
    gateway: GatewayFactory, tmp_path: Path
) -> None:
    with serving(*(sdk1_tasks_replica(name) for name in "abc")) as replicas:
        fronts = await asyncio.to_thread(two_gateways, gateway, tmp_path, pool_toml(*urls_of(replicas)))
        other = cycle(fronts)
        done: set[str] = set()
        for _ in range(ROUNDS):
            created = await legacy(next(other), "tools/call", name="start", arguments={}, task={"ttl": 60_000})
            id = created["result"]["task"]["taskId"]
            assert len(id) > 100
            seen = (await legacy(next(other), "tasks/get", taskId=id))["result"]
            assert seen["taskId"] == id
            seen = (await legacy(next(other), "tasks/result", taskId=id))["result"]
            assert seen["_meta"][RELATED]["taskId"] == id
            done.add(seen["content"][0]["text"][-1])
            refused = (await legacy(next(other), "tasks/cancel", taskId=id))["error"]
            assert "terminal state" in refused["message"], "the server knows it"
        assert len(done) > 1, "one replica had all the tasks"


async def test_an_id_that_was_not_issued_reaches_no_task(gateway: GatewayFactory) -> None:
    with serving(tasks_replica("a")) as (replica,):
        front = await asyncio.to_thread(gateway, pool_toml(replica.url))
        stranger = await asyncio.to_thread(gateway, pool_toml(replica.url))
        headers, body = modern_request("tools/call", {"name": "start", "arguments": {}, "_meta": EXTENSION})
        mine = (await modern(front, "tools/call", name="start", arguments={})).json["result"]["taskId"]
        theirs = (await modern(stranger, "tools/call", name="start", arguments={})).json["result"]["taskId"]
        bare = (await asyncio.to_thread(_direct, replica.port, headers, body))["result"]["taskId"]
        for id in (bare, theirs, mine[:-6] + mine[-6:].swapcase()):
            for method in ("tasks/get", "tasks/cancel"):
                answer = await modern(front, method, taskId=id)
                assert (answer.status, answer.error["code"]) == (400, -32602)
                assert "params.taskId" in answer.error["message"]
        assert (await modern(front, "tasks/get", taskId=mine)).json["result"]["status"] == "input_required"


async def test_a_task_outlives_its_gateway_and_a_rotation_of_the_keys(gateway: GatewayFactory, tmp_path: Path) -> None:
    keys = tmp_path / "sealing.keys"
    old = generate_key_line(0) + "\n"
    keys.write_text(old)
    line = f'sealing_keys = "{keys}"'
    with serving(*(tasks_replica(name) for name in "ab")) as replicas:
        pools = pool_toml(*urls_of(replicas))
        first = await asyncio.to_thread(gateway, pools, listener=line)
        id = (await modern(first, "tools/call", name="start", arguments={})).json["result"]["taskId"]
        await asyncio.to_thread(first.close)
        gateway.started.remove(first)
        keys.write_text(generate_key_line(0) + "\n" + old)
        second = await asyncio.to_thread(gateway, pools, listener=line)
        seen = (await modern(second, "tasks/get", taskId=id)).json["result"]
        assert (seen["taskId"], seen["status"]) == (id, "input_required")
        keys.write_text(generate_key_line(0) + "\n")
        await until(lambda: "sealing_keys_changed" in second.log, "the gateway has read the keys")
        assert (await modern(second, "tasks/get", taskId=id)).error["code"] == -32602


def _direct(port: int, headers: dict[str, str], body: bytes) -> Any:
    """The JSON of a server's own answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", "/mcp", body, headers)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()
