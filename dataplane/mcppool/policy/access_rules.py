"""Access rules: may this principal make this request?

The rules of a pool are compiled once. For each principal they give a `Grant`: the rules whose conditions on the client
the principal meets. A grant decides on requests, and remembers its decision for a name. Deny rules win, and their order
does not matter. If there is an allow rule, a request needs one.

A request acts on a tool, a prompt or a resource, or on nothing. Requests that only carry a conversation (`PLUMBING`)
and act on nothing are allowed to every client that some allow rule concerns.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from mcppool.policy.access_names import Glob, Kind, NamePatterns, Readings, fold, readings
from mcppool.policy.principal import Principal
from mcppool.spec.sections.access import AccessRuleSpec, AccessSpec
from mcppool.spec.sections.tools import ToolSpec

NOT_ALLOWED: Final = "not_allowed"
"""Stands for a rule's name: no allow rule allows the request."""
TOOL_OVERRIDE: Final = "tools.access"
"""Stands for a rule's name: `tools."…".access` denies the tool."""

ACTS_ON: Final[dict[str, Kind]] = {
    "tools/call": "tool",
    "prompts/get": "prompt",
    "resources/read": "resource",
    "resources/subscribe": "resource",
    "resources/unsubscribe": "resource",
}
"""Method → the kind of object in its `params.name` or `params.uri`."""

PRIMARY: Final[dict[Kind, str]] = {"tool": "tools/call", "prompt": "prompts/get", "resource": "resources/read"}
"""Kind → the method that uses the listed objects of this kind."""

COMPLETION: Final = "completion/complete"
SUBSCRIPTION: Final = "subscriptions/listen"

PLUMBING: Final = frozenset(
    {
        "initialize", "ping", "server/discover", "logging/setLevel", "tools/list", "prompts/list", "resources/list",
        "resources/templates/list", "tasks/get", "tasks/result", "tasks/cancel", "tasks/update", SUBSCRIPTION,
        "notifications/initialized", "notifications/cancelled", "notifications/progress",
        "notifications/roots/list_changed", "GET", "DELETE", "response",
    }
)  # fmt: skip
"""Methods that act on no object of the rules. Lists and subscriptions show a client only objects that it may use, and a
task belongs to the client that began it. `tasks/list` is not here: many servers list the tasks of all their clients."""

_KNOWN: Final = frozenset(PLUMBING | ACTS_ON.keys() | {COMPLETION, "tasks/list"})
_FOLDED: Final = frozenset(map(fold, _KNOWN))

MAX_GRANTS: Final = 1024
"""Upper bound on the principals with stored grants."""
MAX_REMEMBERED: Final = 512
"""Upper bound on the stored decisions of a grant."""
MAX_REMEMBERED_IN_ALL: Final = 32 * 1024
"""Upper bound on the stored decisions of all grants."""
MAX_REMEMBERED_NAME: Final = 256
"""Upper bound on the characters of a name with a stored decision."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a request is allowed. `rule` is the name of the deciding rule: the deny rule, or one allow rule; if no
    rule concerns the request, it is empty, or `NOT_ALLOWED`. `missing` are the additional scopes that a token would
    need, if more scopes would be enough."""

    allowed: bool
    rule: str = ""
    missing: tuple[str, ...] = ()


ALLOWED: Final = Decision(True)
_REFUSED: Final = Decision(False, NOT_ALLOWED)


class Request(NamedTuple):
    """The facts about a request that rules use. `kind` and `name` are those of the object that it acts on. `arguments`
    are the names of its arguments; None if they are unknown."""

    method: str
    kind: Kind | None = None
    name: str | None = None
    arguments: Collection[str] | None = ()


class _Rule:
    """One compiled rule."""

    __slots__ = ("_claims", "_groups", "_methods", "_methods_but", "_names", "_spec", "_things", "name", "scopes")

    def __init__(self, spec: AccessRuleSpec) -> None:
        self._spec = spec
        self.name = spec.name
        self.scopes = frozenset(spec.scopes)
        self._groups = [Glob(pattern) for pattern in spec.groups]
        self._names = [Glob(pattern) for pattern in spec.names]
        self._claims = {claim: [Glob(value) for value in values] for claim, values in spec.claims.items()}
        self._methods = [Glob(m) for m in spec.methods if not m.startswith("!")]
        self._methods_but = [Glob(m[1:]) for m in spec.methods if m.startswith("!")]
        patterns: dict[Kind, tuple[str, ...]] = {
            "tool": spec.tools, "prompt": spec.prompts, "resource": spec.resources,
        }  # fmt: skip
        self._things = {kind: NamePatterns(kind, names) for kind, names in patterns.items() if names}

    def concerns_but_for_scopes(self, principal: Principal) -> bool:
        """Whether the client meets every condition except that on its scopes."""
        if self._groups and not any(glob.fits(group) for glob in self._groups for group in principal.groups):
            return False
        if self._names and not (principal.name and any(glob.fits(principal.name) for glob in self._names)):
            return False
        return all(
            any(glob.fits(text) for glob in allowed for text in claim_values(principal.claims, claim))
            for claim, allowed in self._claims.items()
        )

    @property
    def looks_at_arguments(self) -> bool:
        """Whether the rule has a condition on arguments."""
        return bool(self._spec.with_arguments or self._spec.without_arguments)

    @property
    def unrestricted(self) -> bool:
        """Whether the rule concerns every request of its clients."""
        return not self._things and not self._spec.methods and not self.looks_at_arguments

    def concerns_kind(self, kind: Kind) -> bool:
        """Whether the rule may concern objects of this kind."""
        return not self._things or kind in self._things

    def allows(self, request: Request, name: Readings) -> bool:
        """As an allow rule: whether it surely concerns the request."""
        return self.allows_some(request, name) and self._allows_arguments(request.arguments)

    def allows_some(self, request: Request, name: Readings) -> bool:
        """The same for some other arguments."""
        if not self._concerns_method(request.method):
            return False
        if not self._things:
            return True
        patterns = self._things.get(request.kind) if request.kind is not None else None
        return patterns is not None and patterns.certainly(name)

    def denies(self, request: Request, name: Readings) -> bool:
        """As a deny rule: whether it may concern the request."""
        if not self._concerns_method(request.method):
            return False
        if self._things:
            patterns = self._things.get(request.kind) if request.kind is not None else None
            if patterns is None or not patterns.possibly(name):
                return False
        return self._denies_arguments(request.arguments)

    def _allows_arguments(self, arguments: Collection[str] | None) -> bool:
        if not self.looks_at_arguments:
            return True
        if arguments is None:
            return False
        having, lacking = self._spec.with_arguments, self._spec.without_arguments
        folded = {fold(argument) for argument in arguments} if lacking else set()
        return (not having or any(argument in arguments for argument in having)) and not any(
            fold(argument) in folded for argument in lacking
        )

    def _denies_arguments(self, arguments: Collection[str] | None) -> bool:
        if not self.looks_at_arguments or arguments is None:
            return True
        having, lacking = self._spec.with_arguments, self._spec.without_arguments
        folded = {fold(argument) for argument in arguments} if having else set()
        return (not having or any(fold(argument) in folded for argument in having)) and not any(
            argument in arguments for argument in lacking
        )

    def _concerns_method(self, method: str) -> bool:
        if self._methods and not any(glob.fits(method) for glob in self._methods):
            return False
        return not any(glob.fits(method) for glob in self._methods_but)


def has_rules(spec: AccessSpec, tools: Mapping[str, ToolSpec]) -> bool:
    """Whether there is any rule that could refuse a request."""
    return bool(spec.allow or spec.deny or any(tool.access == "deny" for tool in tools.values()))


class AccessRules:
    """The rules of one pool. `version` identifies them in the audit log."""

    def __init__(self, spec: AccessSpec, tools: Mapping[str, ToolSpec]) -> None:
        self.spec = spec
        self._allow = [_Rule(rule) for rule in spec.allow]
        self._deny = [_Rule(rule) for rule in spec.deny]
        self._exact: dict[str, str] = {key: tool.access for key, tool in tools.items()}
        self._lenient = {fold(key): access for key, access in self._exact.items()}
        self._lenient |= {fold(key): access for key, access in self._exact.items() if access == "deny"}
        self._overridden = "deny" in self._exact.values()
        self._grants: dict[tuple[str, str], Grant] = {}
        self._room = _Room(MAX_REMEMBERED_IN_ALL)
        written = json.dumps([spec.written(), self._exact], sort_keys=True).encode()
        self.version = hashlib.sha256(written).hexdigest()[:12]

    @property
    def remembered(self) -> int:
        """Number of principals with stored grants."""
        return len(self._grants)

    def grant(self, principal: Principal) -> Grant:
        """The grant of `principal`; stored."""
        key = principal.key, principal.token_hash
        grant = self._grants.get(key)
        if grant is None or not (grant.principal is principal or _same(grant.principal, principal)):
            self._forget(key)
            if len(self._grants) >= MAX_GRANTS:
                self._forget(next(iter(self._grants)))
            grant = self._grants[key] = self._make(principal)
        return grant

    def _forget(self, key: tuple[str, str]) -> None:
        gone = self._grants.pop(key, None)
        if gone is not None:
            self._room.left += gone.remembered

    def _make(self, principal: Principal) -> Grant:
        allow = [rule for rule in self._allow if rule.concerns_but_for_scopes(principal)]
        deny = [rule for rule in self._deny if rule.concerns_but_for_scopes(principal)]
        return Grant(
            principal,
            [rule for rule in allow if rule.scopes <= principal.scopes],
            [rule for rule in deny if rule.scopes <= principal.scopes],
            [rule for rule in allow if not rule.scopes <= principal.scopes],
            self._override_denies if self._overridden else None,
            self._room,
            open=not self._allow,
        )

    def _override_denies(self, name: Readings) -> bool:
        """Whether `tools."…".access` denies the tool, under one of its readings: of several matching keys, the most
        specific one counts."""
        if name.exact is None or name.ambiguous:
            return True
        return "deny" in (_most_specific(self._exact, name.exact), _most_specific(self._lenient, name.lenient))


@dataclass(slots=True)
class _Room:
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
        allow: list[_Rule],
        deny: list[_Rule],
        steps: list[_Rule],
        override_denies: Callable[[Readings], bool] | None,
        room: _Room,
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
        if method not in _KNOWN and fold(method) in _FOLDED and not self.everything:
            return _REFUSED  # a lenient server takes it for a method that rules know
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

    def _denying(self, request: Request, name: Readings, rules: list[_Rule]) -> str | None:
        """The name of the deny rule that concerns the request."""
        if self._override_denies is not None and request.kind == "tool" and self._override_denies(name):
            return TOOL_OVERRIDE
        return next((rule.name for rule in rules if rule.denies(request, name)), None)

    def _refused(self, request: Request, name: Readings, *, plumbing: bool) -> Decision:
        """No allow rule allows the request: would one, if the token had more scopes?"""
        if self.principal.method not in ("jwt", "introspection"):
            return _REFUSED
        held = self.principal.scopes
        missing = [tuple(sorted(rule.scopes - held)) for rule in self._steps if plumbing or rule.allows(request, name)]
        return (
            Decision(False, NOT_ALLOWED, min(missing, key=lambda scopes: (len(scopes), scopes)))
            if missing
            else _REFUSED
        )


def claim_values(claims: Any, path: str) -> list[str]:
    """The values of a claim as texts: one, or those of a list. A claim of exactly this name wins over a path with
    dots."""
    value: Any = None
    if path in claims:
        value = claims[path]
    elif "." in path:
        value = claims
        for part in path.split("."):
            value = value.get(part) if hasattr(value, "get") else None
    items = value if isinstance(value, (list, tuple)) else [value]
    return [text for item in items if (text := _text(item)) is not None]


def _text(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (str, int)) else None


def _same(one: Principal, other: Principal) -> bool:
    return one == other and one.claims == other.claims


def _most_specific(overrides: Mapping[str, str], name: str) -> str:
    exact = overrides.get(name)
    if exact is not None:
        return exact
    prefixes = [key for key in overrides if key.endswith("*") and name.startswith(key[:-1])]
    return overrides[max(prefixes, key=len)] if prefixes else "allow"
