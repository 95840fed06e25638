"""CPU and memory of a container: the pool's values over the operator's, without contradictions. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcppool.spec.sections.quantity import amount
from mcppool.spec.sections.resources import ResourcesSpec

Quantities = Mapping[str, int | str]


def requirements(requests: Quantities, limits: Quantities, *said: ResourcesSpec | None) -> dict[str, Any]:
    """Return a container's resources: our `requests` and `limits`, overridden by the pool's.

    If the pool sets only one of the two for a resource and ours would contradict it, ours gives way.
    """
    said_requests = {name: value for spec in said if spec for name, value in spec.requests.items()}
    said_limits = {name: value for spec in said if spec for name, value in spec.limits.items()}
    requests, limits = {**requests, **said_requests}, {**limits, **said_limits}
    for name in requests.keys() & limits.keys():
        if amount(requests[name]) > amount(limits[name]):
            if name in said_limits and name not in said_requests:
                requests[name] = limits[name]
            else:
                limits[name] = requests[name]
    return {key: value for key, value in (("requests", requests), ("limits", limits)) if value}
