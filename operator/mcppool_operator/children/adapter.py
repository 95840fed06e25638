"""The adapter that puts a stdio server on the network: a copy of our program that runs in the server's container. Pure.

An init container copies it into a volume. In the server's container it takes the place of the image's command, starts
that command as its child, and serves it over HTTP. It needs nothing from the image, so any image will do.
"""

from __future__ import annotations

from typing import Any, Final

from mcppool.spec import ListenerSpec, LoggingSpec, MetricsSpec, PoolSpec, Snapshot, render_differences
from mcppool.spec.resource import Resource
from mcppool.spec.sections.local import LocalSpec
from mcppool.spec.sections.managed import ManagedSource
from mcppool.spec.sections.sessions import SessionsSpec
from mcppool_operator.children import ADMIN_PORT, MCP_PORT
from mcppool_operator.children.deployment import GatewayImage

DIRECTORY: Final = "/.mcppool"
VOLUME: Final = "mcppool-adapter"
PATH: Final = "/mcp"
PORT: Final = MCP_PORT
DEFAULT_REQUESTS: Final = {"cpu": "50m", "memory": "160Mi"}
"""The adapter uses about 80 MiB of resident memory; the rest is for the program."""

COMMAND: Final = (
    f"{DIRECTORY}/loader", "--library-path", f"{DIRECTORY}/lib",
    f"{DIRECTORY}/bin/python3", "-I", "-S", "-B", "-u", "-X", "utf8", f"{DIRECTORY}/app", "adapter",
)  # fmt: skip
"""The command that starts a copy made by `mcppool adapter --into DIRECTORY` (mcppool/cli/portable.py)."""


def arguments(resource: Resource, managed: ManagedSource) -> list[str]:
    """Return the arguments of the adapter: its policy, and the program as the pool writes it.

    The kubelet fills in variables, `$(NAME)`, as it does in any container's arguments.
    """
    policy = render_differences(adapter_policy(resource, managed))
    return ["--policy", policy, "--", *managed.command, *managed.args]


def adapter_policy(resource: Resource, managed: ManagedSource) -> Snapshot:
    """Return the adapter's policy: the parts of the pool's policy about programs, and the listen address."""
    pool, most = resource.pool, managed.max_processes or LocalSpec().max_processes
    sessions = pool.sessions
    requests = [pool.timeouts.request, *(tool.timeout for tool in pool.tools.values() if tool.timeout is not None)]
    adapted = PoolSpec(
        name=resource.name,
        # The adapter's clients are gateways, each with the sessions of many clients. A gateway ends these sessions, or
        # they end once unused for as long as a gateway remembers them.
        local=LocalSpec(
            max_processes=most,
            max_processes_per_client=most,
            idle_timeout=sessions.idle_timeout,
            behind_gateways=True,
        ),
        sessions=SessionsSpec(
            on_loss=sessions.on_loss,
            idle_timeout=sessions.idle_timeout,
            max_age=sessions.max_age,
            stateless=sessions.stateless,
        ),
        timeouts=pool.timeouts.model_copy(update={"request": max(requests)}),
        connection_pool=pool.connection_pool,
        health_check=pool.health_check,
        outlier_detection=pool.outlier_detection,
    )
    return Snapshot(
        pools=(adapted,),
        listener=ListenerSpec(listen=f"0.0.0.0:{PORT}"),
        metrics=MetricsSpec(host="0.0.0.0", port=ADMIN_PORT),  # noqa: S104
        logging=LoggingSpec(format="json"),
    )


def init_container(resource: Resource, image: GatewayImage) -> dict[str, Any]:
    """Return the container that copies the adapter into the volume."""
    return {
        "name": "adapter",
        "image": resource.gateway.image or image.name,
        "imagePullPolicy": image.pull_policy,
        "command": ["mcppool"],
        "args": ["adapter", "--into", DIRECTORY],
        "resources": {"requests": dict(DEFAULT_REQUESTS)},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": VOLUME, "mountPath": DIRECTORY}],
    }


def probes() -> dict[str, Any]:
    """Return the probes of a container that runs the adapter. It is ready while its program answers."""

    def probe(path: str, **timing: int) -> dict[str, Any]:
        return {"httpGet": {"path": path, "port": "admin"}, "timeoutSeconds": 2, **timing}

    return {
        "startupProbe": probe("/livez", periodSeconds=1, failureThreshold=60),
        "livenessProbe": probe("/livez", periodSeconds=10, failureThreshold=3),
        "readinessProbe": probe("/health", periodSeconds=2, failureThreshold=2),
    }
