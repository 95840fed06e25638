"""A cluster full of pools, with the objects that users, controllers and kubelets would write, for
`bench/operator_scale.py`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from typing import Any

from aiohttp import web

from mcppool_operator.api import KubeApi, Object
from mcppool_operator.children import ADMIN_PORT
from mcppool_operator.resources import CONFIG_MAP, ENDPOINT_SLICE, POD, POOL, SERVICE, Kind
from tests.kube.administrator import Administrator
from tests.kube.conftest import namespace

PER_NAMESPACE = 20
AT_ONCE = 16
GATEWAYS = "app.kubernetes.io/component=gateway"


class Fleet:
    """So many pools, each in front of a Service with so many addresses."""

    def __init__(self, api: KubeApi, pools: int, endpoints: int) -> None:
        self.api = api
        self.endpoints = endpoints
        self.places = [(f"team-{number // PER_NAMESPACE}", f"tools-{number}") for number in range(pools)]
        self.hashes: dict[str, str] = {}
        """By the address of a gateway: the hash that it says it has."""

    async def create(self) -> None:
        """Make namespaces, Services, EndpointSlices and pools."""
        administrator = Administrator(self.api)
        await administrator.put(*(namespace(name) for name in dict.fromkeys(place for place, _ in self.places)))
        await self._each([administrator.put(*self._objects(number)) for number in range(len(self.places))])

    async def change(self, number: int, turn: int) -> str:
        """Move one address of a pool; returns the new one."""
        place, name = self.places[number]
        address = f"10.{200 + turn // 250}.{turn % 250}.{number % 250 + 1}"
        body = _slice(place, name, [*_addresses(number, self.endpoints - 1), address])
        await Administrator(self.api).put(body)
        return address

    async def published(self) -> int:
        """Count the pools whose status names a published configuration of all their endpoints."""
        summary = f"{self.endpoints}/{self.endpoints}"
        return sum(
            status.get("endpoints", {}).get("summary") == summary and "config" in status
            for status in await self.statuses()
        )

    async def ready(self) -> int:
        """Count the pools that are Ready."""
        return sum(
            any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", ()))
            for status in await self.statuses()
        )

    async def statuses(self) -> list[Object]:
        """Return the status of each pool."""
        return [pool.get("status") or {} for pool in await self.api.list(POOL, None)]

    async def start_gateways(self, stack: AsyncExitStack) -> None:
        """Run the gateways' pods, as far as the cluster and the operator see them; until the stack closes."""
        runner = web.ServerRunner(web.Server(self._answer))
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        for number in range(len(self.places)):
            await web.TCPSite(runner, _gateway(number), ADMIN_PORT).start()
        numbers = {place: number for number, place in enumerate(self.places)}
        await self.note_hashes()
        pods = await self.api.list(POD, None, labels=GATEWAYS)
        await self._each([self._say_ready(pod, _gateway(numbers[_pool_of(pod)])) for pod in pods])

    async def note_hashes(self) -> None:
        """Give the gateways the published snapshots."""
        for number, (place, name) in enumerate(self.places):
            found = await self.api.get(CONFIG_MAP, place, f"{name}-mcp-config")
            assert found is not None
            self.hashes[_gateway(number)] = json.loads(found["data"]["snapshot.json"])["hash"]

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        assert request.transport is not None
        address = request.transport.get_extra_info("sockname")[0]
        if request.path == "/health":
            return web.json_response({"status": "healthy", "components": {}})
        return web.json_response({"hash": self.hashes[address], "rejected": None})

    async def _say_ready(self, pod: Object, address: str) -> None:
        administrator = Administrator(self.api)
        administrator.namespace = pod["metadata"]["namespace"]
        await administrator.place(pod["metadata"]["name"])
        await administrator.become_ready(pod["metadata"]["name"], address)

    def _objects(self, number: int) -> Iterator[Object]:
        place, name = self.places[number]
        port = {"name": "http", "port": 80, "targetPort": 8000}
        yield _object(SERVICE, place, name, spec={"ports": [port]})
        yield _slice(place, name, _addresses(number, self.endpoints))
        source = {"type": "Service", "service": {"name": name, "port": "http"}}
        yield _object(POOL, place, name, spec={"source": source, "auth": {"inbound": {"type": "None"}}})

    async def _each(self, work: Sequence[Any]) -> None:
        limit = asyncio.Semaphore(AT_ONCE)

        async def one(task: Any) -> None:
            async with limit:
                await task

        await asyncio.gather(*map(one, work))


def _slice(place: str, name: str, addresses: Sequence[str]) -> Object:
    endpoints = [{"addresses": [address], "conditions": {"ready": True}} for address in addresses]
    body = _object(
        ENDPOINT_SLICE,
        place,
        f"{name}-1",
        addressType="IPv4",
        ports=[{"name": "http", "port": 8000, "protocol": "TCP"}],
        endpoints=endpoints,
    )
    body["metadata"]["labels"] = {"kubernetes.io/service-name": name}
    return body


def _object(kind: Kind, place: str, name: str, **content: Any) -> Object:
    metadata = {"namespace": place, "name": name}
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, **content}


def _addresses(number: int, count: int) -> list[str]:
    return [f"10.{number // 250}.{number % 250}.{last + 1}" for last in range(count)]


def _gateway(number: int) -> str:
    return f"127.130.{number // 250}.{number % 250 + 1}"


def _pool_of(pod: Object) -> tuple[str, str]:
    metadata = pod["metadata"]
    return metadata["namespace"], metadata["labels"]["app.kubernetes.io/instance"]
