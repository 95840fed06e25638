"""A server that offers without end, or very much, costs its catalog no more than some names."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest

from mcppool.upstream.failures import BadAnswer
from mcppool.upstream.http.connection import Connection
from mcppool.upstream.http.response import Response
from mcppool.upstream.probing.catalog_reader import MAX_CURSOR, MAX_PAGES, MAX_TOOLS, read_tools
from mcppool.upstream.probing.failures import NotModern
from mcppool.upstream.probing.messages import MAX_BYTES, read_message
from mcppool.upstream.probing.modern_check import check_modern
from mcppool.upstream.probing.probe import Probe


class Offers:
    """A probe of a server that gives these results, one page after another, and the last one for ever."""

    def __init__(self, *results: dict[str, Any]) -> None:
        self._results = list(results)
        self.asked = 0

    async def modern(self, method: str, **params: object) -> tuple[Response, Any]:
        result = self._results[min(self.asked, len(self._results) - 1)]
        self.asked += 1
        message = msgspec.json.decode(msgspec.json.encode({"result": result}), type=Message)
        return Response(cast(Connection, None)), message


class Message(msgspec.Struct):
    result: msgspec.Raw = msgspec.Raw(b"{}")


def probe_of(offers: Offers) -> Probe:
    return cast(Probe, offers)


async def test_names_of_tools_are_bounded_in_number_and_length() -> None:
    page = {"tools": [{"name": f"{number}"} for number in range(3000)], "nextCursor": "more"}
    pages = [{**page, "tools": [{"name": f"{p}-{n}"} for n in range(3000)]} for p in range(5)]
    offers = Offers({"tools": [{"name": "x" * 5_000_000}, {"name": "short"}], "nextCursor": "more"}, *pages)
    tools = await read_tools(probe_of(offers), None, {})
    assert len(tools) == MAX_TOOLS
    assert "short" in tools
    assert max(map(len, tools)) < 100


@pytest.mark.parametrize(("cursor", "asked"), [("again", MAX_PAGES), ("c" * (MAX_CURSOR + 1), 1)])
async def test_pages_that_never_end_do_and_a_huge_cursor_is_not_followed(cursor: str, asked: int) -> None:
    offers = Offers({"tools": [{"name": "a"}], "nextCursor": cursor})
    assert set(await read_tools(probe_of(offers), None, {})) == {"a"}
    assert offers.asked == asked


async def test_of_the_versions_that_a_server_offers_some_are_shown() -> None:
    offers = Offers({"supportedVersions": ["v" * 1_000_000] * 12})
    with pytest.raises(NotModern) as caught:
        await check_modern(probe_of(offers))
    assert 100 < len(str(caught.value)) < 300


async def test_a_server_with_a_large_icon_is_modern() -> None:
    usual = {"supportedVersions": ["2026-07-28"], "capabilities": {}}
    icons = [{"src": "x" * (MAX_BYTES - 1000)}]
    found = await check_modern(probe_of(Offers({**usual, "serverInfo": {"name": "s", "icons": icons}})))
    assert msgspec.json.decode(found)["serverInfo"]["icons"] == icons


@pytest.mark.parametrize("content_type", [b"application/json", b"text/event-stream"])
async def test_an_answer_without_end_is_read_up_to_a_limit(content_type: bytes) -> None:
    class Endless:
        def __init__(self) -> None:
            self.content_type = content_type
            self.sent = 0

        async def next_chunk(self) -> bytes:
            self.sent += 65536
            return b": " + b" " * 65533 + b"\n"

    endless = Endless()
    with pytest.raises(BadAnswer, match="an answer of more than"):
        await read_message(cast(Response, endless), b"1")
    assert endless.sent <= MAX_BYTES + 65536
