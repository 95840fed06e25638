"""A node of a cluster without nodes: it places pods, runs what the tutorial's pods run, and ends them.

Servers and the operator are the real ones. A gateway pod is what the operator sees of one (`gateway_pods`). Kubernetes
publishes no loopback addresses, so that servers have addresses of nowhere, and `places` the ports where they are.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import uvicorn

from mcppool_operator.api import KubeApi, KubeError
from mcppool_operator.resources import POD
from tests.kube.administrator import Administrator
from tests.kube.control_plane import Cluster
from tests.kube.gateway_pods import gateway_pod, loopback_address
from tests.kube.operator_process import Operator

SERVER_PORT = 8000
PERIOD = 0.1
"""Seconds between two looks at the pods."""


class Node:
    """Looks after the pods of two namespaces."""

    def __init__(self, cluster: Cluster, api: KubeApi, servers: int) -> None:
        self._cluster = cluster
        self._sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(servers)]
        ports = [sock.getsockname()[1] for sock in self._sockets]
        self.places = {f"10.64.0.{at}:{SERVER_PORT}": f"127.0.0.1:{port}" for at, port in enumerate(ports, 1)}
        self._free = [place.partition(":")[0] for place in self.places]
        self._running: dict[str, AsyncExitStack] = {}
        self._users = {}
        for namespace in ("default", "mcppool-system"):
            self._users[namespace] = Administrator(api)
            self._users[namespace].namespace = namespace

    @asynccontextmanager
    async def serving(self, app: Any) -> AsyncIterator[None]:
        """Within, pods run; those of the servers serve `app`."""
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        tasks = [asyncio.create_task(server.serve(self._sockets)), asyncio.create_task(self._look_after())]
        try:
            yield
        finally:
            server.should_exit = True
            tasks[1].cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            for stack in self._running.values():
                await stack.aclose()
        failure = results[1]
        if not isinstance(failure, asyncio.CancelledError):
            raise AssertionError("the node has ended") from failure

    async def _look_after(self) -> None:
        while True:
            for admin in self._users.values():
                for pod in await admin.api.list(POD, admin.namespace):
                    with suppress(KubeError):  # the pod has changed, or is gone
                        await self._look_at(admin, pod)
            await asyncio.sleep(PERIOD)

    async def _look_at(self, admin: Administrator, pod: Any) -> None:
        metadata = pod["metadata"]
        name, id = metadata["name"], metadata["uid"]
        if "deletionTimestamp" in metadata:
            if (stack := self._running.pop(id, None)) is not None:
                await stack.aclose()
            await admin.call("DELETE", POD.path(admin.namespace, name), {"gracePeriodSeconds": 0})
        elif "nodeName" not in pod["spec"]:
            await admin.place(name)
        elif id not in self._running:
            async with AsyncExitStack() as stack:
                await self._run(stack, admin, name, metadata.get("labels", {}))
                self._running[id] = stack.pop_all()

    async def _run(self, stack: AsyncExitStack, admin: Administrator, name: str, labels: dict[str, str]) -> None:
        if labels.get("app.kubernetes.io/component") == "gateway":
            await stack.enter_async_context(gateway_pod(self._cluster, admin, name))
            return
        if admin.namespace == "mcppool-system":
            token = await admin.token(admin.namespace, "mcppool")
            operator = Operator(name, self._cluster.kubeconfig(name, token))
            stack.push_async_callback(asyncio.to_thread, operator.stop)
            await operator.ready()
        address = loopback_address()
        if labels.get("app") == "search":
            address = self._free.pop()
            stack.callback(self._free.append, address)
        await admin.become_ready(name, address)
