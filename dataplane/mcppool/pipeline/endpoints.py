"""The endpoints of a pool."""

from __future__ import annotations

from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.health import ProbationQueue


class Endpoints(dict[str, Endpoint]):
    """The configured endpoints by key.

    `leaving` are removed endpoints that still answer calls, each with its time limit (monotonic seconds); `probation`
    are ejected endpoints that wait for one trial call each; `not_started` has the keys of local servers whose program
    does not start, each with the reason.
    """

    def __init__(self) -> None:
        super().__init__()
        self.leaving: dict[Endpoint, float] = {}
        self.probation = ProbationQueue[Endpoint]()
        self.not_started: dict[str, str] = {}

    def holder(self, key: str) -> Endpoint | None:
        """The endpoint `key`, as long as it answers calls: also while it leaves."""
        return self.get(key) or next((e for e in self.leaving if e.key == key), None)
