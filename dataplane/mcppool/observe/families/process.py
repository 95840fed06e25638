"""Families about the gateway's process: listener, memory, tasks, configuration and version."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

import mcppool
from mcppool import supervision
from mcppool.built import BUILD
from mcppool.observe.metrics import GatewayMetrics
from mcppool.observe.views import ConfigView
from mcppool.policy.memory_budget import MemoryBudget


def listener_families(metrics: GatewayMetrics) -> Iterator[Metric]:
    """Connections of clients, and what the listener refused."""
    yield GaugeMetricFamily(
        "mcppool_listener_connections",
        "Open connections of clients.",
        value=metrics.listener_opened - metrics.listener_closed,
    )
    malformed = CounterMetricFamily(
        "mcppool_listener_malformed_total", "Input refused before it became a call.", labels=["reason"]
    )
    for reason, count in metrics.malformed.items():
        malformed.add_metric([reason], count)
    yield malformed
    turned_away = CounterMetricFamily(
        "mcppool_listener_turned_away_total",
        "Connections, streams and calls that a cap refused or ended, by the key of the cap.",
        labels=["cap"],
    )
    for cap, count in metrics.turned_away.items():
        turned_away.add_metric([cap], count)
    yield turned_away


def memory_families(memory: MemoryBudget) -> Iterator[Metric]:
    """The memory budget."""
    limit = GaugeMetricFamily("mcppool_memory_limit_bytes", "`limits.memory`, or its default.")
    if memory.limit is not None:
        limit.add_metric([], memory.limit)
    yield limit
    yield GaugeMetricFamily(
        "mcppool_memory_resident_bytes",
        "Memory of the process that counts against the limit.",
        value=memory.resident,
    )
    used = GaugeMetricFamily(
        "mcppool_memory_charged_bytes", "Memory in use by clients and servers.", labels=["account"]
    )
    refused = CounterMetricFamily(
        "mcppool_memory_refused_total", "Reservations refused because memory was full.", labels=["account"]
    )
    for account in memory.accounts():
        used.add_metric([account.name], account.used)
        refused.add_metric([account.name], account.refused)
    yield from (used, refused)


def task_families() -> Iterator[Metric]:
    """Background tasks."""
    failed = CounterMetricFamily(
        "mcppool_task_failures_total", "Failures of background tasks, by kind.", labels=["task"]
    )
    for kind, count in supervision.failures.items():
        failed.add_metric([kind], count)
    yield failed
    try:
        tasks = len(asyncio.all_tasks())
    except RuntimeError:
        return  # not called from within a loop
    yield GaugeMetricFamily("mcppool_tasks", "Tasks of the event loop, of every kind.", value=tasks)


def configuration_families(config: ConfigView) -> Iterator[Metric]:
    """The configuration in force."""
    info = GaugeMetricFamily("mcppool_config_info", "Always 1; the configuration in force.", labels=["hash"])
    generation = GaugeMetricFamily("mcppool_config_generation", "Generation of the configuration in force.")
    loaded = GaugeMetricFamily("mcppool_config_loaded_timestamp_seconds", "Time at which it was put into force.")
    if config.hash is not None:
        info.add_metric([config.hash], 1)
    if config.generation is not None:
        generation.add_metric([], config.generation)
    if config.loaded_at is not None:
        loaded.add_metric([], config.loaded_at.timestamp())
    yield from (info, generation, loaded)


def build_family() -> Metric:
    """The versions of mcppool and Python, and the build."""
    build = GaugeMetricFamily(
        "mcppool_build_info",
        "Always 1; the versions of mcppool and Python, and whether the modules of a call are compiled.",
        labels=["version", "python", "build"],
    )
    build.add_metric([mcppool.__version__, platform.python_version(), BUILD], 1)
    return build
