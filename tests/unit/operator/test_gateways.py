from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from mcppool_operator.gateways import MAX_ANSWER, ask, compare, configz_url, felt_health, new_session
from mcppool_operator.observed import Sync


def test_gateways_are_compared_with_the_published_hash() -> None:
    answers: dict[str, Any] = {
        "a": {"hash": "new", "rejected": None},
        "b": {"hash": "old", "rejected": {"hash": "new", "problems": ["x"]}},
        "c": None,
        "d": {"hash": "old", "rejected": {"hash": "older"}},
    }
    assert compare("new", answers) == Sync(ready=4, synced=1, rejected=("b",), silent=("c",))


def test_an_answer_of_any_other_shape_is_no_agreement() -> None:
    assert compare("new", {"a": {"hash": 3, "rejected": "x"}, "b": {}}) == Sync(ready=2)


def test_a_pod_is_asked_on_the_operators_port() -> None:
    assert configz_url("10.0.0.1") == "http://10.0.0.1:9090/configz?settings=none"
    assert configz_url("fd00::1") == "http://[fd00::1]:9090/configz?settings=none"


@pytest.mark.parametrize(
    ("components", "felt"),
    [
        ({"pool search": {"status": "unhealthy", "message": "nobody"}}, "nobody"),
        ({"pool search": {"status": "degraded", "message": "one"}, "pool docs": {"status": "unhealthy"}}, None),
        ({"pool search": {"status": "unhealthy"}}, "no reason is given"),
        ({"pool search": "unhealthy"}, None),
        ([], None),
        (None, None),
    ],
)
def test_a_gateway_reports_whether_it_can_answer_clients_of_a_pool(components: Any, felt: str | None) -> None:
    assert felt_health({"components": components}, "search") == felt
    assert felt_health(None, "search") is None


@asynccontextmanager
async def serving(answer: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that gives each request the same bytes; its URL, and the request heads that came."""
    heads: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        try:
            await writer.drain()
        except ConnectionError:
            pass  # the operator has seen enough
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/configz", heads


def response(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + body


GOOD = json.dumps({"hash": "sha256:1"}).encode()


async def test_a_gateway_that_answers_as_it_should_is_read() -> None:
    async with serving(response(GOOD, Content_Length=str(len(GOOD)))) as (url, heads), new_session() as session:
        assert await ask(session, url) == {"hash": "sha256:1"}
    assert b"accept-encoding: identity" in heads[0].lower()


async def test_a_redirect_is_not_followed() -> None:
    async with serving(response(GOOD)) as (secret, heads), new_session() as session:
        for status in ("301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"):
            async with serving(response(b"", status, Location=secret)) as (url, _):
                assert await ask(session, url) is None
    assert heads == []


@pytest.mark.parametrize(
    "answer",
    [
        response(gzip.compress(GOOD), Content_Encoding="gzip"),
        response(gzip.compress(b" " * 50_000_000 + GOOD), Content_Encoding="gzip"),
        response(b'{"hash": "' + b"x" * MAX_ANSWER + b'"}'),
        response(b"x" * 10_000_000),
        response(b"[" * 60_000),
        response(b'{"hash": ' + b"9" * 6000 + b"}"),
        response(b"[]"),
        response(b"\xff\xfe"),
        response(GOOD, "503 Service Unavailable"),
    ],
    ids=["gzip", "gzip-bomb", "too-long", "endless", "deep", "digits", "list", "no-text", "error"],
)
async def test_an_answer_that_no_gateway_gives_counts_as_none(answer: bytes) -> None:
    async with serving(answer) as (url, _), new_session() as session:
        assert await ask(session, url) is None


async def test_an_answer_of_just_the_longest_length_is_read() -> None:
    body = GOOD + b" " * (MAX_ANSWER - len(GOOD))
    async with serving(response(body)) as (url, _), new_session() as session:
        assert await ask(session, url) == {"hash": "sha256:1"}
