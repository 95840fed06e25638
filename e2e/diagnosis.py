"""The first facts that a person needs when a test in a cluster fails."""

from __future__ import annotations

from collections.abc import Iterator

from e2e.clusters import Cluster, CommandFailedError
from e2e.names import NAMESPACE, OPERATOR_NAMESPACE

LOG_LINES = "60"


def look(cluster: Cluster, *arguments: str) -> str:
    """The output of one kubectl command, or its error."""
    try:
        return cluster.kubectl(*arguments, seconds=20).rstrip()
    except CommandFailedError as error:
        return str(error).rstrip()


def diagnose(cluster: Cluster) -> Iterator[tuple[str, str]]:
    """Yield titles and texts: objects, events, conditions of pools, the last log lines of each container."""
    yield "pods", look(cluster, "get", "pods", "--all-namespaces", "-o", "wide")
    yield "pools", look(cluster, "describe", "mcpserverpools", "--all-namespaces")
    for namespace in (NAMESPACE, OPERATOR_NAMESPACE):
        yield (
            f"events in {namespace}",
            "\n".join(look(cluster, "get", "events", "-n", namespace, "--sort-by=.lastTimestamp").splitlines()[-40:]),
        )
        for pod in look(cluster, "get", "pods", "-n", namespace, "-o", "name").split():
            yield f"{namespace} {pod}", look(cluster, "describe", "-n", namespace, pod)[-2500:]
            yield (
                f"log of {namespace} {pod}",
                look(cluster, "logs", "-n", namespace, pod, "--all-containers", "--ignore-errors", "--tail", LOG_LINES),
            )
