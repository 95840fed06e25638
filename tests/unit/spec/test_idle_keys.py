"""Written keys without an effect are reported, each with its line."""

from __future__ import annotations

import pytest

from mcppool.spec.idle_keys import idle_keys
from mcppool.spec.toml import loads_toml

POOL = '[[pools]]\nname = "a"\nendpoints = ["http://a/mcp"]\n'


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('cache = {type = "none", ttl = "1m"}', "cache.ttl"),
        ('cache = {type = "redis", redis_url = "redis://r", max_size = 5}', "cache.max_size"),
        ('cache.redis_prefix = "x"', "cache.redis_prefix"),
        ('cache.sql_url = "postgresql://db"', "cache.sql_url"),
        ('cache = {type = "sql", sql_ca_file = "ca.pem"}', "cache.sql_ca_file"),
        ('cache = {type = "sql", sql_url = "postgresql://u@%2Frun/d", sql_ca_file = "ca.pem"}', "cache.sql_ca_file"),
        ('load_balancer.hash_key = "tool"', "load_balancer.hash_key"),
        ('load_balancer = {strategy = "round_robin", slow_start = "1s"}', "load_balancer.slow_start"),
        ('local.idle_timeout = "1m"', "local.idle_timeout"),
        ('tls.server_name = "x"', "tls.server_name"),
        ('cache.type = "none"\ntools.x.cache_ttl = "1m"', "tools.x.cache_ttl"),
        ('audit.file = "a.jsonl"', "audit.file"),
        ('audit = {type = "stdout", keep = 3}', "audit.keep"),
        ('audit = {type = "stdout", redact = ["x"]}', "audit.redact"),
        ('access.denied = "unknown"', "access.denied"),
    ],
)
def test_a_key_without_effect_is_reported_with_its_line(text: str, key: str) -> None:
    (sentence,) = idle_keys(loads_toml(POOL + text, "f"))
    assert sentence.startswith(f"f:{4 + text.count(chr(10))}: {key} has no effect, because ")


@pytest.mark.parametrize(
    "text",
    [
        'cache.ttl = "1m"',
        'cache = {type = "sql", sql_url = "postgresql://db", sql_ca_file = "ca.pem", max_size = 5}',
        'cache = {type = "none", redis_url = "redis://r"}\nsessions.store = "redis"',
        'load_balancer = {strategy = "consistent_hash", hash_key = "tool"}',
        'tools.x.cache_ttl = "1m"',
        'tools.x.idempotent = true\ncache.type = "none"',
        "metrics.enabled = false",
        'audit = {type = "file", file = "a.jsonl", keep = 3}',
        'access.denied = "unknown"\ntools.x.access = "deny"',
    ],
)
def test_keys_with_an_effect_are_not_reported(text: str) -> None:
    before, after = (text, "") if text.startswith("metrics") else ("", text)
    assert idle_keys(loads_toml(f"{before}\n{POOL}{after}")) == []


def test_defaults_of_a_profile_are_nobodys_keys() -> None:
    assert idle_keys(loads_toml(f'profile = "test"\n{POOL}')) == []


def test_a_section_at_the_top_is_reported_only_if_no_pool_uses_it() -> None:
    text = f'cache.ttl = "1m"\n{POOL}cache.type = "none"\n'
    assert idle_keys(loads_toml(text, "f")) == ["f:1: cache.ttl has no effect, because cache.type is none"]
    assert idle_keys(loads_toml(text + POOL.replace('"a"', '"b"'), "f")) == []


def test_a_section_of_the_process_is_reported() -> None:
    text = f"metrics = {{enabled = false, port = 9}}\n{POOL}"
    assert idle_keys(loads_toml(text, "f")) == ["f:1: metrics.port has no effect, because metrics.enabled is false"]
