"""The changes of a new specification in a running pool."""

from __future__ import annotations

import pytest

from mcppool.pipeline.pool.changes import can_become, compare
from mcppool.spec import EndpointSpec, PoolSpec
from tests.unit.pipeline.pools import spec_of

CACHE = '[cache]\ntype = "{}"\nredis_url = "redis://127.0.0.1:1/0"'


def endpoints(spec: PoolSpec) -> dict[str, EndpointSpec]:
    return {endpoint.key: endpoint for endpoint in spec.endpoints}


def made_anew(old: str, new: str) -> set[str]:
    """The parts that are made anew if these sections change and no endpoint does."""
    before, after = spec_of(old, "a"), spec_of(new, "a")
    changes = compare(before, after, endpoints(before), endpoints(after))
    assert bool(changes.removed) == bool(changes.added) == changes.tls
    return {name for name in ("tls", "redis", "sql", "admission", "cache", "adaptive") if getattr(changes, name)}


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("", "", set()),
        ("", '[timeouts]\nrequest = "3s"', set()),
        ("", "[retry_policy]\nmax_attempts = 2", {"adaptive"}),
        ("", "[limits.pool]\nmax_concurrent = 3", {"admission"}),
        ("", "[rate_limit.pool]\nrequests_per_second = 3", {"admission"}),
        ("", "[tools.read]\nidempotent = true", {"admission", "adaptive"}),
        ("", '[tls]\nserver_name = "x.example"', {"tls"}),
        (CACHE.format("memory"), CACHE.format("memory") + "\nmax_size = 3", set()),
        (CACHE.format("memory"), CACHE.format("redis"), {"redis", "admission", "cache"}),
        (CACHE.format("memory"), CACHE.format("sql"), {"sql", "cache"}),
        (CACHE.format("sql"), CACHE.format("sql") + "\nmax_size = 3", set()),
        (CACHE.format("sql"), CACHE.format("sql") + '\nsql_prefix = "x"', {"sql", "cache"}),
        (CACHE.format("redis"), CACHE.format("redis") + '\nredis_prefix = "x"', {"redis", "admission", "cache"}),
    ],
)
def test_parts_that_depend_on_a_changed_section_are_made_anew(old: str, new: str, parts: set[str]) -> None:
    assert made_anew(old, new) == parts


def test_endpoints_come_and_go_and_another_host_is_another_server() -> None:
    old, new = spec_of("", "a", "b", "c"), spec_of("", "b", "c", "d")
    wanted = endpoints(new)
    wanted["http://c/mcp"] = wanted["http://c/mcp"].model_copy(update={"host": "other.example"})
    changes = compare(old, new, endpoints(old), wanted)
    assert set(changes.removed) == {"http://a/mcp", "http://c/mcp"}
    assert [endpoint.key for endpoint in changes.added] == ["http://c/mcp", "http://d/mcp"]


def test_a_pool_with_the_same_servers_can_become_another_one() -> None:
    assert can_become(spec_of("", "a"), spec_of("[limits.pool]\nmax_concurrent = 3", "b"))
