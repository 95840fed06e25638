"""Profile, top level, pool: merged key by key, with the origin of each value."""

from __future__ import annotations

import pytest

from mcppool.spec import loads_toml
from mcppool.spec.explain import pool_values, process_values

TEXT = """\
profile = "development"
[connection_pool]
max_connections = 20
acquire_timeout = "1s"
[[pools]]
name = "a"
endpoints = ["http://a/mcp", {url = "http://b/mcp", weight = 3}]
  [pools.connection_pool]
  acquire_timeout = "3s"
[[pools]]
name = "b"
endpoints = ["http://c/mcp"]
"""


def origins(text: str, index: int = 0) -> dict[str, tuple[object, str]]:
    snapshot = loads_toml(text, "f.toml")
    values = [*process_values(snapshot), *pool_values(snapshot, index)]
    return {value.path: (value.value, value.origin) for value in values}


def test_a_pools_section_overrides_the_top_levels_key_by_key_and_that_the_profiles() -> None:
    first, second = loads_toml(TEXT).pools
    assert (first.connection_pool.min_connections, first.connection_pool.max_connections) == (0, 20)
    assert first.connection_pool.acquire_timeout == 3
    assert second.connection_pool.acquire_timeout == 1


def test_each_value_knows_where_it_came_from() -> None:
    found = origins(TEXT)
    assert found["connection_pool.max_connections"] == (20, "f.toml:3")
    assert found["connection_pool.acquire_timeout"] == ("3s", "f.toml:9")
    assert found["connection_pool.min_connections"] == (0, "profile development")
    assert found["connection_pool.max_waiting"] == (256, "default")
    assert found["logging.format"] == ("text", "profile development")
    assert found["retry_policy.max_attempts"] == (3, "preset quick, profile development")
    assert found["endpoints[0].url"] == ("http://a/mcp", "f.toml:7")
    assert found["endpoints[0].weight"] == (100, "default")
    assert found["endpoints[1].weight"] == (3, "f.toml:7")
    assert origins(TEXT, 1)["connection_pool.acquire_timeout"] == ("1s", "f.toml:4")


@pytest.mark.usefixtures("later")
def test_unsupported_keys_are_not_listed_as_in_force() -> None:
    found = origins(TEXT.replace("development", "production"))
    assert not any(path.startswith(("circuit_breaker", "outlier_detection")) for path in found)
    assert "retry_policy.base_delay" not in found
    assert "retry_policy.max_delay" in found


def test_a_preset_replaces_the_values_of_weaker_layers_for_its_keys() -> None:
    text = """\
[retry_policy]
max_attempts = 7
budget_percent = 50
[[pools]]
name = "a"
endpoints = ["http://a/mcp"]
  [pools.retry_policy]
  preset = "network"
  max_delay = "7s"
"""
    policy = loads_toml(text).pools[0].retry_policy
    assert (policy.max_attempts, policy.base_delay, policy.max_delay, policy.budget_percent) == (4, 0.5, 7, 50)
    found = origins(text)
    assert found["retry_policy.base_delay"] == ("500ms", "preset network, f.toml:8")
    assert found["retry_policy.max_delay"] == ("7s", "f.toml:9")


def test_a_tools_preset_sets_four_keys_together_and_explicit_keys_win() -> None:
    text = """\
[tools.search.retry_policy]
max_attempts = 9
[[pools]]
name = "a"
endpoints = ["http://a/mcp"]
  [pools.tools.search.retry_policy]
  preset = "throttle"
  max_delay = "7s"
"""
    policy = loads_toml(text).pools[0].tools["search"].retry_policy
    assert policy is not None
    assert (policy.strategy, policy.base_delay, policy.max_delay, policy.max_attempts) == ("linear", 2, 7, 3)


def test_one_tool_may_be_described_at_both_levels() -> None:
    text = """\
[tools."search*"]
idempotent = true
timeout = "5s"
[[pools]]
name = "a"
endpoints = ["http://a/mcp"]
  [pools.tools."search*"]
  timeout = "1s"
"""
    tool = loads_toml(text).pools[0].tools["search*"]
    assert (tool.idempotent, tool.timeout) == (True, 1)
