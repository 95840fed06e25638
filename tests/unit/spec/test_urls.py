"""URLs in the form for people."""

from __future__ import annotations

import pytest

from mcppool.spec import ConfigError, EndpointSpec, loads_toml
from mcppool.spec.explain import settings_of
from mcppool.spec.urls import redacted_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://a:1/mcp", "http://a:1/mcp"),
        ("http://[::1]:1/mcp", "http://[::1]:1/mcp"),
        ("https://a/mcp?key=secret&team=b", "https://a/mcp?key=(hidden)&team=(hidden)"),
        ("https://a/mcp?secret", "https://a/mcp?(hidden)"),
        ("https://user:secret@a:1/mcp", "https://(hidden)@a:1/mcp"),
        ("https://secret@a/mcp?x=secret#x", "https://(hidden)@a/mcp?x=(hidden)#x"),
        ("https://[broken?key=secret", "(hidden)"),
    ],
)
def test_parts_of_a_url_that_may_be_secret_are_hidden(url: str, shown: str) -> None:
    assert redacted_url(url) == shown


def test_two_endpoints_that_differ_in_hidden_parts_have_two_names() -> None:
    one, other = (EndpointSpec(url=f"http://a/mcp?key={secret}").key for secret in ("s1", "s2"))
    assert one != other
    assert one.startswith("http://a/mcp?key=(hidden)#")
    assert EndpointSpec(url="http://a/mcp").key == "http://a/mcp"


@pytest.mark.parametrize("key", ["endpoints", "dns"])
def test_settings_show_no_query(key: str) -> None:
    url = '"http://a/mcp?key=hunter2"'
    snapshot = loads_toml(f'[[pools]]\nname = "p"\n{key} = {url if key == "dns" else f"[{url}]"}\n')
    assert "hunter2" not in str(settings_of(snapshot))


@pytest.mark.parametrize(
    "endpoints",
    [
        '["http://user:hunter2@a/mcp"]',
        '["ftp://a/mcp?key=hunter2"]',
        '["http://a/mcp?key=hunter2", "http://a/mcp?key=hunter2"]',
        '["http://a/mcp?key=hunter2#x"]',
        '["http://a b/mcp?key=hunter2"]',
    ],
)
def test_a_refused_url_shows_no_secret(endpoints: str) -> None:
    with pytest.raises(ConfigError) as refused:
        loads_toml(f'[[pools]]\nname = "p"\nendpoints = {endpoints}\n')
    assert "hunter2" not in str(refused.value)
    assert "hunter2" not in repr([problem.value for problem in refused.value.problems])
