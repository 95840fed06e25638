"""The policy for calls of one tool: the pool's settings, the matching overrides, the annotations of the catalog."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mcppool.pipeline.catalog import PoolCatalog
from mcppool.policy.cache_rules import Rule, tool_rule
from mcppool.policy.retry_class import RetryClass, class_of_tool
from mcppool.spec import PoolSpec, RetryPolicySpec, ToolSpec


@dataclass(frozen=True, slots=True)
class ToolPolicy:
    """Resolved once per tool: `timeout` is for the whole call, in seconds; `kept` is the rule for caching its results,
    if any."""

    retry_class: RetryClass
    timeout: float
    retry: RetryPolicySpec
    kept: Rule | None = None


class ToolPolicies:
    """Policies by tool name, for one specification and one catalog.

    Tools of the catalog are resolved once; another name costs a look at the overrides on each call and is not
    remembered, so that invented names use no memory.
    """

    def __init__(self, spec: PoolSpec, catalog: PoolCatalog) -> None:
        self._spec = spec
        self._catalog = catalog
        self._known = {name: self._resolve(name) for name in catalog.tools}

    def of(self, name: str) -> ToolPolicy:
        """The policy for calls of `name`."""
        policy = self._known.get(name)
        return policy if policy is not None else self._resolve(name)

    def _resolve(self, name: str) -> ToolPolicy:
        spec = self._spec
        override = most_specific(spec.tools, name)
        info = self._catalog.tools.get(name)
        return ToolPolicy(
            retry_class=class_of_tool(
                listed=override.idempotent if override else None,
                read_only=info.read_only if info else None,
                idempotent=info.idempotent if info else None,
                trusted=spec.retry_policy.trust_annotations,
            ),
            retry=_retry_policy(spec.retry_policy, override),
            timeout=(override.timeout if override else None) or spec.timeouts.request,
            kept=tool_rule(spec.cache, override.cache_ttl if override else None),
        )


def most_specific(overrides: Mapping[str, ToolSpec], name: str) -> ToolSpec | None:
    """The override of exactly this name, else the one with the longest matching prefix (`NAME*`), else None."""
    exact = overrides.get(name)
    if exact is not None:
        return exact
    prefixes = [key for key in overrides if key.endswith("*") and name.startswith(key[:-1])]
    return overrides[max(prefixes, key=len)] if prefixes else None


def _retry_policy(policy: RetryPolicySpec, override: ToolSpec | None) -> RetryPolicySpec:
    """The pool's policy, overridden key by key by the tool's."""
    if override is None or override.retry_policy is None:
        return policy
    said = override.retry_policy.model_dump(exclude_unset=True, exclude_none=True, exclude={"preset"})
    return policy.model_copy(update=said)
