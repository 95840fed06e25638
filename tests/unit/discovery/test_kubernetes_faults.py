"""Faults that a healthy API server does not show on demand: each by a server with only that fault.

The ConfigMap source against a real API server is in tests/integration.
"""

from __future__ import annotations

import asyncio
import json
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from mcppool.discovery import kubernetes as module
from mcppool.discovery.kube_api import ApiServer
from mcppool.discovery.kubernetes import KubernetesSource, Timing
from mcppool.spec import ConfigError
from tests.certificates import make_server_certificate
from tests.servers import free_port
from tests.unit.discovery.recorder import Events, port, text, until, watched

IMPATIENT = Timing(silence=0.2, stale_after=0.3, mount_interval=0.05, backoff_base=0.01, backoff_cap=0.05)
Answer = Callable[["FaultyApi", web.Request], Awaitable[web.StreamResponse]]


def config_map(snapshot: str) -> dict[str, Any]:
    return {"metadata": {"name": "pool", "resourceVersion": "7"}, "data": {"snapshot.json": snapshot}}


class FaultyApi:
    """Lists one ConfigMap; its watches follow the test's script, in turn, and repeat the last one for ever."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.certificate = make_server_certificate(folder / "pki")
        self.snapshot = text(1)
        self.lists: list[web.Request] = []
        self.watches: list[web.Request] = []
        self.list_answers: list[Answer] = []
        self.watch_answers: list[Answer] = [quiet]
        self.port = free_port()
        self._runner: web.AppRunner | None = None
        self.log = Events()
        (folder / "token").write_text("first\n")

    @property
    def api(self) -> ApiServer:
        return ApiServer("127.0.0.1", self.port, self.folder / "token", self.folder / "pki" / "ca.crt")

    def source(self, timing: Timing = IMPATIENT) -> KubernetesSource:
        return KubernetesSource("default", "pool", log=self.log, api=self.api, timing=timing)

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/api/v1/namespaces/default/configmaps", self._answer)
        trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trust.load_cert_chain(self.certificate.certificate, self.certificate.key)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=trust).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        assert request.query["fieldSelector"] == "metadata.name=pool"
        if "watch" in request.query:
            self.watches.append(request)
            answer = self.watch_answers.pop(0) if len(self.watch_answers) > 1 else self.watch_answers[0]
            return await answer(self, request)
        self.lists.append(request)
        if self.list_answers:
            return await self.list_answers.pop(0)(self, request)
        return web.json_response({"metadata": {"resourceVersion": "7"}, "items": [config_map(self.snapshot)]})


async def quiet(api: FaultyApi, request: web.Request) -> web.StreamResponse:
    """Accepts the watch and says nothing, until the client leaves."""
    response = await opened(request)
    await asyncio.sleep(3600)
    return response


async def opened(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    return response


def says(*lines: bytes) -> Answer:
    """Accepts the watch, sends these pieces and ends it."""

    async def answer(api: FaultyApi, request: web.Request) -> web.StreamResponse:
        response = await opened(request)
        for line in lines:
            await response.write(line)
        return response

    return answer


def refuses(status: int, **headers: str) -> Answer:
    async def answer(api: FaultyApi, request: web.Request) -> web.StreamResponse:
        return web.json_response({"kind": "Status", "message": "no"}, status=status, headers=headers)

    return answer


def event(kind: str, subject: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": subject}).encode() + b"\n"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[FaultyApi]:
    faulty = FaultyApi(tmp_path)
    await faulty.start()
    yield faulty
    await faulty.stop()


GONE = {"kind": "Status", "code": 410, "message": "too old resource version"}


@pytest.mark.parametrize("answer", [says(event("ERROR", GONE)), refuses(410)], ids=["event", "status"])
async def test_a_version_that_is_too_old_leads_to_a_new_list(api: FaultyApi, answer: Answer) -> None:
    async def changed(faulty: FaultyApi, request: web.Request) -> web.StreamResponse:
        faulty.snapshot = text(2)
        return await answer(faulty, request)

    api.watch_answers = [changed, quiet]
    async with watched(api.source(Timing(backoff_base=0.01))) as recorder:
        await recorder.until(2)


@pytest.mark.parametrize(
    "answer",
    [
        says(b"not json\n"),
        says(b"[]\n"),
        says(b'{"type": "MODIFIED"}\n'),
        says(b'{"type": "MODIFIED", "object": {"metadata": null}}\n'),
        says(event("ERROR", {"code": 500, "message": "etcd is away"})),
        says(event("MODIFIED", config_map(text(9)))[:-20]),
        says(),
        refuses(401),
        refuses(503),
    ],
    ids=["garbage", "list", "no object", "no version", "error", "cut short", "nothing", "denied", "unavailable"],
)
async def test_a_watch_that_fails_is_taken_up_again_from_a_list(api: FaultyApi, answer: Answer) -> None:
    api.watch_answers = [answer, quiet]
    async with watched(api.source()) as recorder:
        await recorder.until(1)
        await until(lambda: len(api.watches) >= 2)
        assert recorder.said == (1, 0)
        assert len(api.lists) >= 2


async def test_an_event_in_pieces_is_one_event_and_two_in_one_piece_are_two(api: FaultyApi) -> None:
    first, second = event("MODIFIED", config_map(text(2))), event("MODIFIED", config_map(text(3)))
    whole = first + second
    api.watch_answers = [says(whole[:10], whole[10:]), quiet]
    async with watched(api.source()) as recorder:
        await until(lambda: len(recorder.published) >= 3)
        assert [port(snapshot) for snapshot in recorder.published[:3]] == [1, 2, 3]


async def test_an_event_without_end_is_not_kept(api: FaultyApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcppool.discovery.kube_api._LINE_LIMIT", 100_000)
    api.watch_answers = [says(*[b"x" * 50_000] * 4), quiet]
    async with watched(api.source()) as recorder:
        await recorder.until(1)
        await until(lambda: len(api.watches) >= 2)


async def test_a_silent_watch_is_left(api: FaultyApi) -> None:
    async with watched(api.source()) as recorder:
        await recorder.until(1)
        await until(lambda: len(api.watches) >= 2)
    assert "the API server was silent for 0.2 s" in api.log.text, "of a socket that is given up the log says no time"


async def test_a_bookmark_moves_the_version_from_which_the_next_watch_begins(api: FaultyApi) -> None:
    async def bookmark(faulty: FaultyApi, request: web.Request) -> web.StreamResponse:
        response = await opened(request)
        await response.write(event("BOOKMARK", {"metadata": {"resourceVersion": "99"}}))
        await asyncio.sleep(1.05)  # A watch that ends sooner counts as broken.
        return response

    api.watch_answers = [bookmark, quiet]
    async with watched(api.source(Timing())) as recorder:
        await recorder.until(1)
        await until(lambda: len(api.watches) == 2)
        assert [request.query["resourceVersion"] for request in api.watches] == ["7", "99"]
        assert {request.query["allowWatchBookmarks"] for request in api.watches} == {"true"}
        assert len(api.lists) == 1


async def test_an_api_that_fails_at_once_is_not_hammered(api: FaultyApi, monkeypatch: pytest.MonkeyPatch) -> None:
    ceilings: list[float] = []

    def no_wait(low: float, high: float) -> float:
        ceilings.append(high)
        return 0.0 if len(ceilings) < 12 else 3600.0

    monkeypatch.setattr(module, "random", SimpleNamespace(uniform=no_wait, randint=random.randint))
    api.list_answers = [refuses(500)] * 12
    async with watched(api.source(Timing())) as recorder:
        await until(lambda: len(ceilings) == 12)
        assert ceilings == [min(30.0, 0.1 * 2**n) for n in range(12)], "the wait before each new try is up to this"
        assert len(api.lists) == 12
        assert recorder.said == (0, 0)


async def test_an_api_that_asks_for_time_gets_it(api: FaultyApi) -> None:
    api.list_answers = [refuses(429, **{"Retry-After": "1"})]
    loop = asyncio.get_running_loop()
    begin = loop.time()
    async with watched(api.source(Timing(backoff_base=0.001))) as recorder:
        await recorder.until(1)
        assert loop.time() - begin >= 1.0


async def test_the_token_is_read_for_every_request(api: FaultyApi) -> None:
    async with watched(api.source()) as recorder:
        await recorder.until(1)
        (api.folder / "token").write_text("second\n")
        await until(lambda: api.watches[-1:] != [] and api.watches[-1].headers["Authorization"] == "Bearer second")
    assert api.lists[0].headers["Authorization"] == "Bearer first"


async def test_a_replaced_authority_is_trusted_from_the_next_request_on(api: FaultyApi) -> None:
    async with watched(api.source()) as recorder:
        await recorder.until(1)
        await api.stop()
        api.certificate = make_server_certificate(api.folder / "pki", "its successor")
        api.snapshot = text(2)
        await api.start()
        await recorder.until(2)


async def test_a_server_that_the_authority_did_not_sign_is_not_believed(api: FaultyApi) -> None:
    other = make_server_certificate(api.folder / "other").ca
    server = ApiServer("127.0.0.1", api.port, api.folder / "token", other)
    async with watched(KubernetesSource("default", "pool", log=api.log, api=server, timing=IMPATIENT)) as recorder:
        await until(lambda: "certificate verify failed" in api.log.text)
        assert recorder.said == (0, 0)
    assert api.lists == []


async def test_a_pod_without_token_or_authority_waits_for_them(api: FaultyApi) -> None:
    token = api.folder / "token"
    token.rename(api.folder / "elsewhere")
    async with watched(api.source()) as recorder:
        await until(lambda: "configuration_watch_lost" in api.log.text)
        assert recorder.said == (0, 0)
        assert api.lists == []
        token.write_text("late")
        await recorder.until(1)


def test_outside_of_a_cluster_the_source_raises_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(ConfigError, match="KUBERNETES_SERVICE_HOST"):
        KubernetesSource("default", "pool", log=Events())


def test_an_address_of_ip_version_6_is_bracketed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    assert ApiServer.in_cluster().url == "https://[fd00::1]:443"
