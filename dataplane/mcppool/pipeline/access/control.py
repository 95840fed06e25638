"""The step of a call that applies the pool's access rules, before all other steps."""

from __future__ import annotations

from functools import partial

from mcppool.observe.limited_log import LimitedLog
from mcppool.observe.metrics import PoolMetrics
from mcppool.pipeline.access.refusal import Challenge, answer_denied
from mcppool.pipeline.access.requests import requests_of
from mcppool.pipeline.call import Call, Reply
from mcppool.pipeline.outcome import Outcome
from mcppool.pipeline.plan import Conceal
from mcppool.pipeline.settings import Settings
from mcppool.policy.access_grant import Grant
from mcppool.policy.access_request import ACTS_ON, Decision, Request
from mcppool.policy.access_rules import AccessRules
from mcppool.policy.principal import Principal
from mcppool.upstream.failures import BadAnswer
from mcppool.wire.errors import BadEnvelope
from mcppool.wire.visible import LISTS, OFFERS, visible_list, visible_offer

MAX_LOGGED = 200
"""Upper bound on the characters of a name in a log line."""


class AccessControl:
    """Refuses the calls of one pool that its rules do not allow. `challenge` makes the header that asks for
    scopes; None if the pool has no tokens."""

    def __init__(self, settings: Settings, metrics: PoolMetrics, log: LimitedLog) -> None:
        self._settings = settings
        self._metrics = metrics
        self._log = log
        self.challenge: Challenge | None = None

    def admits(self, rules: AccessRules, call: Call, reply: Reply, outcome: Outcome) -> bool:
        """Whether the call may go on; otherwise it is answered."""
        request, decision = self.decide(rules, call)
        outcome.decision = decision
        if decision.allowed:
            return True
        enforced = rules.spec.mode == "enforce"
        self._metrics.deny(decision.rule, rules.spec.mode)
        self._log.event(
            "access_denied" if enforced else "access_would_be_denied",
            rule=decision.rule,
            principal=call.principal.name or call.principal.subject or call.principal.client_id or call.principal.key,
            method=request.method[:MAX_LOGGED],
            name=(request.name or "")[:MAX_LOGGED] or None,
            missing_scopes=list(decision.missing) or None,
        )
        if enforced:
            answer_denied(call, reply, outcome, request, decision, rules.spec.denied, self.challenge)
        return not enforced

    def still_allows(self, call: Call, principal: Principal) -> bool:
        """Whether the rules in force allow a call that has begun, for the client's present `principal`."""
        rules = self._settings.access
        if rules is None or rules.spec.mode != "enforce":
            return True
        return self._decide(rules.grant(principal), call)[1].allowed

    def admits_at_once(self, rules: AccessRules, call: Call, outcome: Outcome) -> bool:
        """Whether the call may go on, with its answer as it is. Nothing is answered or counted."""
        method = call.request.method
        if method in ACTS_ON:  # the answer is no list
            decision = rules.grant(call.principal).recall(method, call.request.name) or self.decide(rules, call)[1]
            outcome.decision = decision
            return decision.allowed
        outcome.decision = decision = self.decide(rules, call)[1]
        return decision.allowed and self.conceal(rules, call) is None

    def decide(self, rules: AccessRules, call: Call) -> tuple[Request, Decision]:
        """The deciding request of the call, and the decision of the rules."""
        return self._decide(rules.grant(call.principal), call)

    def _decide(self, grant: Grant, call: Call) -> tuple[Request, Decision]:
        first, *others = requests_of(call, arguments=grant.by_arguments)
        decision = grant.decide(first)
        for request in others if decision.allowed else ():
            other = grant.decide(request)
            if not other.allowed:
                return request, other
        return first, decision

    def conceal(self, rules: AccessRules, call: Call) -> Conceal | None:
        """A function that removes from the answer everything that the client may not use; None if nothing is to be
        removed."""
        method = call.request.method
        if method is None or (method not in LISTS and method not in OFFERS):
            return None
        grant = rules.grant(call.principal)
        if rules.spec.mode != "enforce" or grant.everything:
            return None
        return partial(
            _readably, partial(self._shorten, method, grant) if method in LISTS else partial(self._narrow, grant)
        )

    def _shorten(self, method: str, grant: Grant, body: bytes) -> bytes:
        return visible_list(body, method, grant.may_see)

    def _narrow(self, grant: Grant, body: bytes) -> bytes:
        tools = self._settings.catalog.tools
        hidden = [name for name in tools if not grant.may_see("tool", name)]
        return visible_offer(
            body, lambda kind: grant.may_use_any(kind, tools if kind == "tool" and tools else None), hidden
        )


def _readably(change: Conceal, body: bytes) -> bytes:
    try:
        return change(body)
    except BadEnvelope as error:
        raise BadAnswer(f"a list that cannot be shortened: {error.message}") from error
