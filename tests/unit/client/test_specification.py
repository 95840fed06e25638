"""A program's arguments for its pool: the words and the checks of a configuration file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import mcppool
from mcppool.client import sections
from mcppool.client.specification import read_arguments, read_config
from mcppool.spec import PoolSpec, TimeoutsSpec

URL = "http://127.0.0.1:8001/mcp"


def test_a_pool_has_the_production_defaults_by_default() -> None:
    (pool,) = read_arguments([URL], "default", "production", {}).pools
    assert (pool.name, [e.url for e in pool.endpoints], pool.connection_pool.min_connections) == ("default", [URL], 5)


def test_sections_endpoints_and_profile_are_read_as_in_a_file() -> None:
    sections = {"timeouts": {"request": "10s"}, "tools": {"get_*": {"idempotent": True}}}
    snapshot = read_arguments(({"url": URL, "weight": 200}, "http://127.0.0.1:8002/mcp"), "search", "test", sections)
    (pool,) = snapshot.pools
    assert (pool.timeouts.request, pool.endpoints[0].weight, pool.tools["get_*"].idempotent) == (10.0, 200, True)
    assert (pool.connection_pool.max_connections, snapshot.seed) == (2, 0)


def test_a_retry_policy_may_be_the_name_of_a_preset() -> None:
    (pool,) = read_arguments([URL], "default", "production", {"retry_policy": "network"}).pools
    assert (pool.retry_policy.base_delay, pool.retry_policy.max_attempts) == (0.5, 4)


def test_the_types_of_the_arguments_have_the_keys_of_the_configuration() -> None:
    assert set(sections.PoolSections.__annotations__) == {*PoolSpec.model_fields} - {"name", "endpoints"}
    assert set(sections.TimeoutsSection.__annotations__) == {*TimeoutsSpec.model_fields}


def test_a_program_compares_reasons_by_name() -> None:
    failure = mcppool.CallFailed(mcppool.Reason.TIMEOUT, delivered="unknown", attempts=1)
    assert failure.reason is mcppool.Reason.TIMEOUT
    assert failure.reason == "timeout"


def test_a_single_url_is_a_pool_of_one() -> None:
    assert [e.url for e in read_arguments(URL, "default", "production", {}).pools[0].endpoints] == [URL]


def test_all_mistakes_are_reported_at_once_before_anything_is_opened() -> None:
    with pytest.raises(mcppool.ConfigError) as caught:
        mcppool.Pool(  # as a program without types may
            [URL, "ftp://x"],
            retry_polcy="network",  # type: ignore[call-arg]
            timeouts={"request": 5},  # type: ignore[typeddict-item]
            sessions={"on_loss": "cry"},  # type: ignore[typeddict-item]
        )
    problems = "\n".join(map(str, caught.value.problems))
    assert "pools[0].endpoints[1].url" in problems
    assert 'did you mean "retry_policy"?' in problems
    assert "is a number without a unit" in problems
    assert "allowed: reinitialize, fail" in problems


@pytest.mark.parametrize("endpoints", [[], ()])
def test_a_pool_without_endpoints_is_refused(endpoints: object) -> None:
    with pytest.raises(mcppool.ConfigError, match="has no endpoints"):
        mcppool.Pool(endpoints)  # type: ignore[arg-type]  # as a program without types may


FILE = f'[[pools]]\nname = "a"\nendpoints = ["{URL}"]\n[[pools]]\nname = "b"\nendpoints = ["{URL}"]\n'


def test_a_pool_of_a_file_is_found_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "pools.toml"
    path.write_text(FILE)
    assert [pool.name for pool in read_config(path, "b").pools] == ["b"]
    with pytest.raises(mcppool.ConfigError, match=r"pools\.toml: pool: is no pool of this file; allowed: a, b"):
        read_config(path, "c")
    with pytest.raises(mcppool.ConfigError, match="must be given, unless the file has exactly one pool; allowed: a, b"):
        read_config(path, None)


def test_the_only_pool_of_a_file_needs_no_name(tmp_path: Path) -> None:
    path = tmp_path / "pools.toml"
    path.write_text(FILE.partition('[[pools]]\nname = "b"')[0])
    assert [pool.name for pool in read_config(path, None).pools] == ["a"]


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(mcppool.ConfigError, match=r"none\.toml: cannot be read: No such file"):
        mcppool.Pool.from_config(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("section", "place"),
    [
        ({"headers": {"forward": ["X-Tenant"]}}, "headers.forward"),
        ({"load_balancer": {"strategy": "consistent_hash", "hash_key": "header:X-A"}}, "load_balancer.hash_key"),
    ],
)
def test_settings_that_need_client_headers_are_refused_in_a_program(section: dict[str, Any], place: str) -> None:
    with pytest.raises(mcppool.ConfigError, match=rf"{place}: needs a gateway"):
        mcppool.Pool(["http://a/mcp"], **section)


@pytest.mark.parametrize(
    ("section", "place"),
    [
        ({"tls": {"ca_file": "/none"}}, r"tls\.ca_file"),
        ({"headers": {"send": {"X-Key": {"value_file": "/none"}}}}, r"headers\.send\.X-Key"),
        (
            {"cache": {"type": "redis", "redis_url": "redis://127.0.0.1:1", "redis_password_file": "/none"}},
            r"cache\.redis_password_file",
        ),
    ],
)
async def test_a_missing_file_is_reported_before_anything_is_opened(section: dict[str, Any], place: str) -> None:
    pool = mcppool.Pool(["https://127.0.0.1:1/mcp"], **section)
    with pytest.raises(mcppool.ConfigError, match=rf"{place}: .*No such file"):
        await pool.__aenter__()
