"""The Redis of a pool: made when a feature uses it, replaced with its address, and absent without harm."""

from __future__ import annotations

from pathlib import Path

from tests.unit.pipeline.pools import planned, pool_of, spec_of, tool_call

SESSIONS = '[sessions]\nstore = "redis"\n'
RATE = '[rate_limit]\nstore = "redis"\npool = {requests_per_second = 1, burst = 2}\n'


def at(url: str, more: str = "") -> str:
    return f'[cache]\ntype = "none"\nredis_url = "{url}"\n{more}'


async def test_a_pool_that_keeps_nothing_in_redis_has_none_though_it_has_an_address() -> None:
    pool = pool_of(at("redis://127.0.0.1:1"), "a")
    assert pool.redis is None
    assert pool.sessions.shared is None


async def test_data_in_redis_survives_changes_of_the_configuration() -> None:
    pool = pool_of(at("redis://127.0.0.1:1"), "a")
    pool.configure(spec_of(at("redis://127.0.0.1:1", SESSIONS), "a"))
    first = pool.redis
    assert first is not None
    assert first.uses == ("sessions",)
    shared = pool.sessions.shared
    pool.configure(spec_of(at("redis://127.0.0.1:1", SESSIONS + "idle_timeout = '5m'\n"), "a"))
    assert pool.redis is first
    assert pool.sessions.shared is shared
    assert shared is not None
    assert shared.life == 300.0
    pool.configure(spec_of(at("redis://127.0.0.1:2", SESSIONS), "a"))
    assert pool.redis is not first
    assert pool.sessions.shared is not shared
    pool.configure(spec_of(at("redis://127.0.0.1:2"), "a"))
    assert pool.redis is None
    assert pool.sessions.shared is None
    await pool.stop()


async def test_without_a_link_the_pool_works_and_gives_the_reason(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    pool = pool_of(at("redis://127.0.0.1:1", f'redis_password_file = "{missing}"\n{SESSIONS}{RATE}'), "a")
    assert pool.redis is not None
    assert "redis_password_file cannot be read" in (pool.redis.trouble or "")
    assert pool.sessions.shared is None
    limits = pool.admission
    assert limits is not None
    call = tool_call("read")
    assert await limits.enter(call, planned(call, pool)) == []
    await pool.stop()


async def test_a_redis_that_is_not_there_is_asked_once_and_then_rates_are_counted_here() -> None:
    pool = pool_of(at("redis://127.0.0.1:1", RATE), "a")
    limits = pool.admission
    assert limits is not None
    for _ in range(2):
        call = tool_call("read")
        assert await limits.enter(call, planned(call, pool)) == []
    assert pool.metrics.redis_errors == {"connection": 1}
    await pool.stop()
