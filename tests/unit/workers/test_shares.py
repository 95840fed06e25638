"""One worker's share of the configuration, restarts, and the number of workers."""

from __future__ import annotations

import random
from pathlib import Path

from mcppool.gateway.cores import usable_cores, worker_count
from mcppool.gateway.preflight import preflight
from mcppool.spec import loads_toml
from mcppool.workers.restarts import MAX_WAIT, STEADY, Restarts
from mcppool.workers.shares import share_of

POOL = '[[pools]]\nname = "a"\nendpoints = ["http://127.0.0.1:8001/mcp"]\n'
SECTIONS = """
[listener]
workers = 3
max_connections = 100
max_connections_per_client = 90
[connection_pool]
min_connections = 2
max_connections = 10
[sessions]
max_sessions = 1000
[cache]
max_size = 300
[retry_policy]
budget_min_per_second = 4
[limits]
memory = "300MiB"
"""


def test_a_share_is_an_equal_part_rounded_up_and_the_hash_is_that_of_the_whole() -> None:
    whole = loads_toml(SECTIONS + POOL)
    part = share_of(whole, 3, 2, memory=1)
    (pool,) = part.pools
    assert part.hash == whole.hash
    assert part.provenance == whole.provenance
    assert (part.listener.max_connections, part.listener.max_connections_per_client) == (34, 34)
    assert (pool.connection_pool.min_connections, pool.connection_pool.max_connections) == (1, 4)
    assert (pool.sessions.max_sessions, pool.cache.max_size) == (334, 100)
    assert pool.retry_policy.budget_min_per_second == 2
    assert part.limits.memory == 100 << 20
    assert share_of(loads_toml(POOL), 4, 1, memory=400).limits.memory == 100


def test_each_worker_has_an_audit_log_of_its_own() -> None:
    text = POOL + '[pools.audit]\ntype = "file"\nfile = "/var/log/audit.jsonl"\n'
    assert share_of(loads_toml(text), 2, 2, 1).pools[0].audit.file == "/var/log/audit.jsonl.worker-2"


def test_a_pool_on_standard_output_is_served_by_several_processes() -> None:
    text = "[listener]\nworkers = 2\n" + POOL + '[pools.audit]\ntype = "stdout"\n'
    assert not preflight(loads_toml(text))


def test_auto_is_the_cores_that_the_container_may_use(tmp_path: Path) -> None:
    assert usable_cores(tmp_path) == usable_cores() >= 1
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/pod\n")
    (tmp_path / "sys/fs/cgroup/pod").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/pod/cpu.max").write_text("50000 100000\n")
    assert usable_cores(tmp_path) == 1
    (tmp_path / "sys/fs/cgroup/pod/cpu.max").write_text("max 100000\n")
    assert usable_cores(tmp_path) == usable_cores()
    assert worker_count(loads_toml('[listener]\nworkers = "auto"').listener) == usable_cores()
    assert worker_count(loads_toml("[listener]\nworkers = 7").listener) == 7


def test_restarts_wait_longer_each_time_until_a_worker_has_worked_for_a_while() -> None:
    restarts, rng = Restarts(), random.Random(1)
    waits = [restarts.ended(1.0, rng) for _ in range(12)]
    assert waits[0] <= 0.1
    assert all(wait <= MAX_WAIT for wait in waits)
    assert waits[-1] >= MAX_WAIT / 2
    assert restarts.gives_up_port
    assert restarts.ended(STEADY, rng) <= 0.1
    assert not restarts.gives_up_port
