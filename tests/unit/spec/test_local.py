"""The configuration of local servers: checks, hidden secrets, and warnings."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mcppool.spec import ConfigError, Snapshot, loads_toml, read_snapshot, render_snapshot
from mcppool.spec.advice import advice
from mcppool.spec.explain import settings_of


def with_pool(text: str, command: str = 'command = ["x"]') -> Snapshot:
    return loads_toml(f'[[pools]]\nname = "p"\n{command}\n{text}')


def test_values_of_variables_are_shown_nowhere() -> None:
    snapshot = with_pool('env = {TOKEN = "s3cret", OTHER = "x"}')
    shown: dict[str, Any] = settings_of(snapshot)
    assert "s3cret" not in json.dumps(shown)
    assert shown["pools"]["p"]["env.TOKEN"]["value"] == "(hidden)"


def test_variables_survive_a_snapshot() -> None:
    snapshot = with_pool('env = {TOKEN = "s3cret"}\nenv_from = ["A", "B_*"]\n[pools.local]\nmax_processes = 7')
    (pool,) = read_snapshot(render_snapshot(snapshot)).pools
    assert (dict(pool.env), pool.env_from, pool.local.max_processes) == ({"TOKEN": "s3cret"}, ("A", "B_*"), 7)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('env = {"A=B" = "1"}', "env"),
        ('env = {"" = "1"}', "env"),
        ('env = {A = "x\\u0000y"}', "env"),
        ("env = {A = 1}", "env"),
        ('env_from = ["*A"]', "env_from"),
        ('env_from = ["A-B"]', "env_from"),
        ("local = {max_processes = 0}", "local.max_processes"),
        ('local = {idle_timeout = "0s"}', "local.idle_timeout"),
        ("replicas = 10\nlocal = {max_processes = 9}", "replicas"),
    ],
)
def test_impossible_values_are_refused_by_name(text: str, named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        with_pool(text)
    assert any(named in problem.path for problem in caught.value.problems)


@pytest.mark.parametrize("text", ['env = {A = "1"}', 'env_from = ["A"]'])
def test_variables_without_a_command_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="has no effect without command"):
        with_pool(text, 'endpoints = ["http://127.0.0.1:1/mcp"]')


@pytest.mark.parametrize(
    ("text", "warned"),
    [
        ("", True),
        ("replicas = 2", True),
        ("replicas = 1", False),
        ("replicas = 2\nsessions = {stateless = true}", True),
    ],
)
def test_several_processes_of_one_program_are_warned_of(text: str, *, warned: bool) -> None:
    assert any("replicas = 1" in sentence for sentence in advice(with_pool(text))) is warned


def test_servers_elsewhere_are_not_warned_of() -> None:
    endpoints = 'endpoints = ["http://127.0.0.1:1/mcp", "http://127.0.0.1:2/mcp"]'
    assert not advice(with_pool("", endpoints))
