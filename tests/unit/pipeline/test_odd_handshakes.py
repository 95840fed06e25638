"""A session is opened whatever its client and its server say in the handshake."""

from __future__ import annotations

import json
import random
import string
from typing import Any

import pytest

from mcppool.pipeline.call import Call
from mcppool.pipeline.sessions.sealed_ids import MAX_UPSTREAM_ID
from mcppool.upstream.failures import BadAnswer
from mcppool.wire.era import Era
from mcppool.wire.sealing import inflated
from tests.unit.pipeline.pools import pool_of
from tests.unit.pipeline.sealed_sessions import RESULT, answered, begin, hello, sessions_of


@pytest.mark.parametrize(
    "info",
    [
        {}, {"name": "x"}, {"version": "1"}, {"name": 1, "version": 2.5}, {"name": None, "version": None}, [], "x", 7,
        None, True, {"name": "x", "version": {"major": 1}}, {"name": "x", "version": "1", "title": "T", "icons": []},
        {"name": "\ud800", "version": "\udfff"}, {"name": "\0\r\n", "version": ""}, {"name": "é" * 300, "version": "1"},
        {"name": "\ud800" * 300, "version": "1"},
    ],
)  # fmt: skip
@pytest.mark.parametrize("capabilities", [{}, [], None, "x", 1, {"sampling": 1, "roots": [[]]}])
async def test_a_session_is_opened_for_any_client_parameters(info: Any, capabilities: Any) -> None:
    session = sessions_of().open(begin(sessions_of(), clientInfo=info, capabilities=capabilities))
    assert session is not None
    assert json.loads(inflated(session.claims.capabilities or b"")) == capabilities
    kept = json.loads(session.claims.client)
    assert kept == info or {"name", "version"} == set(kept)


async def test_a_session_is_opened_without_any_parameters() -> None:
    endpoint = pool_of("", "a").endpoints["http://a/mcp"]
    odd: list[dict[str, Any]] = [{}, {"params": None}, {"params": {}}, {"params": []}]
    for params in odd:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", **params}).encode()
        call = Call(hello().request, body, b"", Era.LEGACY, 0.0)
        assert sessions_of().opened(call, endpoint, answered(), RESULT).startswith(b"mcp-session-id: ")


@pytest.mark.parametrize("version", [b"7", b"null", b'""', b'"' + b"9" * 5000 + b'"', b'"2025-03-26"', b"{}"])
async def test_a_session_is_opened_for_any_version_of_the_server(version: bytes) -> None:
    result = b'{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":%b}}' % version
    session = sessions_of().open(begin(sessions_of(), result=result))
    assert session is not None
    assert session.claims.version == "2025-03-26"


@pytest.mark.parametrize("length", [1, 1000, 3000, 4000, MAX_UPSTREAM_ID])
@pytest.mark.parametrize("noise", [0, 1500, 100_000])
async def test_a_session_is_opened_whatever_the_sizes_of_ids_and_capabilities(length: int, noise: int) -> None:
    sessions = sessions_of()
    letters = "".join(random.Random(3).choices(string.printable, k=noise))
    token = begin(sessions, "u" * length, capabilities={"x": letters}, clientInfo={"name": letters, "version": "1"})
    assert len(token) <= 6 * 1024
    for gateway in (sessions, sessions_of()):
        session = gateway.open(token)
        assert session is not None
        assert session.upstream_id == "u" * length


async def test_a_server_whose_session_ids_are_longer_than_headers_may_be_answers_badly() -> None:
    with pytest.raises(BadAnswer, match="4097 bytes; at most 4096"):
        begin(sessions_of(), "u" * (MAX_UPSTREAM_ID + 1))
