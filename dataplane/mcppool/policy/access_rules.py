"""Access rules: may this principal make this request?

The rules of a pool are compiled once. For each principal they give a `Grant`: the rules whose conditions on the client
the principal meets. A grant decides on requests.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Final

from mcppool.policy.access_grant import Grant, Room
from mcppool.policy.access_names import Readings, fold
from mcppool.policy.access_rule import AccessRule
from mcppool.policy.principal import Principal
from mcppool.spec.sections.access import AccessSpec
from mcppool.spec.sections.tools import ToolSpec

MAX_GRANTS: Final = 1024
"""Upper bound on the principals with stored grants."""
MAX_REMEMBERED_IN_ALL: Final = 32 * 1024
"""Upper bound on the stored decisions of all grants."""


def has_rules(spec: AccessSpec, tools: Mapping[str, ToolSpec]) -> bool:
    """Whether there is any rule that could refuse a request."""
    return bool(spec.allow or spec.deny or any(tool.access == "deny" for tool in tools.values()))


class AccessRules:
    """The rules of one pool. `version` identifies them in the audit log."""

    def __init__(self, spec: AccessSpec, tools: Mapping[str, ToolSpec]) -> None:
        self.spec = spec
        self._allow = [AccessRule(rule) for rule in spec.allow]
        self._deny = [AccessRule(rule) for rule in spec.deny]
        self._exact: dict[str, str] = {key: tool.access for key, tool in tools.items()}
        self._lenient = {fold(key): access for key, access in self._exact.items()}
        self._lenient |= {fold(key): access for key, access in self._exact.items() if access == "deny"}
        self._overridden = "deny" in self._exact.values()
        self._grants: dict[tuple[str, str], Grant] = {}
        self._room = Room(MAX_REMEMBERED_IN_ALL)
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


def _same(one: Principal, other: Principal) -> bool:
    return one == other and one.claims == other.claims


def _most_specific(overrides: Mapping[str, str], name: str) -> str:
    exact = overrides.get(name)
    if exact is not None:
        return exact
    prefixes = [key for key in overrides if key.endswith("*") and name.startswith(key[:-1])]
    return overrides[max(prefixes, key=len)] if prefixes else "allow"
