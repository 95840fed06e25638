"""One owner for each pool: two installations that overlap in a cluster do not fight over it.

A pool's status names the installation that owns it, by its Lease (`NAMESPACE/NAME`). Another installation leaves the
pool alone while that Lease is held. It takes over only if the Lease was not renewed, by its own clock, or was given up.
`spec.operatorClass` assigns pools explicitly.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from mcppool_operator.api import KubeApi, KubeError
from mcppool_operator.election import LeaseCandidate, LeaseTiming
from mcppool_operator.resources import LEASE


def owner_of(pool: Mapping[str, Any]) -> str:
    """Return the installation that owns a pool, by its status; empty if there is none. Pure."""
    return str((pool.get("status") or {}).get("operator") or "")


class Rivals:
    """The Leases of other installations, from the view of this installation, `name`."""

    def __init__(self, api: KubeApi, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self._api = api
        self._clock = clock
        self._seen: dict[str, LeaseCandidate] = {}

    async def holds(self, rival: str) -> bool:
        """Return whether another installation is alive, or may be: a Lease that cannot be read counts as held."""
        namespace, _, name = rival.partition("/")
        if not namespace or not name:
            return False
        try:
            lease = await self._api.get(LEASE, namespace, name)
        except KubeError as error:
            if error.status == 403:
                return True
            raise
        if lease is None:
            self._seen.pop(rival, None)
            return False
        candidate = self._seen.setdefault(rival, LeaseCandidate(self.name, LeaseTiming()))
        now = self._clock()
        candidate.observe(lease["spec"], now)
        return not candidate.may_take(lease["spec"], now)
