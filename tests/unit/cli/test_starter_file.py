"""The file of `mcppool init` is a valid configuration, whatever the servers say, and its comments are right."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mcppool.cli.first_look import Look
from mcppool.cli.starter_file import Answers, differences, name_from, starter_file
from mcppool.spec import loads_toml

READ = {"name": "read", "annotations": {"readOnlyHint": True}}
WRITE = {"name": "write"}
LOOK = Look("Search Server", "1.2", "legacy", "2025-11-25", (READ, WRITE))
URLS = ("http://127.0.0.1:8001/mcp", "http://127.0.0.1:8002/mcp")


def test_the_file_has_the_answers_and_what_the_servers_said() -> None:
    looks = [LOOK, Look(trouble="connection refused")]
    text = starter_file(Answers("search", "0.0.0.0:80", 9999, URLS, token_file="/run/token"), looks, "pools.toml")
    snapshot = loads_toml(text)
    (pool,) = snapshot.pools
    assert (pool.name, snapshot.listener.listen, snapshot.metrics.port) == ("search", "0.0.0.0:80", 9999)
    assert tuple(endpoint.url for endpoint in pool.endpoints) == URLS
    assert pool.auth.outbound.token is not None
    assert "Search Server 1.2: with sessions (2025-11-25), 2 tools." in text
    assert "did not answer: connection refused" in text
    assert "read-only or idempotent: read." in text
    assert "Not repeated: write." in text


def test_a_command_is_a_pool_of_processes() -> None:
    command = ("npx", "-y", 'a "quoted" one', "${HOME}")
    (pool,) = loads_toml(starter_file(Answers("a", "127.0.0.1:1", 2, command=command, replicas=4), [LOOK], "x")).pools
    assert (pool.command, pool.replicas) == (command, 4)


def test_the_suggestions_are_valid_when_they_are_uncommented() -> None:
    text = starter_file(Answers("a", "127.0.0.1:8080", 9090, URLS[:1]), [LOOK], "pools.toml")
    uncommented = re.sub(r"^  # +(?=\[pools|[a-z_]+ = )", "", text, flags=re.MULTILINE)
    assert uncommented.count("\n[pools.") >= 4
    (pool,) = loads_toml(uncommented).pools
    assert pool.tools["write"].idempotent
    assert pool.sessions.stateless
    assert pool.auth.inbound.type == "api_keys"


def test_the_example_is_of_a_tool_that_a_key_names_alone() -> None:
    odd = tuple({"name": name} for name in ("*", "wri*", "日本語", 'a "b"', "write"))
    for tools, keys in ((odd, 1), (odd[:-1], 0)):
        text = starter_file(
            Answers("a", "127.0.0.1:8080", 9090, URLS[:1]), [Look("s", "1", "modern", "2026-07-28", tools)], "x"
        )
        assert text.count("[pools.tools.") == text.count('[pools.tools."write"]') == keys


texts = st.text(max_size=20)
hostile = st.fixed_dictionaries({"name": texts}, optional={"annotations": st.dictionaries(texts, st.booleans())})


@given(texts, texts, st.lists(hostile, max_size=20), texts)
def test_no_text_of_a_server_leaves_its_comment(name: str, version: str, tools: list[dict[str, Any]], why: str) -> None:
    looks = [Look(name, version, "modern", "2026-07-28", tuple(tools)), Look(trouble=why)]
    answers = Answers(name_from(looks), "127.0.0.1:8080", 9090, URLS)
    text = starter_file(answers, looks, "pools.toml")
    assert all(line.isprintable() for line in text.split("\n"))
    (pool,) = loads_toml(text).pools
    assert len(pool.endpoints) == 2
    assert not pool.tools


def test_servers_that_are_no_replicas_of_one_another_are_pointed_out() -> None:
    other = Look("Other", "1", "modern", "2026-07-28", (READ,))
    assert len(differences([LOOK, other])) == 3
    assert differences([LOOK, LOOK, Look(trouble="gone")]) == []
    assert "# Look into this: the servers have different names (Other, Search Server)" in starter_file(
        Answers("a", "127.0.0.1:8080", 9090, URLS), [LOOK, other], "pools.toml"
    )
