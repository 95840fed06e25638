"""Values that the gateway may learn: the word `auto` in place of a number, a time or a section."""

from __future__ import annotations

import pytest

from mcppool.spec import ConfigError, loads_toml
from mcppool.spec.explain import by_path, pool_values
from mcppool.spec.sections.retry_policy import HEDGE_BY_LATENCY

POOL = '[[pools]]\nname = "a"\nendpoints = ["http://127.0.0.1:8001/mcp"]\n'


@pytest.mark.parametrize(
    "text",
    ['[limits]\nendpoint = "auto"\n', '[limits.endpoint]\nmax_concurrent = "auto"\nmax_queue = 50\n'],
    ids=["in short", "in full"],
)
def test_the_limit_of_an_endpoint_may_be_learned(text: str) -> None:
    snapshot = loads_toml(text + POOL)
    limit = snapshot.pools[0].limits.endpoint
    assert limit is not None
    assert (limit.max_concurrent, limit.max_queue) == (None, 50)
    shown = by_path(pool_values(snapshot, 0))["limits.endpoint.max_concurrent"]
    assert shown["value"] == "auto"
    assert shown["origin"] != "default"


@pytest.mark.parametrize("value", ['"automatic"', "0", '"5"', "true"])
def test_any_other_word_is_refused_with_the_allowed_values(value: str) -> None:
    with pytest.raises(ConfigError, match=r"limits\.endpoint\.max_concurrent.*a whole number from 1.*or \"auto\""):
        loads_toml(f"[limits.endpoint]\nmax_concurrent = {value}\n" + POOL)


def test_other_limits_are_numbers() -> None:
    with pytest.raises(ConfigError, match=r"limits\.pool\.max_concurrent"):
        loads_toml('[limits.pool]\nmax_concurrent = "auto"\n' + POOL)


@pytest.mark.parametrize(("value", "seconds"), [('"auto"', HEDGE_BY_LATENCY), ('"250ms"', 0.25)])
def test_the_delay_of_a_hedge_may_be_learned_and_is_none_by_default(value: str, seconds: float) -> None:
    assert loads_toml(f"[retry_policy]\nhedge_after = {value}\n" + POOL).pools[0].retry_policy.hedge_after == seconds
    assert loads_toml(POOL).pools[0].retry_policy.hedge_after is None


@pytest.mark.parametrize("value", ['"0s"', '"none"', "5"])
def test_a_delay_of_a_hedge_that_is_neither_is_refused(value: str) -> None:
    with pytest.raises(ConfigError, match=r"retry_policy\.hedge_after.*or \"auto\""):
        loads_toml(f"[retry_policy]\nhedge_after = {value}\n" + POOL)
