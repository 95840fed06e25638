"""Makes a scale-down take the server pod with the least work first.

The ReplicaSet controller deletes pods in the order of the annotation `controller.kubernetes.io/pod-deletion-cost`. The
operator writes the number of sessions and calls of each server pod there, as its gateways count them. The number is
coarse, so that it is seldom written.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from mcppool_operator.api import TRANSIENT, KubeApi, KubeError
from mcppool_operator.pods import DELETION_COST, Pod
from mcppool_operator.resources import POD

log = logging.getLogger(__name__)

FINE: Final = 8
"""Up to here every number is written; above it, in steps of an eighth to a quarter."""

HIGHEST: Final = 2**30

Load = Mapping[str, Any]
"""The JSON of a gateway's `/load`."""


def coarse(count: int) -> int:
    """Round down to three significant bits, so that small changes of a large number write nothing."""
    steps = max(0, count.bit_length() - 3)
    return min(count >> steps << steps, HIGHEST) if count > FINE else count


def costs(pool: str, loads: Iterable[Load]) -> Counter[str]:
    """Return the sessions and calls of each server, by its address, over all gateways of a pool. Pure."""
    found: Counter[str] = Counter()
    for load in loads:
        endpoints = _mapping(_mapping(load.get("pools")).get(pool))
        for url, numbers in endpoints.items():
            found[urlsplit(url).hostname or ""] += sum(
                number for name in ("sessions", "inFlight") if isinstance(number := _mapping(numbers).get(name), int)
            )
    return found


def changes(servers: Iterable[Pod], counts: Mapping[str, int]) -> Iterable[tuple[Pod, int]]:
    """Return the pods with a wrong annotation, and its right value. Pure.

    A pod without an annotation costs nothing: none is written for a server without work.
    """
    for pod in servers:
        if pod.going:
            continue
        wanted = coarse(counts.get(pod.address, 0))
        if (pod.deletion_cost or "0") != str(wanted):
            yield pod, wanted


class DeletionCosts:
    """Keeps the annotations in step with the gateways' counts."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api

    async def keep(self, pool: str, servers: Iterable[Pod], loads: Iterable[Load]) -> bool:
        """Write the changes; returns whether there were any. A failed write is tried again with the next look."""
        changed = False
        for pod, cost in changes(servers, costs(pool, loads)):
            changed = True
            annotations = {DELETION_COST: str(cost)}
            metadata = {"namespace": pod.namespace, "name": pod.name, "uid": pod.uid, "annotations": annotations}
            body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}
            try:
                await self._api.apply(POD, body)
            except (KubeError, *TRANSIENT) as error:
                if isinstance(error, KubeError) and error.status in (404, 409):
                    continue  # the pod is gone
                log.warning(
                    "the deletion cost of a pod could not be written",
                    extra={"pod": pod.name, "error": str(error) or repr(error)},
                )
                break
        return changed


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
