"""Configured headers that go to an endpoint with each request."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcppool.spec import EndpointSpec, HeadersSpec, HeaderValueSpec, PoolSpec
from mcppool.upstream.http.request_head import RequestHead


def head(endpoint: dict[str, HeaderValueSpec], pool: dict[str, HeaderValueSpec] | None = None) -> RequestHead:
    spec = EndpointSpec(url="http://a/mcp", headers=endpoint)
    return RequestHead(spec, PoolSpec(name="p", endpoints=(spec,), headers=HeadersSpec(send=pool or {})), "a")


def sent(head: RequestHead) -> list[str]:
    lines = head.begin().decode().split("\r\n")[1:-1]
    return [line for line in lines if not line.startswith(("host:", "accept-encoding:", "user-agent: mcppool"))]


def test_an_endpoints_own_headers_go_before_the_pools() -> None:
    own = {"X-Team": HeaderValueSpec(value="blue")}
    pool = {"x-team": HeaderValueSpec(value="red"), "X-All": HeaderValueSpec(value="a", prefix="Bearer ")}
    assert sorted(sent(head(own, pool))) == ["x-all: Bearer a", "x-team: blue"]


def test_a_user_agent_of_the_pools_takes_the_place_of_ours() -> None:
    made = head({}, {"User-Agent": HeaderValueSpec(value="me")})
    assert made.begin().count(b"user-agent") == 1
    assert b"user-agent: me\r\n" in made.begin(b"a=1")


def test_a_value_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "t-1")
    value = {"Authorization": HeaderValueSpec(value_env="TOKEN", prefix="Bearer ")}
    assert sent(head(value)) == ["authorization: Bearer t-1"]
    monkeypatch.delenv("TOKEN")
    made = head(value)
    assert sent(made) == []
    assert made.sent.problems == ("authorization: the environment variable TOKEN is not set; the header is not sent",)


def test_a_value_in_a_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "token"
    made = head({"Authorization": HeaderValueSpec(value_file=str(file), prefix="Bearer ")})
    assert sent(made) == []
    assert "cannot be read" in made.sent.problems[0]
    assert not made.renew()
    file.write_text("t-1\n")
    assert made.renew()
    assert sent(made) == ["authorization: Bearer t-1"]
    assert b"Bearer t-1" in made.begin(b"a=1")
    assert not made.renew()
    file.write_text("t-2")
    assert made.renew()
    assert (made.sent.problems, sent(made)) == ((), ["authorization: Bearer t-2"])
    assert b"Bearer t-2" in made.begin(b"a=1")


@pytest.mark.parametrize("content", [None, b"", b"t-1\nt-2\n"])
def test_a_file_that_cannot_be_read_for_a_while_leaves_the_last_value(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "token"
    file.write_text("t-1")
    made = head({"Authorization": HeaderValueSpec(value_file=str(file))})
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    assert made.renew()
    assert sent(made) == ["authorization: t-1"]
    assert made.sent.problems[0].endswith("; the last value is sent")
    file.write_text("t-2")
    assert made.renew()
    assert (made.sent.problems, sent(made)) == ((), ["authorization: t-2"])


@pytest.mark.parametrize("content", [b"", b"\n", b"a\r\nHost: evil", b"a\nb", b"\xc3\xa9", b"a\0b", b" a", b"x" * 9000])
def test_an_invalid_header_value_is_neither_sent_nor_shown(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    made = head({"Authorization": HeaderValueSpec(value_file=str(file))})
    assert sent(made) == []
    (problem,) = made.sent.problems
    assert "evil" not in problem
    assert str(file) in problem
