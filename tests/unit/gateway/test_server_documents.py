"""The documents of servers that check credentials themselves: which paths, how fresh, and of which origin."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mcppool.gateway.allowed_hosts import AllowedHosts
from mcppool.gateway.router import Router
from mcppool.gateway.server_documents import MAX_BODY, FoundDocument, ServerDocuments, ServersUnavailable
from mcppool.observe.metrics import GatewayMetrics
from mcppool.pipeline.pool.pool import ServerPool
from mcppool.policy.memory_budget import MemoryBudget
from mcppool.spec import EndpointSpec, PoolSpec
from mcppool.upstream.endpoint import Endpoint
from tests.servers.faults import Exchange, FaultServer
from tests.unit.gateway.http.driving import Wire
from tests.waiting import until

EXTERNAL = "https://mcp.example.com"
RESOURCE = f"{EXTERNAL}/mcp"
PLAIN = "/.well-known/oauth-protected-resource/mcp"
CUSTOM = "/custom/place.json"


class Site:
    """What a server has by path: a document, or an HTTP status."""

    def __init__(self, **pages: Any) -> None:
        self.pages: dict[str, Any] = pages
        self.cache_control: str | None = None
        self.gate: asyncio.Event | None = None
        self.asked: list[str] = []

    async def __call__(self, exchange: Exchange) -> None:
        assert exchange.method == "GET"
        self.asked.append(exchange.path)
        if self.gate is not None:
            await self.gate.wait()
        page = self.pages.get(exchange.path, "404 Not Found")
        if isinstance(page, str):
            await exchange.respond(b"", status=page)
            return
        headers = [("Cache-Control", self.cache_control)] if self.cache_control is not None else []
        await exchange.respond(page, headers=headers)


def metadata(**more: Any) -> dict[str, Any]:
    return {"resource": RESOURCE, "authorization_servers": ["https://id.example.com"], **more}


@asynccontextmanager
async def documents_of(*sites: Site, resource: str = RESOURCE) -> AsyncIterator[tuple[ServerDocuments, list[Endpoint]]]:
    """The documents of a pool of these sites, and its endpoints."""
    servers = [FaultServer(site, everything=True) for site in sites]
    endpoints = []
    for server in servers:
        await server.__aenter__()
        spec = EndpointSpec.model_validate({"url": server.url})
        endpoints.append(Endpoint(spec, PoolSpec.model_validate({"name": "demo", "endpoints": [spec]})))
    pool = SimpleNamespace(endpoints={endpoint.key: endpoint for endpoint in endpoints})
    try:
        yield ServerDocuments(cast(ServerPool, pool), (resource,) if resource else ()), endpoints
    finally:
        for server in servers:
            await server.__aexit__(None, None, None)


def challenge(url: str) -> bytes:
    return f'Bearer error="invalid_token", resource_metadata="{url}"'.encode()


async def body_of(documents: ServerDocuments, path: str) -> Any:
    found = await documents.get(path)
    return None if found is None else json.loads(found.body)


async def test_a_document_is_asked_for_anew_and_its_cache_control_goes_on() -> None:
    site = Site(**{PLAIN: metadata()})
    async with documents_of(site) as (documents, _):
        found = await documents.get(PLAIN)
        assert found is not None
        assert found.cache_control == b"no-store"
        site.pages[PLAIN], site.cache_control = metadata(authorization_servers=["https://other.example"]), "max-age=60"
        found = await documents.get(PLAIN)
        assert found is not None
        assert (json.loads(found.body), found.cache_control) == (site.pages[PLAIN], b"max-age=60")


async def test_clients_that_ask_at_the_same_time_share_one_request() -> None:
    site = Site(**{PLAIN: metadata()})
    site.gate = asyncio.Event()
    async with documents_of(site) as (documents, _):
        asking = [asyncio.create_task(documents.get(PLAIN)) for _ in range(20)]
        await asyncio.sleep(0)
        asking[0].cancel()  # the others still get theirs
        site.gate.set()
        found = await asyncio.gather(*asking[1:])
        assert site.asked == [PLAIN]
        assert all(isinstance(each, FoundDocument) for each in found)


async def test_a_challenge_names_a_document_at_a_path_of_the_servers_choice() -> None:
    site = Site(**{CUSTOM: metadata()})
    async with documents_of(site) as (documents, (endpoint,)):
        assert not await documents.names(CUSTOM)
        endpoint.metadata.learn([challenge(EXTERNAL + CUSTOM)])
        assert await documents.names(CUSTOM)
        assert await body_of(documents, CUSTOM) == metadata()
        assert site.asked == [CUSTOM]


@pytest.mark.parametrize(
    "url",
    [
        f"https://other.example{CUSTOM}",
        f"http://mcp.example.com{CUSTOM}",
        f"https://mcp.example.com:8443{CUSTOM}",
        f"{EXTERNAL}{CUSTOM}?of=x",
        f"file://mcp.example.com{CUSTOM}",
        "https://[mcp.example.com/custom/place.json",
        f"{EXTERNAL}{CUSTOM}{'x' * 2048}",
    ],
)
async def test_a_document_of_another_origin_is_not_served(url: str) -> None:
    async with documents_of(Site(**{CUSTOM: metadata()})) as (documents, (endpoint,)):
        endpoint.metadata.learn([challenge(url)])
        assert not await documents.names(CUSTOM)


@pytest.mark.parametrize(
    "page",
    [{"users": ["ann"]}, [1], b"resource = 1", metadata(padding="x" * MAX_BODY), "302 Found", "401 Unauthorized"],
)
async def test_a_named_page_that_is_no_metadata_is_not_served(page: Any) -> None:
    async with documents_of(Site(**{CUSTOM: page})) as (documents, (endpoint,)):
        endpoint.metadata.learn([challenge(EXTERNAL + CUSTOM)])
        try:
            assert await documents.get(CUSTOM) is None
        except ServersUnavailable:
            assert isinstance(page, dict), "only an answer that is too large is none"


async def test_an_endpoint_has_a_bounded_number_of_named_documents() -> None:
    async with documents_of(Site()) as (documents, (endpoint,)):
        for number in range(1000):
            endpoint.metadata.learn([challenge(f"{EXTERNAL}/{number}")])
        assert [number for number in range(1000) if await documents.names(f"/{number}")] == list(range(992, 1000))


async def test_metadata_of_an_issuer_with_a_path_is_served_if_it_is_at_the_origin_of_the_pool() -> None:
    issuer, foreign = f"{EXTERNAL}/tenant", "https://id.example.com/tenant2"
    place = "/.well-known/oauth-authorization-server/tenant"
    pages = {PLAIN: metadata(authorization_servers=[issuer, foreign]), place: {"issuer": issuer}}
    pages["/.well-known/oauth-authorization-server/tenant2"] = {"issuer": foreign}
    async with documents_of(Site(**pages)) as (documents, _):
        assert await documents.names(place), "also if this gateway has not served the metadata that names it"
        assert await body_of(documents, place) == {"issuer": issuer}
        assert not await documents.names("/.well-known/oauth-authorization-server/tenant2")
        assert not await documents.names("/.well-known/oauth-authorization-server/other")


async def test_another_replica_has_the_document_that_one_lacks_or_does_not_give() -> None:
    for lacking in ("404 Not Found", "503 Service Unavailable"):
        async with documents_of(Site(**{PLAIN: lacking}), Site(**{PLAIN: metadata()})) as (documents, _):
            assert await body_of(documents, PLAIN) == metadata()


async def test_while_no_server_answers_the_last_document_is_served_and_another_is_unavailable() -> None:
    site = Site(**{PLAIN: metadata(), CUSTOM: metadata()})
    async with documents_of(site) as (documents, _):
        assert await body_of(documents, PLAIN) == metadata()
        site.pages = dict.fromkeys(site.pages, "503 Service Unavailable")
        assert await body_of(documents, PLAIN) == metadata()
        with pytest.raises(ServersUnavailable):
            await documents.get(CUSTOM)
        site.pages = {}
        assert await documents.get(PLAIN) is None
        asked = len(site.asked)
        assert await documents.get(PLAIN) is None
        assert len(site.asked) == asked, "a missing document is asked for at a bounded rate"


async def test_the_path_of_the_external_url_is_in_the_path_of_the_document() -> None:
    async with documents_of(Site(), resource=f"{EXTERNAL}/tools/mcp") as (documents, _):
        assert documents.own_paths == ["/.well-known/oauth-protected-resource/tools/mcp"]


async def test_the_router_serves_a_named_document_to_get_alone_and_tells_when_no_server_answers() -> None:
    site = Site(**{CUSTOM: metadata(), PLAIN: metadata()})
    async with documents_of(site) as (documents, (endpoint,)):
        router = Router(GatewayMetrics(), AllowedHosts("127.0.0.1", (), ()), MemoryBudget())
        router.serve_pools({}, documents={PLAIN.encode(): documents})
        wire = Wire(router.handle)

        async def ask(method: str, path: str) -> int:
            await wire.say(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode())
            await until(lambda: not wire.connection.busy, "it is answered")
            return wire.statuses[-1]

        assert await ask("GET", CUSTOM) == 404
        endpoint.metadata.learn([challenge(EXTERNAL + CUSTOM)])
        assert [await ask(method, CUSTOM) for method in ("GET", "HEAD", "POST", "DELETE")] == [200, 200, 405, 405]
        assert b"cache-control: no-store\r\n" in wire.said
        assert await ask("GET", "/custom/other.json") == 404
        site.pages = dict.fromkeys(site.pages, "503 Service Unavailable")
        assert await ask("GET", PLAIN) == 503
        assert b"retry-after: 1\r\n" in wire.said
