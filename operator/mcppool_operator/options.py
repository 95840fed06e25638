"""The operator's options: arguments, and variables that a pod's manifest sets."""

from __future__ import annotations

import argparse
import os
import socket
import uuid
from dataclasses import dataclass
from typing import Literal

from mcppool_operator.children.deployment import GatewayImage
from mcppool_operator.children.plan import Installation
from mcppool_operator.election import LeaseTiming


@dataclass(frozen=True, slots=True)
class Options:
    """All options of the operator."""

    installation: Installation
    namespaces: tuple[str, ...]
    lease_namespace: str
    lease_name: str
    identity: str
    timing: LeaseTiming
    workers: int
    metrics_port: int
    probe_port: int
    host: str
    log_level: str
    log_format: Literal["json", "text"]


def parse(arguments: list[str] | None = None) -> Options:
    """Read the command line; ends the process with a message if it is invalid."""
    parser = argparse.ArgumentParser(
        prog="mcppool-operator", description="Reconciles McpServerPool objects into MCP gateways."
    )
    parser.add_argument("--gateway-image", required=True, help="image of the gateway pods")
    parser.add_argument(
        "--gateway-pull-policy",
        default="IfNotPresent",
        choices=["Always", "IfNotPresent", "Never"],
        help="when nodes pull that image",
    )
    parser.add_argument(
        "--gateway-pull-secret",
        action="append",
        default=[],
        metavar="NAME",
        help="pull secret of gateway pods; may be repeated",
    )
    parser.add_argument(
        "--namespace",
        action="append",
        default=[],
        metavar="NAME",
        help="manage only pools of this namespace; may be repeated; default: all namespaces",
    )
    parser.add_argument(
        "--lease-namespace",
        default=os.environ.get("POD_NAMESPACE", "default"),
        help="namespace of the Lease; default: $POD_NAMESPACE",
    )
    parser.add_argument("--lease-name", default="mcppool-operator", help="name of the Lease (default: %(default)s)")
    parser.add_argument(
        "--operator-class",
        default="",
        metavar="NAME",
        help="manage only pools with this spec.operatorClass; default: pools without one",
    )
    parser.add_argument(
        "--lease-duration",
        type=float,
        default=15,
        metavar="SECONDS",
        help="time after which another replica may take a Lease that is not renewed (default: %(default)s)",
    )
    parser.add_argument(
        "--renew-deadline",
        type=float,
        default=10,
        metavar="SECONDS",
        help="time without a renewal after which the leader exits (default: %(default)s)",
    )
    parser.add_argument(
        "--retry-period",
        type=float,
        default=2,
        metavar="SECONDS",
        help="time between two tries to renew or take the Lease (default: %(default)s)",
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=8,
        metavar="N",
        help="number of pools reconciled at the same time (default: %(default)s)",
    )
    parser.add_argument("--host", default="", help="address of metrics and probes; default: all, of both families")
    parser.add_argument("--metrics-port", type=int, default=8080, help="port of metrics (default: %(default)s)")
    parser.add_argument("--probe-port", type=int, default=8081, help="port of probes (default: %(default)s)")
    parser.add_argument(
        "--log-level",
        default="info",
        choices=["debug", "info", "warning", "error"],
        help="lowest level that is logged (default: %(default)s)",
    )
    parser.add_argument(
        "--log-format", default="json", choices=["json", "text"], help="format of log lines (default: %(default)s)"
    )
    given = parser.parse_args(arguments)
    timing = LeaseTiming(given.lease_duration, given.renew_deadline, given.retry_period)
    if not timing.duration > timing.renew_deadline > timing.retry_period > 0:
        parser.error("--lease-duration must be longer than --renew-deadline, and that longer than --retry-period")
    if given.workers < 1:
        parser.error("--workers must be at least 1")
    # A unique name for each process: a container that restarts in its pod must not be taken for the previous one.
    identity = f"{os.environ.get('POD_NAME') or socket.gethostname()}_{uuid.uuid4().hex[:8]}"
    return Options(
        installation=Installation(
            GatewayImage(given.gateway_image, given.gateway_pull_policy, tuple(given.gateway_pull_secret)),
            namespace=given.lease_namespace,
            lease=given.lease_name,
            operator_class=given.operator_class,
        ),
        namespaces=tuple(given.namespace),
        lease_namespace=given.lease_namespace,
        lease_name=given.lease_name,
        identity=identity,
        timing=timing,
        workers=given.workers,
        metrics_port=given.metrics_port,
        probe_port=given.probe_port,
        host=given.host,
        log_level=given.log_level,
        log_format=given.log_format,
    )
