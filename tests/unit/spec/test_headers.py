"""`headers.forward`: what a pool may send on of its clients' headers."""

from __future__ import annotations

import pytest

from mcppool.spec import ConfigError, loads_toml


def forward(name: str) -> tuple[str, ...]:
    text = f"""
[[pools]]
name = "p"
endpoints = ["http://127.0.0.1:1/mcp"]
headers = {{forward = ["{name}"]}}
"""
    return loads_toml(text).pools[0].headers.forward


@pytest.mark.parametrize("name", ["X-Tenant", "x-api-key", "User-Agent", "X-Forwarded-For", "Forwarded", "B3"])
def test_a_pool_may_list_headers_that_only_its_servers_understand(name: str) -> None:
    assert forward(name) == (name,)


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("Host", "connection"),
        ("Authorization", "servers"),
        ("Cookie", "servers"),
        ("Connection", "connection"),
        ("Transfer-Encoding", "connection"),
        ("Content-Length", "connection"),
        ("content-type", "connection"),
        ("Accept-Encoding", "connection"),
        ("Mcp-Session-Id", "protocol"),
        ("mcp-anything", "protocol"),
        ("Last-Event-ID", "protocol"),
        ("Origin", "protocol"),
        ("X-Http-Method-Override", "another request"),
        ("X-Original-URL", "another request"),
        ("Range", "another request"),
        ("X_Tenant", "underscore"),
        ("X Tenant", "header"),
        ("", "header"),
        ("X-Tenant\\r\\nHost: x", "header"),
    ],
)
def test_a_header_that_a_client_must_not_set_at_a_server_is_refused_with_the_reason(name: str, word: str) -> None:
    with pytest.raises(ConfigError) as refused:
        forward(name)
    (problem,) = refused.value.problems
    assert problem.path == "pools[0].headers.forward[0]"
    assert word in str(problem)
