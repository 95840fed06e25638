"""Advice as a diff of a file: it applies, the result is a valid file with the proposed values, each change has its
reason."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mcppool.cli.advice_diff import diff
from mcppool.spec import loads_toml

FILE = """profile = "production"

[timeouts]
request = "1m"

[[pools]]
name = "one"
endpoints = ["http://a/mcp", "http://b/mcp"]
load_balancer.strategy = "round_robin"  # as ever

  [pools.connection_pool]
  max_connections = 10
  min_connections = 5

  [pools.tools."find.all"]
  cache_ttl = "5m"

[[pools]]
name = "two"
endpoints = ["http://c/mcp"]
cache = {type = "none"}
"""


def piece(pool: str, *changes: tuple[str, Any]) -> dict[str, Any]:
    return {
        "pool": pool, "why": "It is so.", "check": "Is it?",
        "changes": [{"key": key, "now": None, "proposed": value} for key, value in changes],
    }  # fmt: skip


def toml(value: Any) -> str:
    return json.dumps(value)


def at(part: Any, key: str) -> Any:
    """The value at a path."""
    for name in re.findall(r'"[^"]+"|[^.]+', key):
        part = part[name.strip('"')] if isinstance(part, dict) else getattr(part, name)
    return part


def patched(folder: Path, *advice: dict[str, Any]) -> str:
    """The file after the diff is applied."""
    file = folder / "pools.toml"
    file.write_text(FILE)
    (folder / "changes").write_text(diff(FILE, "pools.toml", advice))
    subprocess.run(["git", "apply", "-p0", "changes"], check=True, cwd=folder)  # as `patch` does, which may be missing
    return file.read_text()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("load_balancer.strategy", "response_time_based"),
        ("connection_pool.max_connections", 120),
        ("connection_pool.health_check_interval", "9s"),
        ('tools."find.all".idempotent', True),
        ("tools.other.cache_ttl", "1m"),
        ("retry_policy.budget_percent", 39),
        ("timeouts.request", "10s"),
    ],
)
def test_a_proposal_is_put_where_its_key_belongs(tmp_path: Path, key: str, value: Any) -> None:
    text = patched(tmp_path, piece("one", (key, value)))
    alone = f'[[pools]]\nname = "x"\nendpoints = ["http://a/mcp"]\n{key} = {toml(value)}\n'
    assert at(loads_toml(text).pools[0], key) == at(loads_toml(alone).pools[0], key)
    assert "# advice: It is so. Is it?" in text
    assert loads_toml(text).pools[1] == loads_toml(FILE).pools[1], "the other pool stays as it is"


def test_a_replaced_line_stays_as_a_comment_and_a_removed_key_too(tmp_path: Path) -> None:
    text = patched(
        tmp_path,
        piece("one", ("load_balancer.strategy", "least_connections")),
        piece("one", ('tools."find.all".cache_ttl', None)),
    )
    pool = loads_toml(text).pools[0]
    assert pool.load_balancer.strategy == "least_connections"
    assert '# load_balancer.strategy = "round_robin"  # as ever' in text
    assert pool.tools["find.all"].cache_ttl is None
    assert '# cache_ttl = "5m"' in text


def test_a_change_that_no_line_can_make_is_a_comment(tmp_path: Path) -> None:
    text = patched(tmp_path, piece("two", ("endpoints", 4)))
    assert loads_toml(text).pools == loads_toml(FILE).pools
    assert "# advice: endpoints: 4" in text


def test_a_change_that_the_file_refuses_is_a_comment(tmp_path: Path) -> None:
    text = patched(tmp_path, piece("two", ("cache.type", "paper")))
    assert loads_toml(text).pools == loads_toml(FILE).pools
    assert '# advice: cache.type: "paper"' in text


def test_no_advice_is_no_difference() -> None:
    assert diff(FILE, "pools.toml", []) == ""


def test_the_changes_of_one_piece_of_advice_stand_together_below_its_reason(tmp_path: Path) -> None:
    text = patched(tmp_path, piece("one", ("tools.other.cache_ttl", "1m"), ("cache.type", "memory")))
    assert (
        'name = "one"\n# advice: It is so. Is it?\ntools.other.cache_ttl = "1m"\ncache.type = "memory"\nendpoints'
        in text
    )


@pytest.mark.parametrize(
    ("section", "key", "proposed"),
    [
        ("limits.pool = {max_concurrent = 4}  # as ever", "limits.pool.max_concurrent", 8),
        ("limits = {pool = {max_concurrent = 4}}", "limits.pool.max_concurrent", 8),
        ("[pools.limits]\nendpoint = {max_concurrent = 4, max_queue = 1}", "limits.endpoint.max_queue", 8),
        ("limits.endpoint = {max_concurrent = 4}", "limits.endpoint.max_queue", 8),
        ('limits = {max_answer = "1MiB"}', "limits.endpoint.max_concurrent", "auto"),
        ('tools = {find = {cache_ttl = "1m"}, "b.c" = {idempotent = true}}', "tools.find.cache_ttl", None),
    ],
)
def test_a_change_in_an_inline_table_leaves_the_rest_of_the_table_as_it_is(
    section: str, key: str, proposed: Any
) -> None:
    before = f'[[pools]]\nname = "one"\nendpoints = ["http://a/mcp"]\n{section}\n'
    changed = [line[1:] for line in diff(before, "f", [piece("one", (key, proposed))]).splitlines() if line[:1] == "+"]
    (line,) = (line for line in changed[1:] if not line.startswith("#"))
    assert f"# {section.splitlines()[-1]}" in changed
    after = loads_toml(before.replace(section.splitlines()[-1], line)).pools[0]
    old = loads_toml(before).pools[0]
    found = after.tools["find"].cache_ttl if "cache_ttl" in key else at(after, key)
    assert found == (None if proposed == "auto" else proposed)
    assert after != old
    assert after.limits.max_answer == old.limits.max_answer
    assert "b.c" not in old.tools or after.tools["b.c"] == old.tools["b.c"]
