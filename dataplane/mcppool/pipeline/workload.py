"""A sample of the calls of tools, for advice on the configuration: which calls are repeated, and with which results.

Only calls whose answers are not cached are sampled, at most `PER_SECOND` of a pool, so that a call costs one comparison
in the usual case. No argument and no result is kept, only hashes.
"""

from __future__ import annotations

from functools import partial
from time import monotonic
from typing import Final

from mcppool.advise.repetition import GENERATION, RepetitionSketch
from mcppool.pipeline.call import Call
from mcppool.pipeline.outcome import Outcome
from mcppool.pipeline.plan import Plan
from mcppool.pipeline.settings import Settings
from mcppool.policy.cache_rules import TOOL, Rule, key_of, subject_of
from mcppool.wire.bulk import BULK
from mcppool.wire.errors import BadEnvelope
from mcppool.wire.places import place_of
from mcppool.wire.rpc_response import RpcResponse

PER_SECOND: Final = 20
BURST: Final = 20
"""Upper bound on samples at once."""

LARGE: Final = 256 * 1024
"""Bytes of an answer from which a tool is not sampled for an hour: such answers should go on in parts."""

_RULE: Final = Rule(TOOL, 1.0, 0.0, "never", False, "tools")


class WorkloadSample:
    """The sample of one pool. `left` is the number of calls that may be sampled now; `server_sessions` tells that
    a server has given out a session id."""

    def __init__(self, settings: Settings) -> None:
        self.left = BURST
        self.server_sessions = False
        self.sketch = RepetitionSketch()
        self._settings = settings
        self._large: set[str] = set()
        self._refilled = self._forgot_large = monotonic()

    def refill(self, now: float) -> None:
        """Allow the samples of the time since the last refill, and from time to time those of tools whose answers were
        large."""
        if now - self._forgot_large >= GENERATION:
            self._large.clear()
            self._forgot_large = now
        more = int((now - self._refilled) * PER_SECOND)
        if more > 0:
            self.left = min(BURST, self.left + more)
            self._refilled = now

    def begin(self, call: Call, plan: Plan, outcome: Outcome) -> None:
        """Sample a call of a tool, if the tool is known and its answers are small."""
        tool = plan.tool
        if tool is None or tool not in self._settings.catalog.tools or tool in self._large or len(call.body) > BULK:
            return
        self.left -= 1
        outcome.taker = partial(self._take, call, tool)

    def _take(self, call: Call, tool: str, status: int, message: RpcResponse, body: bytes) -> None:
        """Note an accepted answer."""
        if len(body) > LARGE:
            self._large.add(tool)
            return
        if status != 200 or message.is_error or message.tool_error or message.result_type not in (None, "complete"):
            return
        subject = subject_of(call.body, _RULE, call.era, call.request.protocol_version, call.query)
        try:
            place = place_of(body, ("result",))
        except BadEnvelope:
            return
        if subject is None or place is None:
            return
        session = call.session.upstream_id if call.session is not None else ""
        self.server_sessions = self.server_sessions or bool(session)
        self.sketch.note(
            tool,
            hash(key_of(subject, call.principal.key, call.forward)),
            hash(bytes(body[place[0] : place[1]])),
            hash(session) if session else 0,
            max(0.0, monotonic() - call.received),
            monotonic(),
        )
