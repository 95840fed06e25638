"""`rate_limit`: each call takes a token of its client, of its tool and of the pool.

Redis may keep the buckets for all gateways; while Redis is away each gateway counts for itself. The processes of one
gateway share them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Final, Protocol

from mcppool.pipeline.call import Call
from mcppool.pipeline.plan import Plan
from mcppool.pipeline.settings import Settings
from mcppool.policy.token_bucket import RateBucket, RateLimit, take_from_all
from mcppool.spec import RateSpec
from mcppool.upstream.failures import RateLimited

APART: Final = "\0unanswered"
"""Marks the buckets of messages that are not calls."""
MAX_BUCKETS: Final = 100_000
"""Upper bound on the buckets of one rate; a full bucket carries no information."""
MAX_KNOWN: Final = 1024
"""Upper bound on the clients and tools whose buckets are remembered together."""
MAX_KNOWN_NAME: Final = 256
"""Upper bound on the characters of the name of such a tool."""


class RateCounter(Protocol):
    """Buckets that several processes share."""

    async def take(self, limits: Sequence[RateLimit]) -> tuple[RateLimit | None, float] | None:
        """Take one token for each limit. Returns the limit without a token and the seconds until it has one; None and 0
        if all had one. None if the buckets cannot be reached."""
        ...

    def try_take(self, limits: Sequence[RateLimit]) -> bool:
        """Take one token for each limit if nobody has to be asked for them; otherwise take none and return False."""
        ...


class _Rate:
    """One rate of a pool. `name_of` gives the name of a call's bucket, None for a call that it does not concern."""

    __slots__ = ("_buckets", "_burst", "_kind", "_per_second", "name_of")

    def __init__(self, kind: str, spec: RateSpec, name_of: Callable[[Call, Plan], str | None]) -> None:
        self._kind = kind
        self._per_second = spec.requests_per_second
        self._burst = float(spec.burst if spec.burst is not None else spec.requests_per_second)
        self.name_of = name_of
        self._buckets: OrderedDict[str, RateBucket] = OrderedDict()

    @property
    def full(self) -> bool:
        """Whether the next new bucket takes the place of the one that was not used for the longest time."""
        return len(self._buckets) >= MAX_BUCKETS

    def used(self, bucket: RateBucket) -> None:
        """One of its buckets was used without `bucket`."""
        if bucket.limit.kind == self._kind and bucket.limit.name in self._buckets:
            self._buckets.move_to_end(bucket.limit.name)

    def bucket(self, name: str, now: float) -> RateBucket:
        buckets = self._buckets
        bucket = buckets.get(name)
        if bucket is not None:
            buckets.move_to_end(name)
            return bucket
        bucket = buckets[name] = RateBucket(RateLimit(self._kind, name, self._per_second, self._burst), now)
        if len(buckets) > MAX_BUCKETS:
            buckets.popitem(last=False)
        return bucket


class Rates:
    """The rates of one pool. `shared` has the buckets that several processes share, None if this process counts
    alone."""

    def __init__(self, settings: Settings, shared: RateCounter | None) -> None:
        self._settings = settings
        self._shared = shared
        spec = settings.spec.rate_limit
        sections = (
            ("principal", spec.principal, client_of),
            ("tool", spec.tool, self._known_tool),
            ("pool", spec.pool, lambda _call, _plan: ""),
        )
        self._rates = tuple(_Rate(kind, rate, name_of) for kind, rate, name_of in sections if rate is not None)
        # The buckets of a call by its principal, address and tool: three look-ups less for each call.
        self._known: dict[tuple[str, str, str | None], tuple[RateBucket, ...]] = {}
        self._catalog = settings.catalog  # that these are from

    async def take(self, call: Call, plan: Plan, *, apart: bool = False) -> None:
        """Take a token from each rate that concerns the call. Raises RateLimited; then none was taken.

        `apart`: it is no call, and has buckets of its own.
        """
        if not self._rates:
            return
        now = monotonic()
        buckets = self._buckets(call, plan, now, APART if apart else "")
        if self._shared is not None and buckets:
            answer = await self._shared.take([bucket.limit for bucket in buckets])
            if answer is not None:
                short, wait = answer
                if short is not None:
                    raise _limited(short, wait)
                return
            now = monotonic()
        refused = take_from_all(buckets, now)
        if refused is not None:
            raise _limited(*refused)

    def try_take(self, call: Call, plan: Plan) -> bool:
        """The same, if nobody has to be asked: otherwise, or if a token is missing, none is taken, and it returns
        False."""
        if not self._rates:
            return True
        now = monotonic()
        if self._catalog is not self._settings.catalog:
            self._forget()
        buckets = self._known.get((call.principal.key, call.address, plan.tool))
        if buckets is None:
            buckets = self._look_up(call, plan, now)
        if self._shared is not None:
            return not buckets or self._shared.try_take([bucket.limit for bucket in buckets])
        return take_from_all(buckets, now) is None

    def _look_up(self, call: Call, plan: Plan, now: float) -> tuple[RateBucket, ...]:
        """The buckets of a call, which are remembered."""
        buckets = tuple(self._buckets(call, plan, now))
        if len(plan.tool or "") <= MAX_KNOWN_NAME:
            if len(self._known) >= MAX_KNOWN:
                self._forget()
            self._known[call.principal.key, call.address, plan.tool] = buckets
        return buckets

    def _forget(self) -> None:
        """Forget which buckets belong to which calls. Until now their use was not noted."""
        known = {bucket for buckets in self._known.values() for bucket in buckets}
        for bucket in sorted(known, key=lambda bucket: bucket.used_at):
            for rate in self._rates:
                rate.used(bucket)
        self._known.clear()
        self._catalog = self._settings.catalog

    def _buckets(self, call: Call, plan: Plan, now: float, suffix: str = "") -> list[RateBucket]:
        if any(rate.full for rate in self._rates):  # no bucket that is known may give way to another
            self._forget()
        return [
            rate.bucket(name + suffix, now) for rate in self._rates if (name := rate.name_of(call, plan)) is not None
        ]

    def _known_tool(self, _call: Call, plan: Plan) -> str | None:
        """The tool of a call, if it is in the catalog."""
        return plan.tool if plan.tool in self._settings.catalog.tools else None


def client_of(call: Call, _plan: Plan) -> str:
    """The client whose rate counts: its principal, or the address of a client without a credential. All calls of the
    library without a credential are those of one client."""
    principal = call.principal
    return call.address if principal.anonymous and call.address else principal.key


def _limited(limit: RateLimit, wait: float) -> RateLimited:
    return RateLimited(f"rate_limit.{limit.kind}: {limit.rate:g} calls a second", retry_after=wait)
