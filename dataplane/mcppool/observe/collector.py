"""The gateway's counters and views as Prometheus families, made at scrape time.

The families `mcp_*` keep the names and labels of the founding document, where `server_id` is the pool. Our own families
are `mcppool_*`. A series lasts as long as its subject: the tool, endpoint or pool.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mcppool.observe.counter_families import GATEWAY_COUNTERS, POOL_COUNTERS
from mcppool.observe.families.calls import (
    access_families,
    authentication_families,
    breaker_families,
    duration_families,
    request_families,
    tool_families,
)
from mcppool.observe.families.endpoints import connection_families, endpoint_families
from mcppool.observe.families.process import (
    build_family,
    configuration_families,
    listener_families,
    memory_families,
    task_families,
)
from mcppool.observe.families.samples import attribute_families
from mcppool.observe.families.stores import cache_families, redis_families
from mcppool.observe.metrics import GatewayMetrics
from mcppool.observe.views import POOL_GAUGES, ConfigView, PoolView
from mcppool.policy.memory_budget import MemoryBudget

Pools = Callable[[], Sequence[PoolView]]
Config = Callable[[], ConfigView]


def registry(
    metrics: GatewayMetrics, pools: Pools, config: Config, memory: MemoryBudget | None = None
) -> CollectorRegistry:
    """A registry with all families of one gateway process."""
    made = CollectorRegistry(auto_describe=False)
    made.register(GatewayCollector(metrics, pools, config, memory))
    ProcessCollector(registry=made)
    return made


class GatewayCollector(Collector):
    """Reads the counters, and asks for the views, once per scrape."""

    def __init__(
        self, metrics: GatewayMetrics, pools: Pools, config: Config, memory: MemoryBudget | None = None
    ) -> None:
        self._memory = memory or MemoryBudget()
        self._metrics = metrics
        self._pools = pools
        self._config = config

    def collect(self) -> Iterator[Metric]:
        """Every family, those without a series too."""
        pools = self._pools()
        yield from connection_families(self._metrics, pools)
        yield from tool_families(self._metrics)
        yield from breaker_families(self._metrics, pools)
        yield from cache_families(self._metrics, pools)
        yield from redis_families(self._metrics, pools)
        yield from request_families(self._metrics)
        yield from duration_families(self._metrics)
        yield from access_families(self._metrics)
        counted = [([pool.name], pool) for pool in self._metrics.pools()]
        yield from attribute_families(CounterMetricFamily, POOL_COUNTERS, ["pool"], counted)
        yield from attribute_families(GaugeMetricFamily, POOL_GAUGES, ["pool"], [([pool.name], pool) for pool in pools])
        yield from endpoint_families(pools)
        yield from listener_families(self._metrics)
        yield from authentication_families(self._metrics)
        yield from attribute_families(CounterMetricFamily, GATEWAY_COUNTERS, [], [([], self._metrics)])
        yield from memory_families(self._memory)
        yield from task_families()
        yield from configuration_families(self._config())
        yield build_family()
