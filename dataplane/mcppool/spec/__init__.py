"""The configuration: models of a pool and its policies, profiles, loaders, generators."""

from mcppool.spec.pool import EndpointSpec, PoolSpec
from mcppool.spec.problems import ConfigError, Problem
from mcppool.spec.resource import Resource, read_resource
from mcppool.spec.sections.auth import AuthSpec, UpstreamTlsSpec
from mcppool.spec.sections.cache import CacheSpec
from mcppool.spec.sections.connection_pool import ConnectionPoolSpec
from mcppool.spec.sections.gateway import GatewaySpec
from mcppool.spec.sections.headers import HeadersSpec, HeaderValueSpec
from mcppool.spec.sections.health import HealthCheckSpec, OutlierDetectionSpec
from mcppool.spec.sections.load_balancer import LoadBalancerSpec
from mcppool.spec.sections.process import ListenerSpec, LoggingSpec, MetricsSpec
from mcppool.spec.sections.protection import CircuitBreakerSpec, LimitsSpec, RateLimitSpec, RateSpec
from mcppool.spec.sections.retry_policy import RetryPolicySpec
from mcppool.spec.sections.sessions import CatalogSpec, SessionsSpec
from mcppool.spec.sections.source import SourceSpec
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
    "GatewaySpec",
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
    "Resource",
    "RetryPolicySpec",
    "SessionsSpec",
    "Snapshot",
    "SourceSpec",
    "TimeoutsSpec",
    "ToolSpec",
    "UpstreamTlsSpec",
    "default_snapshot",
    "load_toml",
    "loads_toml",
    "read_resource",
    "read_snapshot",
    "render_differences",
    "render_snapshot",
]
