"""The founding document's file: `founding-document.toml` beside this test is a literal copy of both its blocks.

With `[[pools]]` added it is a valid file, unchanged.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mcppool.cli.main import main
from mcppool.spec import load_toml, loads_toml

FILE = Path(__file__).with_name("founding-document.toml")
POOL = '[[pools]]\nname = "a"\nendpoints = ["http://127.0.0.1:8001/mcp"]\n'

# Durations in seconds.
MEANING = {
    "connection_pool.min_connections": 5,
    "connection_pool.max_connections": 50,
    "connection_pool.max_idle_time": 600.0,
    "connection_pool.health_check_interval": 30.0,
    "connection_pool.reconnect_backoff": 1.0,
    "connection_pool.max_reconnect_backoff": 30.0,
    "connection_pool.connection_timeout": 10.0,
    "connection_pool.max_connection_age": 3600.0,
    "retry_policy.strategy": "exponential",
    "retry_policy.base_delay": 1.0,
    "retry_policy.max_delay": 30.0,
    "retry_policy.max_attempts": 5,
    "load_balancer.strategy": "round_robin",
    "load_balancer.failover_enabled": True,
    "metrics.enabled": True,
    "metrics.port": 9090,
    "metrics.prometheus_enabled": True,
    "cache.type": "memory",
    "cache.max_size": 10_000,
    "cache.ttl": 3600.0,
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "founding-document.toml"
    path.write_text(f"{FILE.read_text()}\n{POOL}")
    return path


def test_every_value_of_it_is_in_force(file: Path) -> None:
    snapshot = load_toml(file)
    for key, value in MEANING.items():
        section, name = key.split(".")
        holder = snapshot if section == "metrics" else snapshot.pools[0]
        assert getattr(getattr(holder, section), name) == value, key


def test_the_command_accepts_it_and_shows_of_each_value_that_it_comes_from_there(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "--json", str(file)]) == 0
    report = json.loads(capsys.readouterr().out)
    said = {**report["process"], **report["pools"]["a"]}
    lines = {key for key, entry in said.items() if entry["origin"].startswith(f"{file}:")}
    assert lines - {"name", "endpoints[0].url"} == set(MEANING), "its keys are these, and no key of it is passed over"


def test_except_for_its_strategy_it_equals_the_production_profile() -> None:
    assert loads_toml(FILE.read_text() + POOL) == loads_toml('[load_balancer]\nstrategy = "round_robin"\n' + POOL)
