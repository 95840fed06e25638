"""`headers.forward`: the client headers that a pool may pass on."""

from __future__ import annotations

import pytest

from mcppool.spec import ConfigError, Snapshot, loads_toml
from mcppool.spec.explain import settings_of


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
        ("Mcppool-Probe", "own parts"),
        ("Origin", "protocol"),
        ("X-Http-Method-Override", "changes the request"),
        ("X-Original-URL", "changes the request"),
        ("Range", "changes the request"),
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


def sending(text: str) -> Snapshot:
    return loads_toml(
        f'[[pools]]\nname = "p"\nendpoints = [{{url = "http://127.0.0.1:1/mcp", headers = {{{text}}}}}]\n'
    )


@pytest.mark.parametrize(
    "text",
    [
        'Authorization = {value_env = "TOKEN", prefix = "Bearer "}',
        'X-Api-Key = {value_file = "/run/secrets/key"}',
        'X-Team = "blue", Cookie = "a=b"',
    ],
)
def test_an_endpoint_may_be_sent_headers_with_each_request(text: str) -> None:
    (endpoint,) = sending(text).pools[0].endpoints
    assert endpoint.headers


@pytest.mark.parametrize(
    ("text", "place", "word"),
    [
        ('Host = "x"', "Host", "connection"),
        ('Accept = "x"', "Accept", "client"),
        ('Mcp-Session-Id = "x"', "Mcp-Session-Id", "protocol"),
        ('X_Team = "x"', "X_Team", "underscore"),
        ('X-Team = ""', "X-Team.value", "printable"),
        ('X-Team = "a\\r\\nHost: x"', "X-Team.value", "printable"),
        ("X-Team = {}", "X-Team.value", "must be set"),
        ('X-Team = {value = "a", value_env = "A"}', "X-Team.value", "must be set"),
        ('X-Team = {secret = "a"}', "X-Team.secret", "unknown key"),
    ],
)
def test_a_header_that_cannot_be_sent_is_refused_with_the_reason(text: str, place: str, word: str) -> None:
    with pytest.raises(ConfigError) as refused:
        sending(text)
    problem = refused.value.problems[0]
    assert problem.path == f"pools[0].endpoints[0].headers.{place}"
    assert word in str(problem)


def test_a_sent_header_cannot_be_forwarded_too() -> None:
    with pytest.raises(ConfigError, match=r"is in headers\.send too"):
        loads_toml('[[pools]]\nname = "p"\nheaders = {forward = ["x-team"], send = {X-Team = "a"}}\n')


def test_a_value_is_shown_nowhere() -> None:
    snapshot = sending('X-Api-Key = "hunter2"')
    assert "hunter2" not in str(settings_of(snapshot))
    with pytest.raises(ConfigError) as refused:
        sending('X-Api-Key = "hunter2\\n"')
    assert "hunter2" not in str(refused.value)
    assert "hunter2" not in repr([problem.value for problem in refused.value.problems])
