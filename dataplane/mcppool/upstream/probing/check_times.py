"""The time that checks of one endpoint may take.

First contact is patient (`health_check.startup_timeout`), at the start and when a server listens again after an
absence. Later checks may take `health_check.timeout`, or longer where the server answers them more slowly
(`policy.check_pace`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from mcppool.policy.check_pace import CheckPace
from mcppool.spec import PoolSpec
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.probing.failures import ProbeFailed


class CheckTimes:
    """`first`: no check has passed since the address last had no listener. `pace` is that of the answers."""

    def __init__(self, endpoint: Endpoint, spec: PoolSpec) -> None:
        self.spec = spec
        self.first = True
        self.pace = CheckPace()
        self._endpoint = endpoint

    def gone(self) -> None:
        """The address has no listener now."""
        self.first = True
        self.pace.forget()

    @property
    def patience(self) -> float:
        """Seconds that a check may take now."""
        checks = self.spec.health_check
        return checks.startup_timeout if self.first else self.pace.patience(checks.timeout, checks.startup_timeout)

    @property
    def connect_timeout(self) -> float:
        """Seconds that the connection of a check may take."""
        # A kernel accepts connections however slow the server is; a TLS handshake is as slow as the server's answers.
        patience = self.spec.health_check.timeout if self._endpoint.target.tls is None else self.patience
        return min(patience, self.spec.connection_pool.connection_timeout)

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Remember the time that an answer takes, whatever its content."""
        began = monotonic()
        try:
            yield
        except ProbeFailed:
            self.pace.answered(monotonic() - began)
            raise
        self.pace.answered(monotonic() - began)
