"""The permissions of one principal in a pool.

Deny rules win, and their order does not matter. If there is an allow rule, a request needs one. A grant remembers its
decision for a name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from mcppool.policy.access_names import Kind, Readings, fold, readings
from mcppool.policy.access_request import (
    ACTS_ON,
    ALLOWED,
    FOLDED,
    KNOWN,
    NOT_ALLOWED,
    PLUMBING,
    PRIMARY,
    REFUSED,
    TOOL_OVERRIDE,
    Decision,
    Request,
)  # fmt: skip
from mcppool.policy.access_rule import AccessRule
from mcppool.policy.principal import Principal

MAX_REMEMBERED: Final = 512
"""Upper bound on the stored decisions of a grant."""
MAX_REMEMBERED_NAME: Final = 256
"""Upper bound on the characters of a name with a stored decision."""


@dataclass(slots=True)
class Room:
    """Number of decisions that may still be stored."""

    left: int


class Grant:
    """The permissions of one principal."""

    __slots__ = (
        "_allow",
        "_deny",
        "_open",
        "_override_denies",
        "_remembered",
        "_room",
        "_steps",
        "by_arguments",
        "principal",
    )

    def __init__(
        self,
        principal: Principal,
        allow: list[AccessRule],
        deny: list[AccessRule],
        steps: list[AccessRule],
        override_denies: Callable[[Readings], bool] | None,
        room: Room,
        *,
        open: bool,
    ) -> None:
        self.principal = principal
        self.by_arguments = any(rule.looks_at_arguments for rule in (*allow, *deny))
        self._allow = allow
        self._deny = deny
        self._steps = steps
        self._override_denies = override_denies
        self._room = room
        self._open = open
        self._remembered: dict[tuple[str, Kind | None, str | None], Decision] = {}

    @property
    def everything(self) -> bool:
        """Whether this principal may do everything."""
        free = self._open or any(rule.unrestricted for rule in self._allow)
        return free and not self._deny and self._override_denies is None

    @property
    def remembered(self) -> int:
        """Number of stored decisions."""
        return len(self._remembered)

    def recall(self, method: str, name: str | None) -> Decision | None:
        """The stored decision about a request with this `method`, which acts on an object; None if there is none."""
        return self._remembered.get((method, ACTS_ON[method], name))

    def decide(self, request: Request) -> Decision:
        """Whether the request is allowed."""
        if self.by_arguments:
            return self._decide(request)
        key = request[:3]
        decision = self._remembered.get(key)
        if decision is None:
            decision = self._decide(request)
            if len(request.name or "") <= MAX_REMEMBERED_NAME and len(self._remembered) < min(
                MAX_REMEMBERED, len(self._remembered) + self._room.left
            ):
                self._room.left -= 1
                self._remembered[key] = decision
        return decision

    def may_see(self, kind: Kind, name: str) -> bool:
        """Whether a list shows the object: some call of it is allowed."""
        method = PRIMARY[kind]
        if not self.by_arguments:
            return self.decide(Request(method, kind, name)).allowed
        named = readings(kind, name)
        request = Request(method, kind, name)
        if self._denying(request, named, [rule for rule in self._deny if not rule.looks_at_arguments]) is not None:
            return False
        return self._open or any(rule.allows_some(request, named) for rule in self._allow)

    def may_use_any(self, kind: Kind, names: Iterable[str] | None) -> bool:
        """Whether the principal may use an object of this kind: of `names`, if the existing ones are known."""
        if names is not None:
            return any(self.may_see(kind, name) for name in names)
        return self._open or any(rule.concerns_kind(kind) for rule in self._allow)

    def _decide(self, request: Request) -> Decision:
        method = request.method
        name = readings(request.kind, request.name)
        if method not in KNOWN and fold(method) in FOLDED and not self.everything:
            return REFUSED  # a lenient server takes it for a method that rules know
        denying = self._denying(request, name, self._deny)
        if denying is not None:
            return Decision(False, denying)
        if self._open:
            return ALLOWED
        plumbing = request.kind is None and method in PLUMBING
        for rule in self._allow:
            if plumbing or rule.allows(request, name):
                return Decision(True, rule.name)
        return self._refused(request, name, plumbing=plumbing)

    def _denying(self, request: Request, name: Readings, rules: list[AccessRule]) -> str | None:
        """The name of the deny rule that concerns the request."""
        if self._override_denies is not None and request.kind == "tool" and self._override_denies(name):
            return TOOL_OVERRIDE
        return next((rule.name for rule in rules if rule.denies(request, name)), None)

    def _refused(self, request: Request, name: Readings, *, plumbing: bool) -> Decision:
        """No allow rule allows the request: would one, if the token had more scopes?"""
        if self.principal.method not in ("jwt", "introspection"):
            return REFUSED
        held = self.principal.scopes
        missing = [tuple(sorted(rule.scopes - held)) for rule in self._steps if plumbing or rule.allows(request, name)]
        return (
            Decision(False, NOT_ALLOWED, min(missing, key=lambda scopes: (len(scopes), scopes))) if missing else REFUSED
        )
