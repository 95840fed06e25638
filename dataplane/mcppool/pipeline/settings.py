"""Settings of a pool's calls: its specification, values derived from it, and its catalog."""

from __future__ import annotations

from mcppool.pipeline.catalog import PoolCatalog
from mcppool.pipeline.routing.hash_policy import HashKey, hash_key
from mcppool.pipeline.routing.tool_overrides import ToolPolicies
from mcppool.pipeline.tool_pins import PinnedTools
from mcppool.policy.access_rules import AccessRules, has_rules
from mcppool.policy.cache_rules import Rule, method_rules
from mcppool.policy.circuit_breaker import BreakerLimits
from mcppool.policy.outlier_detection import OutlierLimits
from mcppool.spec import PoolSpec


class Settings:
    """The steps of a call read it, and none of them keeps a part of it: each part is immutable, and replaced when the
    configuration or the catalog changes.

    `access` has the access rules, None if there are none. `tools` gives the policy of each tool, `kept_methods` the
    cache rules of other methods. `forwarded` are the headers of clients that servers get besides the protocol's, in
    lower case; the set is a new one for each configuration, so that readers compare by identity. `passthrough`: the
    servers check the credentials of clients themselves.
    """

    __slots__ = (
        "access", "breaker_limits", "catalog", "forwarded", "hash_key", "kept_methods", "name", "outlier_limits",
        "passthrough", "pinned_tools", "spec", "tools", "tools_fingerprint",
    )  # fmt: skip

    def __init__(self, spec: PoolSpec) -> None:
        self.name = spec.name
        self.pinned_tools: PinnedTools | None = None
        self.catalog = PoolCatalog()
        self.tools_fingerprint = self.catalog.fingerprint()
        self.configure(spec)

    def configure(self, spec: PoolSpec) -> None:
        """Apply a new specification."""
        self.spec = spec
        self.tools = ToolPolicies(spec, self.catalog)
        self.access = AccessRules(spec.access, spec.tools) if has_rules(spec.access, spec.tools) else None
        self.hash_key: HashKey | None = hash_key(spec.load_balancer, lambda: self.catalog.tools)
        self.kept_methods: dict[str, Rule] = method_rules(
            spec.cache, spec.catalog, spec.connection_pool.health_check_interval
        )
        self.passthrough = spec.auth.inbound.type == "passthrough"
        own = ["authorization", "dpop"] if self.passthrough else []
        self.forwarded = frozenset([*[name.lower() for name in spec.headers.forward], *own])
        ejection, breaker = spec.outlier_detection, spec.circuit_breaker
        self.outlier_limits = OutlierLimits(
            consecutive_failures=ejection.consecutive_failures,
            base_ejection_time=ejection.base_ejection_time,
            max_ejection_time=ejection.max_ejection_time,
            max_ejection_percent=ejection.max_ejection_percent,
        )
        self.breaker_limits = BreakerLimits(breaker.failure_threshold, breaker.open_duration, breaker.success_threshold)

    def learn(self, catalog: PoolCatalog) -> None:
        """Replace the catalog."""
        self.catalog = catalog
        self.tools = ToolPolicies(self.spec, catalog)
        self.tools_fingerprint = catalog.fingerprint()
