"""The configuration file of the example."""

from __future__ import annotations

import json
from collections.abc import Iterable

SECTIONS = """\
[connection_pool]
min_connections = 5
max_connections = 50
max_idle_time = "10m"
health_check_interval = "30s"
reconnect_backoff = "1s"
max_reconnect_backoff = "30s"
connection_timeout = "10s"
max_connection_age = "1h"

[retry_policy]
strategy = "exponential"
base_delay = "1s"
max_delay = "30s"
max_attempts = 5

[load_balancer]
strategy = "round_robin"
failover_enabled = true

[metrics]
enabled = true
port = {admin_port}
prometheus_enabled = true

[cache]
type = "memory"
max_size = 10000
ttl = "1h"

[listener]
listen = "{listen}"

[[pools]]
name = "everything"
endpoints = {endpoints}

  [pools.tools."test_*"]
  idempotent = true               # this server does not say that its tools may be repeated; we know that these may
"""

SECOND_POOL = """\
[[pools]]
name = "troubled"
endpoints = {endpoints}

  [pools.tools.quote]
  cache_ttl = "1m"                # its results depend on its arguments alone, and may be a minute old

  [pools.circuit_breaker]
  open_duration = "4s"            # a minute where nothing is said, which is long to watch

  [pools.outlier_detection]
  consecutive_failures = 20       # 5 where nothing is said: here the breaker is to be seen, not the whole replica go
"""


def first(listen: str, admin_port: int, ports: Iterable[int]) -> str:
    """The file that the gateway starts with."""
    return SECTIONS.format(listen=listen, admin_port=admin_port, endpoints=_addresses(ports))


def second(ports: Iterable[int]) -> str:
    """The part that is added later."""
    return SECOND_POOL.format(endpoints=_addresses(ports))


def _addresses(ports: Iterable[int]) -> str:
    return json.dumps([f"http://127.0.0.1:{port}/mcp" for port in ports])
