"""The plan of a call, decided once before its first attempt (design §4.1)."""

from __future__ import annotations

from collections.abc import Callable

from mcppool.pipeline.call import Call
from mcppool.pipeline.routing.pins import Pins, UnknownPin, gives_back
from mcppool.pipeline.settings import Settings
from mcppool.policy.cache_rules import Rule
from mcppool.policy.consecutive_failures import ClientKey
from mcppool.policy.principal import ANONYMOUS
from mcppool.policy.retry_after import Kind
from mcppool.policy.retry_class import SAFE, UNSAFE, RetryClass, class_of_method
from mcppool.spec import RetryPolicySpec
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.http.response import NEVER
from mcppool.wire.handshake import offer_handshake_version

Conceal = Callable[[bytes], bytes]
"""Removes from an answer everything that its client may not see. Raises AttemptFailed if that is not possible."""

MAX_SHOWN = 200  # characters of a tool's name in a message
UNANSWERED_TIMEOUT = 10.0
"""Seconds that a server may take to acknowledge a message without an answer."""


class Plan:
    """One call's class, deadline and policy.

    * `deadline`: the time by which the answer must have come, or its stream have begun.
    * `end`: the caller's own deadline, which also ends a running stream.
    * `tool`: set for `tools/call` only.
    * `unsafe`: the call needs a connection that is certainly open.
    * `pin`: the endpoint that issued the values in the request.
    * `picked`: the endpoint that the strategy has picked for the next attempt; None before it was asked.
    * `body`, `forward`: the body and the client's header lines in the form for servers.
    * `key`: the key for `consistent_hash`.
    * `kept`: the cache rule for its answer, None if it is not cached.
    * `call`: the call.
    * `refusal`: the reason why no server may have the call, None if there is none.
    * `conceal`: takes out of the answer what its client may not see; None if that is nothing.
    """

    __slots__ = (
        "body", "call", "conceal", "deadline", "end", "forward", "hedge_after", "kept", "key", "picked", "pin",
        "refusal", "retry", "retry_class", "tool", "unsafe",
    )  # fmt: skip

    def __init__(
        self, retry_class: RetryClass, deadline: float, tool: str | None, retry: RetryPolicySpec, body: bytes
    ) -> None:
        self.retry_class = retry_class
        self.retry = retry
        self.deadline = deadline
        self.end = NEVER
        self.hedge_after = retry.hedge_after if retry_class is SAFE else None
        self.tool = tool
        self.unsafe = retry_class is UNSAFE
        self.pin: Endpoint | None = None
        self.picked: Endpoint | None = None
        self.refusal: str | None = None
        self.key: bytes | None = None
        self.kept: Rule | None = None
        self.body = body
        self.forward = b""
        self.call: Call | None = None
        self.conceal: Conceal | None = None

    def with_message(self, body: bytes, forward: bytes) -> Plan:
        """The same plan for another body and other header lines."""
        plan = Plan(self.retry_class, self.deadline, self.tool, self.retry, body)
        plan.unsafe, plan.hedge_after, plan.end, plan.key = self.unsafe, self.hedge_after, self.end, self.key
        plan.pin, plan.refusal, plan.kept = self.pin, self.refusal, self.kept
        plan.call, plan.conceal = self.call, self.conceal
        plan.forward = forward
        return plan

    @property
    def principal(self) -> str:
        """The key of the call's principal."""
        return self.call.principal.key if self.call is not None else ANONYMOUS.key

    @property
    def client(self) -> ClientKey:
        """The client that the call's failures count against."""
        return self.call.client if self.call is not None else ClientKey(None, None)

    @property
    def kind(self) -> Kind:
        """Calls with the same key rest together after a `Retry-After`: the tool, or the method, and the principal."""
        call = self.call
        if call is None:
            return self.tool or "", ANONYMOUS.key
        return self.tool or call.request.method or "", call.principal.key


def make_plan(call: Call, settings: Settings, pins: Pins, conceal: Conceal | None = None) -> Plan:
    """Plan `call`. An unknown tool is unsafe (design §4.1)."""
    request = call.request
    method = request.method
    if method == "tools/call":
        tool = request.name or ""
        policy = settings.tools.of(tool)
        plan = Plan(policy.retry_class, call.received + (call.timeout or policy.timeout), tool, policy.retry, call.body)
        plan.kept = policy.kept
        pinned = settings.pinned_tools
        if pinned is not None and tool in pinned.withheld:
            plan.refusal = f"Tool {tool[:MAX_SHOWN]} is withheld: its definition is not the expected one (catalog.pin)"
    else:
        timeout = call.timeout or settings.spec.timeouts.request
        if call.verb == b"DELETE":  # its client leaves, and gets the confirmation whatever the server does
            timeout = min(timeout, settings.spec.health_check.timeout)
        elif request.id is None:
            timeout = min(timeout, UNANSWERED_TIMEOUT)
        deadline = call.received + timeout
        plan = Plan(class_of_method(method), deadline, None, settings.spec.retry_policy, call.body)
        plan.kept = settings.kept_methods.get(method or "")
        if method == "initialize":
            plan.body = offer_handshake_version(call.body)
    plan.call = call
    plan.forward = call.forward
    if call.timeout is not None:
        plan.end = plan.deadline
    plan.conceal = conceal
    # A cursor may name an item that the client must not see, so a session with shortened lists gets sealed ones, too.
    if (call.session is None or conceal is not None) and plan.refusal is None and gives_back(request):
        try:
            plan.pin, plan.body, plan.forward = pins.unpin(request, call.body, call.forward, call.principal.key)
            if plan.pin is not None:  # only the issuing endpoint knows the values
                plan.hedge_after = None
        except UnknownPin as unknown:
            plan.refusal = str(unknown)
    if settings.hash_key is not None:
        plan.key = settings.hash_key(call)
    return plan
