"""Requests that the gateway answers itself (design §1.4)."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from math import inf
from time import monotonic

from mcppool.pipeline.call import Call, Reply
from mcppool.pipeline.local_reply.faults import answer_fault, answer_refusal
from mcppool.pipeline.outcome import Outcome
from mcppool.pipeline.plan import Plan
from mcppool.pipeline.routing.outage import Outage
from mcppool.pipeline.routing.picker import Picker
from mcppool.pipeline.routing.waiting_room import LOOK
from mcppool.pipeline.settings import Settings
from mcppool.policy.wait_for_endpoint import STARTING_HOLD, hold_until
from mcppool.upstream.failures import NoCatalog
from mcppool.upstream.timeouts import within
from mcppool.wire.era import MODERN
from mcppool.wire.era_mismatch import SERVERS_ARE_LEGACY
from mcppool.wire.errors import INVALID_REQUEST
from mcppool.wire.media_types import JSON_HEADERS
from mcppool.wire.versions import LATEST_MODERN, LEGACY_VERSIONS


class LocalReplies:
    """The calls that a pool answers itself. `warm` is set once there is a catalog."""

    def __init__(self, settings: Settings, picker: Picker, outage: Outage, warm: asyncio.Event) -> None:
        self._settings = settings
        self._picker = picker
        self._outage = outage
        self._warm = warm

    def is_local(self, call: Call) -> bool:
        """Whether the call needs no endpoint."""
        request = call.request
        return call.era is MODERN and (
            (request.method == "server/discover" and not self._settings.passthrough)
            or self._settings.catalog.legacy
            or request.id is None
        )

    async def answer(self, call: Call, plan: Plan, reply: Reply, outcome: Outcome) -> bool:
        """Answer a call that `is_local`. False: only a server can, because it refuses the prober's checks."""
        if call.request.id is None:
            # The modern era has no notifications from clients over HTTP: dropped, as in the SDKs.
            outcome.status = "success"
            reply.whole(202, b"", b"")
        elif call.request.method == "server/discover":
            return await self._discover(call, plan, reply, outcome)
        else:
            _refuse_era(call, reply, outcome)
        return True

    async def _discover(self, call: Call, plan: Plan, reply: Reply, outcome: Outcome) -> bool:
        """Answer from the catalog, and never with an error while that is cold: an error makes SDK clients session
        clients for life. So the call is held, and then its connection is closed without an answer.

        If waiting cannot help (a wrong URL, a program that does not start), the client gets an error: it would find no
        session either. A call for servers that refuse the prober's checks goes to the servers: the client may have the
        missing credentials.
        """
        if not await self._has_catalog(call):
            if self._picker.unchecked:
                return False
            if self._outage.needs_mending:
                answer_fault(call, reply, self._outage.failure(), outcome)
                return True
            outcome.status = "error"
            outcome.failure = NoCatalog(self._outage.describe())
            reply.abort()
            return True
        discover = self._settings.catalog.discover
        if discover is None:
            _refuse_era(call, reply, outcome)
            return True
        outcome.status = "success"
        body = b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (call.request.id or b"null", discover)
        if plan.conceal is not None:
            body = plan.conceal(body)
        outcome.size = len(body)
        reply.whole(200, JSON_HEADERS, body)
        return True

    async def _has_catalog(self, call: Call) -> bool:
        """Whether there is a catalog, or will be one within the time for which a call is held."""
        since = call.received
        deadline = since + self._settings.spec.timeouts.request
        while self._settings.catalog.cold:
            now = monotonic()
            if self._outage.starting == inf:
                since = now  # a server has answered, and its catalog is still to be read
            until = hold_until(since, deadline, starting=max(STARTING_HOLD, self._outage.starting), hung=False)
            if now >= until or self._picker.unchecked:
                return False
            with suppress(TimeoutError):
                async with within(min(until - now, LOOK)):
                    await self._warm.wait()
        return True


def _refuse_era(call: Call, reply: Reply, outcome: Outcome) -> None:
    """Refuse a modern request at servers of the legacy era, with the error that such servers give themselves.

    Never -32022 (unsupported version): only modern servers send it, so a client that follows the specification would
    take the pool for modern and not fall back to `initialize`. The Rust SDK's client does so.
    """
    data = {"supported": sorted(LEGACY_VERSIONS), "requested": call.request.protocol_version or LATEST_MODERN}
    answer_refusal(call, reply, outcome, 400, INVALID_REQUEST, SERVERS_ARE_LEGACY, data)
