"""Gateway pods as far as the operator can see them: the gateway's own configuration source and admin port, here.

There is no kubelet in these tests' cluster, so each pod is "run" by hand: on a loopback address of its own, because the
admin port has one number in all pods, with a token of the gateways' service account and no other permission.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mcppool.discovery.kube_api import ApiServer
from mcppool.discovery.kubernetes import KubernetesSource
from mcppool.observe.admin import AdminServer
from mcppool.observe.logs import get_logger
from mcppool.observe.pages import OwnPages
from mcppool.observe.views import ComponentHealth, ConfigView, EndpointView, PoolView, RejectedConfig
from mcppool.policy.tool_differences import NO_DIFFERENCES
from mcppool.spec import ConfigError, Snapshot
from mcppool_operator.resources import POD
from tests.kube.administrator import PATIENCE, Administrator
from tests.kube.control_plane import Cluster

ADMIN_PORT = 9090


class GatewayPod:
    """The answers of a gateway. `stubborn`: it refuses every configuration; `alone`: no server answers it; `sessions`:
    the number at each server."""

    def __init__(self) -> None:
        self.stubborn = False
        self.alone = False
        self.sessions: dict[str, int] = {}
        self.calls = self.failed_calls = 0
        self.tool_differences = NO_DIFFERENCES
        self.key_ids: tuple[str, ...] = ()  # of the sealing keys that its kubelet has brought
        self.terms: list[int] = []  # of the configurations that it has taken, oldest first
        self._view = ConfigView()

    def publish(self, snapshot: Snapshot) -> None:
        """Take a configuration."""
        if self.stubborn:
            refused = RejectedConfig(hash=snapshot.hash, problems=("no",), at=datetime.now(UTC))
            self._view = ConfigView(self._view.hash, self._view.generation, self._view.term, None, refused)
        else:
            self.terms.append(snapshot.term)
            self._view = ConfigView(snapshot.hash, snapshot.generation, snapshot.term, datetime.now(UTC))

    def refuse(self, error: ConfigError) -> None:
        """Garbage came: the configuration stays."""

    def ready(self) -> Mapping[str, str]:
        """Nothing is missing."""
        return {}

    def answering(self) -> Mapping[str, str]:
        """Do nothing."""
        return {}

    def health(self) -> Mapping[str, ComponentHealth]:
        """Nothing is wrong, unless no server answers."""
        return {"pool search": ComponentHealth("unhealthy", "none of 1 endpoints can be reached")} if self.alone else {}

    def workload(self) -> dict[str, Any]:
        return {}

    def pool_views(self) -> list[PoolView]:
        """The content of `/load`."""
        endpoints = tuple(EndpointView(url, True, sessions=number) for url, number in self.sessions.items())
        number = sum(self.sessions.values())
        return [
            PoolView(
                "search",
                endpoints,
                sessions=number,
                calls=self.calls,
                failed_calls=self.failed_calls,
                last_failure="no_endpoint: none",
                tool_differences=self.tool_differences,
            )
        ]

    def settings(self) -> Mapping[str, object]:
        """The operator does not ask for them."""
        return {}

    def config(self) -> ConfigView:
        """The content of `/configz`."""
        return replace(self._view, key_ids=self.key_ids)


@asynccontextmanager
async def gateway_pods(cluster: Cluster, admin: Administrator) -> AsyncIterator[list[GatewayPod]]:
    """Run the two gateway pods of the pool `search`, once their Deployment has made them."""
    found = await wait_for_pods(admin, 2)
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(gateway_pod(cluster, admin, pod)) for pod in found]


@asynccontextmanager
async def gateway_pod(cluster: Cluster, admin: Administrator, pod: str) -> AsyncIterator[GatewayPod]:
    """Run a gateway pod of the pool `search`, and make it ready."""
    token = cluster.folder / f"{admin.namespace}.token"
    token.write_text(await admin.token(admin.namespace, "search-mcp-gateway"))
    place = cluster.place()
    ca = Path(place["certificate-authority"])
    server = urlsplit(place["server"])
    api = ApiServer(str(server.hostname), int(server.port or 443), token=token, ca=ca)
    address = loopback_address()
    gateway = GatewayPod()
    source = KubernetesSource(admin.namespace, "search-mcp-config", log=get_logger("discovery"), api=api)
    async with AsyncExitStack() as stack:
        following = asyncio.create_task(source.watch(gateway.publish, gateway.refuse))
        stack.push_async_callback(_cancel, following)
        port = AdminServer(address, ADMIN_PORT, OwnPages(gateway))
        await port.start()
        stack.push_async_callback(port.stop)
        await admin.become_ready(pod, address)
        yield gateway


def loopback_address() -> str:
    """One of four million that name this machine: that another run has the same one at the same time is no concern."""
    return f"127.{random.randrange(64, 128)}.{random.randrange(256)}.{random.randrange(1, 255)}"


async def wait_for_pods(
    admin: Administrator, count: int, component: str = "gateway", without: str | None = None
) -> list[str]:
    """The names of the pool's pods of one component, once there are so many; `without`: a pod that does not count."""
    labels = f"app.kubernetes.io/component={component},app.kubernetes.io/instance=search"
    async with asyncio.timeout(PATIENCE):
        while True:
            found: list[Any] = await admin.api.list(POD, admin.namespace, labels=labels)
            pods = [pod for pod in found if pod["metadata"]["name"] != without]
            if len(pods) == count:
                return sorted(pod["metadata"]["name"] for pod in pods)
            await asyncio.sleep(0.05)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
