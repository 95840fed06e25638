"""Metrics of the operator. Their names follow controller-runtime's, so that dashboards keep working."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

RECONCILES = Counter(
    "mcppool_operator_reconcile", "Reconciles by result (success, error).", ["result"], registry=REGISTRY
)
RECONCILE_SECONDS = Histogram(
    "mcppool_operator_reconcile_duration_seconds",
    "Time of one reconcile.",
    registry=REGISTRY,
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
QUEUE_DEPTH = Gauge(
    "mcppool_operator_workqueue_depth",
    "Pools that wait: to be reconciled, or to be looked at.",
    ["name"],
    registry=REGISTRY,
)
QUEUE_ADDS = Counter("mcppool_operator_workqueue_adds", "Requests for a pool.", ["name"], registry=REGISTRY)
QUEUE_RETRIES = Counter("mcppool_operator_workqueue_retries", "Pools delayed by an error.", ["name"], registry=REGISTRY)
QUEUE_SECONDS = Histogram(
    "mcppool_operator_workqueue_queue_duration_seconds",
    "Time that a pool was due before a worker took it.",
    ["name"],
    registry=REGISTRY,
    buckets=(0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 30),
)
API_CALLS = Counter(
    "mcppool_operator_api_requests",
    "Requests to the API server, by verb and status code.",
    ["verb", "code"],
    registry=REGISTRY,
)
EVENTS = Counter("mcppool_operator_watch_events", "Events that the watches delivered.", ["resource"], registry=REGISTRY)
LAST_EVENT = Gauge(
    "mcppool_operator_watch_last_event_timestamp_seconds",
    "When the watch of a resource last delivered an event.",
    ["resource"],
    registry=REGISTRY,
)
LEADER = Gauge("mcppool_operator_leader", "1 while this replica holds the Lease.", registry=REGISTRY)
TERM = Gauge("mcppool_operator_term", "The term under which this replica publishes; 0 in standby.", registry=REGISTRY)
POOL_CONDITION = Gauge(
    "mcppool_operator_pool_condition",
    "Always 1: a condition of a pool, with its status (True, False, Unknown).",
    ["namespace", "name", "type", "status"],
    registry=REGISTRY,
)
POOLS = Gauge("mcppool_operator_pools", "McpServerPools by their Ready condition.", ["ready"], registry=REGISTRY)
PUBLISHED = Counter("mcppool_operator_snapshots_published", "Snapshots written to ConfigMaps.", registry=REGISTRY)
