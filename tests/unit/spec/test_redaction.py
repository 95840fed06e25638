"""A refused configuration shows no secret, whatever its place."""

from __future__ import annotations

import json

import pytest

from mcppool.spec import ConfigError, loads_toml
from mcppool.spec.redaction import MAX_LOOKED_AT, is_secret, redacted, without_secrets

POOL = '[[pools]]\nname = "a"\n'


@pytest.mark.parametrize(
    "text",
    [
        '[cache]\ntype = "redis"\nredis_url = "redis://:hunter2@h:1/0"\n',
        '[cache]\nredis_url = "redis://user:hunter2@h:1/0"\n',
        '[cache]\nredis_url = "redis:/user:hunter2@h"\n',
        '[cache]\nredis_url = "user:hunter2@h"\n',
        '[cache]\nredis_url = "redis://u:x/hunter2@h"\n',
        '[cache]\nredis_url = "redis://u:' + "x" * 200 + 'hunter2@h"\n',
        '[cache]\nredis_url = "http://h/?password=hunter2"\n',
        '[cache]\npassword = "hunter2"\n',
        '[cache]\nredis_password = "hunter2"\n',
        '[cache]\nredis_password = ["hunter2"]\n',
        '[cache]\nredis = {password = "hunter2", port = 1}\n',
        '[auth.outbound]\ntoken = "hunter2"\n',
        '[listener]\nsealing_key = "hunter2"\n',
        'api_key = "hunter2"\n',
        'api-key = "hunter2"\n',
        'Authorization = "Bearer hunter2"\n',
        POOL + 'endpoints = ["http://user:hunter2@h/mcp", "http://user:hunter2@h/mcp"]\n',
        POOL + 'endpoints = ["ftp://user:hunter2@h/mcp"]\n',
        POOL + 'endpoints = ["http//user:hunter2@h/mcp"]\n',
        POOL + 'endpoints = ["http://h/mcp?token=hunter2#x"]\n',
        POOL + 'endpoints = [{url = "http://user:hunter2@h:99999/mcp", weight = -1}]\n',
        POOL + 'dns = "http://user:hunter2@h:x/mcp"\n',
        POOL + 'token = "hunter2"\n',
        POOL + 'command = "server --token hunter2"\n',
        POOL + 'command = "server -x --api-key=hunter2"\n',
        POOL + 'command = ["server", "--token", "hunter2", 5]\n',
        POOL + 'command = {run = ["server", "--password", "hunter2"]}\n',
        POOL + 'command = ["x"]\nenv = "ANYTHING=hunter2"\n',
        POOL + 'command = ["x"]\nenv = ["ANYTHING=hunter2"]\n',
        POOL + 'command = ["x"]\nenv = {ANYTHING = ["hunter2"]}\n',
        POOL + 'command = ["x"]\nenv_from = ["ANYTHING=hunter2"]\n',
        POOL + 'endpoints = ["http://h/mcp"]\nenv = {ANYTHING = "hunter2"}\n',
        POOL + 'endpoints = ["http://h/mcp"]\nheaders = "X-Anything: hunter2"\n',
        POOL + 'endpoints = ["http://h/mcp"]\nheaders = {send = "X-Anything: hunter2"}\n',
        POOL + 'endpoints = ["http://h/mcp"]\nheaders = {send = ["X-Anything: hunter2"]}\n',
        POOL + 'endpoints = ["http://h/mcp"]\nheaders = {send = {X-Anything = "hunter2\\u0000"}}\n',
        POOL + 'endpoints = ["http://h/mcp"]\nheaders = {send = {X-Anything = {value = ["hunter2"]}}}\n',
        POOL + 'endpoints = ["http://h/mcp"]\nheaders = {send = {X-Any = {value = "hunter2", value_file = "/x"}}}\n',
        POOL + 'endpoints = ["http://h/mcp"]\n[pools.headers.send.X-Anything]\nvalue = "hunter2\n',
        POOL + 'command = ["x"]\n[pools.env]\nANYTHING = "hunter2\n',
        POOL + 'command = ["x"]\nenv = {ANYTHING = "hunter2"\n',
        'client_secret = "hunter2\n',
        "password = hunter2\n",
        'password = "x" "hunter2"\n',
    ],
)
def test_no_secret_is_in_a_problem(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        loads_toml(text)
    for problem in refused.value.problems:
        assert "hunter2" not in str(problem)
        assert "hunter2" not in json.dumps([problem.value, problem.allowed, problem.path], default=str)
    assert "hunter2" not in str(refused.value)


def test_values_that_are_no_secrets_are_shown() -> None:
    with pytest.raises(ConfigError) as refused:
        loads_toml('[cache]\nredis_url = "ftp://h:1/0"\nmax_size = "many"\nredis_password_file = 7\n')
    text = str(refused.value)
    for shown in ("ftp://h:1/0", "many", "7"):
        assert shown in text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("redis://u:p@h", "redis://(hidden)@h"),
        ("see http://a/b?c=d for more", "see http://a/b?(hidden) for more"),
        ("a@b.example", "a@b.example"),
        ("why? because", "why? because"),
        ("a = b, x=1, TOKEN=y", "a = b, x=1, TOKEN=(hidden)"),
        ("run --port 1 --token x -v", "run --port 1 --token (hidden) -v"),
        ("image@sha256", "image@sha256"),
    ],
)
def test_of_a_text_only_user_info_and_queries_are_hidden(text: str, left: str) -> None:
    assert without_secrets(text) == left


def test_a_long_text_is_searched_up_to_a_bound() -> None:
    assert len(without_secrets("x:" * 5_000_000)) < MAX_LOOKED_AT + 20
    assert len(without_secrets("://?" * 5_000_000 + "@")) < MAX_LOOKED_AT + 20


@pytest.mark.parametrize("key", ["redis_password_file", "sealing_keys", "secretRef", "hash_key", "keyFile", "timeout"])
def test_a_key_with_the_place_of_a_secret_is_no_secret(key: str) -> None:
    assert not is_secret(key)
    assert redacted({key: "x"}) == {key: "x"}
