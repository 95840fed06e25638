"""The three profiles: `production` has the models' defaults, the others change them for development and tests."""

from __future__ import annotations

from typing import Any, Final, Literal

Profile = Literal["production", "development", "test"]

PROFILES: Final[dict[str, dict[str, Any]]] = {
    "production": {},
    "development": {
        "connection_pool": {"min_connections": 0, "max_connections": 5, "health_check_interval": "5s"},
        "retry_policy": {"preset": "quick"},
        "cache": {"type": "none"},
        "logging": {"format": "text"},
    },
    "test": {
        "connection_pool": {
            "min_connections": 0,
            "max_connections": 2,
            "health_check_interval": "200ms",
            "reconnect_backoff": "10ms",
            "max_reconnect_backoff": "100ms",
        },
        "retry_policy": {"base_delay": "10ms", "max_delay": "10ms"},
        "load_balancer": {"slow_start": "10ms"},
        "cache": {"type": "none"},
        "logging": {"format": "text"},
        "seed": 0,
    },
}
"""Values that each profile sets, in the spelling of a file."""
