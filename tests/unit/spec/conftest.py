"""A table of unsupported keys of the tests' own: the real one gets shorter with each version."""

from __future__ import annotations

import pytest

from mcppool.spec import availability

LATER = frozenset(
    {
        "auth.inbound.type=jwt",
        "circuit_breaker",
        "limits",
        "listener.workers>1",
        "load_balancer.slow_start",
        "load_balancer.strategy=random",
        "outlier_detection",
        "rate_limit",
        "retry_policy.base_delay",
        "retry_policy.preset",
        "tools.cache_ttl",
    }
)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> frozenset[str]:
    """Some keys of the models are unsupported."""
    monkeypatch.setattr(availability, "LATER", LATER)
    monkeypatch.setattr("mcppool.spec.generate.crd.LATER", LATER)
    return LATER


@pytest.fixture
def everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that the models describe is available."""
    monkeypatch.setattr(availability, "LATER", frozenset())
