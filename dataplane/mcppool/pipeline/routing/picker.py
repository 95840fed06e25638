"""Chooses the endpoint of a call's next attempt."""

from __future__ import annotations

import random
from typing import Final

from mcppool.pipeline.endpoints import Endpoints
from mcppool.pipeline.plan import Plan
from mcppool.pipeline.routing.breakers import Breakers
from mcppool.pipeline.routing.outage import Outage
from mcppool.pipeline.routing.trials import Trials
from mcppool.pipeline.settings import Settings
from mcppool.policy.balancing import make_strategy
from mcppool.policy.endpoint_health import EndpointState
from mcppool.policy.panic import in_panic
from mcppool.policy.priority import attentive, preferred
from mcppool.policy.retry_after import Kind, RetryAfterTable
from mcppool.upstream.endpoint import Endpoint

PROBATION: Final = EndpointState.PROBATION  # a constant, because each call compares with it
TRIAL_PATIENCE = 5.0  # seconds that a probation waits for a repeatable call


class Picker:
    """Picks endpoints for one pool.

    `candidates` is the immutable tuple of endpoints that balancing chooses from; it is replaced whenever an endpoint's
    availability changes, so the cost of a pick does not grow with the pool. `spare` are the other available endpoints:
    of another priority, in other zones, of weight 0; a call goes there when it has tried all candidates. `panic`: so
    few endpoints are available that all reachable ones are candidates. `zone` is that of this process.
    """

    def __init__(
        self,
        settings: Settings,
        endpoints: Endpoints,
        breakers: Breakers,
        trials: Trials,
        rests: RetryAfterTable[Endpoint],
        outage: Outage,
        rng: random.Random,
        zone: str | None,
    ) -> None:
        self._settings = settings
        self._endpoints = endpoints
        self._breakers = breakers
        self._trials = trials
        self._rests = rests
        self._outage = outage
        self._rng = rng
        self._strategy_name = settings.spec.load_balancer.strategy
        self._strategy = make_strategy(self._strategy_name, rng)
        # Spreads the calls whose pick is full. The strategy itself would give them all to the next one in turn.
        self._overflow = make_strategy(self._strategy_name, rng)
        self.zone = zone
        self.candidates: tuple[Endpoint, ...] = ()
        self.spare: tuple[Endpoint, ...] = ()
        self.panic = False
        self._probation = endpoints.probation

    def configure(self) -> None:
        """Apply changed settings; call `renew` afterwards."""
        name = self._settings.spec.load_balancer.strategy
        if name != self._strategy_name:
            self._strategy_name = name
            self._strategy = make_strategy(name, self._rng)
            self._overflow = make_strategy(name, self._rng)

    def renew(self) -> None:
        """The preferred endpoints among the available ones; in panic, among all reachable ones."""
        balancer = self._settings.spec.load_balancer
        endpoints = [e for e in self._endpoints.values() if not e.draining]
        available = [e for e in endpoints if e.available]
        self.panic = in_panic(len(available), len(endpoints), balancer.panic_threshold_percent)
        if self.panic:
            available = [e for e in endpoints if e.health.state.reachable]
        available = available or self._last_resort(endpoints)
        zone = self.zone if balancer.zone_preference == "prefer_local" else None
        self.candidates = preferred(attentive(available), endpoints, zone)
        chosen = set(self.candidates)
        self.spare = tuple(e for e in available if e not in chosen)

    @property
    def everyone(self) -> tuple[Endpoint, ...]:
        """All endpoints that a call may go to."""
        return (*self.candidates, *self.spare)

    def _last_resort(self, endpoints: list[Endpoint]) -> list[Endpoint]:
        """The endpoints of last resort: new ones without a check yet, or else leaving ones that still answer. (Local
        servers report their own start.)"""
        joining = [e for e in endpoints if e.health.state is EndpointState.JOINING and not self._settings.spec.command]
        joining += [e for e in endpoints if e.health.refuses_checks is not None and e.health.state.reachable]
        return joining or [e for e in self._endpoints.values() if e.health.state is EndpointState.DRAINING]

    def endpoint_for(self, plan: Plan, tried: tuple[Endpoint, ...], now: float) -> Endpoint:
        """The endpoint of the next attempt of a call without a session.

        Raises NoEndpoint if none is left besides `tried`, CircuitOpen if the tool's breakers admit the call nowhere.
        """
        candidates = self.candidates
        if tried:
            candidates = self.others(tried, plan.kind, now) or self.others(tried)
        elif plan.pin is not None and not plan.pin.lost:
            return self._breakers.admit(plan, plan.pin, (plan.pin,), now, self.pick)
        elif self._probation and self._may_try(plan, self._probation[0], now):
            return self._probation.popleft()
        elif self._rests.used:
            candidates = self.others((), plan.kind, now) or candidates
        if not candidates:
            raise self._outage.failure()
        picked, plan.picked = plan.picked, None
        if picked is None or picked not in candidates:
            picked = self._strategy.pick(candidates, now, plan.key)
        if self._settings.spec.limits.endpoint is not None and picked.active >= picked.places:
            candidates = tuple(e for e in candidates if e.active < e.places) or candidates
            picked = self._overflow.pick(candidates, now, plan.key)
        return self._breakers.admit(plan, picked, candidates, now, self.pick) if picked.breakers else picked

    def plain(self, plan: Plan, now: float) -> Endpoint | None:
        """The endpoint of the first attempt of a call without a session, if the strategy alone decides; otherwise None,
        and nothing has happened."""
        candidates = self.candidates
        if not candidates or plan.pin is not None or self._probation or self._rests.used:
            return None
        return self._strategy.pick(candidates, now, plan.key)

    def tries(self, plan: Plan, endpoint: Endpoint) -> bool:
        """Whether a breaker at the endpoint is open for the call, or the call would be its trial."""
        return self._breakers.concern(plan, endpoint)

    def admit(self, plan: Plan, endpoint: Endpoint, now: float) -> Endpoint:
        """A given endpoint, if the breakers admit the call. Raises CircuitOpen."""
        return self._breakers.admit(plan, endpoint, (endpoint,), now, self.pick) if endpoint.breakers else endpoint

    def _may_try(self, plan: Plan, endpoint: Endpoint, now: float) -> bool:
        """Whether this call may be the trial of an endpoint on probation: a repeatable one, if any comes, while no
        other process makes the trial."""
        if self._rests.until(plan.kind, endpoint, now) > now:
            return False
        since = endpoint.health.outlier.ejected_until or now
        if plan.unsafe and self.candidates and now - since <= TRIAL_PATIENCE:
            return False
        return self._trials.begin(endpoint)

    def pick(self, candidates: tuple[Endpoint, ...], now: float, key: bytes | None = None) -> Endpoint:
        """One of `candidates`, by the pool's strategy."""
        return self._strategy.pick(candidates, now, key)

    def others(self, tried: tuple[Endpoint, ...], kind: Kind | None = None, now: float = 0.0) -> tuple[Endpoint, ...]:
        """The endpoints for a call besides `tried`: the remaining candidates, or else the spare ones; without those
        that rest from calls of this `kind`."""
        rests = self._rests
        for group in (self.candidates, self.spare):
            left = tuple(e for e in group if e not in tried)
            if kind is not None and rests.used:
                left = tuple(e for e in left if rests.until(kind, e, now) <= now)
            if left:
                return left
        return ()

    @property
    def unchecked(self) -> bool:
        """Whether calls go to endpoints that refuse the gateway's checks, so that their lists are unknown."""
        return any(e.health.refuses_checks is not None for e in self.candidates)

    def attempt_over(self, endpoint: Endpoint, plan: Plan) -> None:
        """A trial of an endpoint on probation, or of a breaker, may have ended without a verdict: then another call
        becomes the trial."""
        if endpoint.breakers:
            self._breakers.abandoned(plan, endpoint)
        if endpoint.health.state is PROBATION:
            endpoint.health.trial_over()
        if self._trials.held and not endpoint.active:
            self._trials.end(endpoint)
