"""The configuration: models of a pool and its policies, profiles, loaders, generators.

The models of the Kubernetes resource are in `resource`, which a gateway does not load.
"""

from mcppool.spec.pool import EndpointSpec, PoolSpec
from mcppool.spec.problems import ConfigError, Problem
from mcppool.spec.sections.auth import AuthSpec, UpstreamTlsSpec
from mcppool.spec.sections.cache import CacheSpec
from mcppool.spec.sections.connection_pool import ConnectionPoolSpec
from mcppool.spec.sections.headers import HeadersSpec, HeaderValueSpec
from mcppool.spec.sections.health import HealthCheckSpec, OutlierDetectionSpec
from mcppool.spec.sections.load_balancer import LoadBalancerSpec
from mcppool.spec.sections.process import ListenerSpec, LoggingSpec, MetricsSpec
from mcppool.spec.sections.protection import CircuitBreakerSpec, LimitsSpec, RateLimitSpec, RateSpec
from mcppool.spec.sections.retry_policy import RetryPolicySpec
from mcppool.spec.sections.sessions import CatalogSpec, SessionsSpec
from mcppool.spec.sections.timeouts import TimeoutsSpec
from mcppool.spec.sections.tools import ToolSpec
from mcppool.spec.snapshot import Snapshot, read_snapshot, render_differences, render_snapshot
from mcppool.spec.toml import default_snapshot, load_toml, loads_toml

__all__ = [
    "AuthSpec",
    "CacheSpec",
    "CatalogSpec",
    "CircuitBreakerSpec",
    "ConfigError",
    "ConnectionPoolSpec",
    "EndpointSpec",
    "HeaderValueSpec",
    "HeadersSpec",
    "HealthCheckSpec",
    "LimitsSpec",
    "ListenerSpec",
    "LoadBalancerSpec",
    "LoggingSpec",
    "MetricsSpec",
    "OutlierDetectionSpec",
    "PoolSpec",
    "Problem",
    "RateLimitSpec",
    "RateSpec",
    "RetryPolicySpec",
    "SessionsSpec",
    "Snapshot",
    "TimeoutsSpec",
    "ToolSpec",
    "UpstreamTlsSpec",
    "default_snapshot",
    "load_toml",
    "loads_toml",
    "read_snapshot",
    "render_differences",
    "render_snapshot",
]
