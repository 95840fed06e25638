"""One access rule: which clients and which requests it concerns."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from mcppool.policy.access_names import Glob, Kind, NamePatterns, Readings, fold
from mcppool.policy.access_request import Request
from mcppool.policy.principal import Principal
from mcppool.spec.sections.access import AccessRuleSpec


class AccessRule:
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
