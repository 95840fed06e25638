"""Any gateway of a pool reaches a task, without a store; a guessed task id reaches nothing."""

from __future__ import annotations

import asyncio
import http.client
import json
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from mcppool.wire.sealing import generate_key_line
from tests.conftest import GatewayFactory
from tests.integration.raw_http import Answer, RawClient, ask, request
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
# Of a replica that is late with the answer to a check, the followers of its tasks would be cut.
PATIENT = '[pools.connection_pool]\nhealth_check_interval = "1h"\n[pools.health_check]\ntimeout = "60s"\n'
ROUNDS = 16  # tasks: three replicas would not all be met, nor missed, by chance


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
        changed = mine[:50] + ("A" if mine[50] != "A" else "B") + mine[51:]
        for id in (bare, theirs, changed):
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


class Listening:
    """`async with Listening(gateway, ids) as stream`: one `subscriptions/listen` for tasks; `name` is its id."""

    def __init__(self, gateway: Gateway, ids: list[str], name: str = "listening") -> None:
        self._client = RawClient(gateway)
        headers, body = modern_request(
            "subscriptions/listen", {"notifications": {"taskIds": ids}, "_meta": EXTENSION}, request_id=name
        )
        self._request = request(body, headers)

    async def __aenter__(self) -> Listening:
        await self._client.__aenter__()
        await self._client.send(self._request)
        status, _ = await self._client.head()
        assert status == 200
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._client.__aexit__(*exception)

    async def next(self) -> dict[str, Any]:
        """The next notification. Raises IncompleteReadError if the stream is cut."""
        while True:
            data = [line for line in (await self._client.chunk()).splitlines() if line.startswith(b"data: ")]
            if data:
                message: dict[str, Any] = json.loads(data[0].removeprefix(b"data: "))
                return message


async def test_changes_of_a_task_reach_the_clients_that_follow_it(gateway: GatewayFactory, tmp_path: Path) -> None:
    with serving(*(tasks_replica(name) for name in "ab")) as replicas:
        pools = pool_toml(*urls_of(replicas), sections=PATIENT)
        fronts = await asyncio.to_thread(two_gateways, gateway, tmp_path, pools)
        ids = []
        for number in range(4):
            created = await modern(fronts[number % 2], "tools/call", name="start", arguments={})
            ids.append(created.json["result"]["taskId"])
        guess = ids[0][:-8] + "AAAAAAA="
        async with Listening(fronts[0], [guess, "plain", *ids], "all") as all_, Listening(fronts[1], ids[:1]) as first:
            for stream, name, known in ((all_, "all", ids), (first, "listening", ids[:1])):
                params = (await stream.next())["params"]
                assert sorted(params["notifications"].pop("taskIds")) == sorted(known)
                assert params == {"_meta": {"io.modelcontextprotocol/subscriptionId": name}, "notifications": {}}
            for number, id in enumerate(ids):
                await modern(fronts[number % 2], "tasks/cancel", taskId=id)
                for stream, name in [(all_, "all"), *([(first, "listening")] if id == ids[0] else [])]:
                    seen = await stream.next()
                    assert seen["method"] == "notifications/tasks"
                    assert (seen["params"]["taskId"], seen["params"]["status"]) == (id, "cancelled")
                    assert seen["params"]["_meta"] == {"io.modelcontextprotocol/subscriptionId": name}
            for replica in replicas:
                replica.kill()
            with pytest.raises(asyncio.IncompleteReadError):  # the task may have changed since
                await first.next()


async def test_who_follows_tasks_must_know_their_extension(gateway: GatewayFactory) -> None:
    with serving(tasks_replica("a")) as replicas:
        front = await asyncio.to_thread(gateway, pool_toml(*urls_of(replicas)))
        headers, body = modern_request("subscriptions/listen", {"notifications": {"taskIds": ["some"]}})
        answer = await ask(front, request(body, headers))
        assert (answer.status, answer.error["code"]) == (400, -32021)
        assert answer.error["data"]["requiredCapabilities"] == {"extensions": {"io.modelcontextprotocol/tasks": {}}}
        headers, body = modern_request("subscriptions/listen", {"notifications": {"taskIds": [1]}, "_meta": EXTENSION})
        assert (await ask(front, request(body, headers))).error["code"] == -32602
