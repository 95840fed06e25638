"""A stream stays open as long as its client's token holds and the rules allow it, and no longer."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mcppool.access import inbound
from mcppool.access.inbound import InboundAuth
from mcppool.gateway import open_streams
from mcppool.gateway.allowed_hosts import AllowedHosts
from mcppool.gateway.router import Router
from mcppool.observe.metrics import GatewayMetrics
from mcppool.policy.memory_budget import MemoryBudget
from mcppool.spec.sections.inbound import InboundAuthSpec
from tests.issuer import RESOURCE, Issuer, SigningKey, serving_issuer
from tests.servers import modern_request
from tests.unit.access.test_introspection import OpaqueIssuer
from tests.unit.gateway.http.driving import Wire
from tests.unit.gateway.test_router import AT_WORK, Pipeline, pool_of, post
from tests.waiting import until

BOUND = 300.0
"""`revocation_bound` of the pools, in seconds."""


@pytest.fixture(autouse=True)
def pipeline() -> Iterator[None]:
    AT_WORK.append(Pipeline())
    yield
    AT_WORK.pop()


class Clock:
    """The wall clock of the gateway, which the test moves on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead = 0.0
        monkeypatch.setattr(open_streams, "MAX_TIMER", 0.01)
        for module in (open_streams, inbound):
            monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: time.time() + self.ahead))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


class Door:
    """A router with one pool that takes tokens."""

    def __init__(self, **spec: Any) -> None:
        self.router = Router(GatewayMetrics(), AllowedHosts("127.0.0.1", (), ()), MemoryBudget())
        self.pool = pool_of("one", ())
        self.auth = InboundAuth(
            InboundAuthSpec.model_validate({"revocation_bound": f"{BOUND:g}s", **spec}),
            "one", {b"/mcp": RESOURCE}, Counter(), self.recheck,
        )  # fmt: skip
        self.serve()

    def serve(self) -> None:
        """Take a configuration over, as after an edit of something else."""
        self.router.serve_pools({"one": self.pool}, {"one": self.auth})

    def recheck(self) -> None:
        """As the gateway does when a credential may no longer hold."""
        self.router.streams.recheck(lambda stream: stream.auth is self.auth)

    async def listen(self, token: str) -> Wire:
        """A stream of the client with this token."""
        wire = Wire(self.router.handle)
        headers, body = modern_request("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
        before = len(self.router.streams)
        wire.connection.data_received(post("/mcp", headers | {"Authorization": f"Bearer {token}"}, body))
        await until(lambda: len(self.router.streams) > before, "the stream is open")
        return wire


@asynccontextmanager
async def signed(folder: Path, issuer: Issuer) -> AsyncIterator[Door]:
    file = folder / "jwks.json"
    file.write_bytes(issuer.jwks)
    door = Door(type="jwt", jwt={"issuers": [{"issuer": issuer.url, "jwks_file": str(file)}]})
    yield door
    await door.auth.close()


@asynccontextmanager
async def opaque(folder: Path, issuer: Issuer) -> AsyncIterator[Door]:
    (folder / "secret").write_text("s3cret")
    about = {"issuer": issuer.url, "client_id": "gateway", "client_secret_file": str(folder / "secret")}
    door = Door(type="introspection", introspection=about)
    yield door
    await door.auth.close()


async def test_an_edit_ends_no_stream_whose_token_was_verified_long_ago(tmp_path: Path, clock: Clock) -> None:
    issuer = Issuer()
    async with signed(tmp_path, issuer) as door:
        wire = await door.listen(issuer.token(exp=int(time.time()) + 9000))
        for ahead in (BOUND + 1, 2 * BOUND + 2):
            clock.ahead = ahead
            door.serve()
            await wire.settle(lambda: wire.transport.gone)
            assert not wire.transport.gone
        clock.ahead = 9000 + 301
        await until(lambda: wire.transport.gone, "the stream ends with its token")


async def test_without_a_key_of_the_issuer_the_streams_of_its_tokens_end_and_no_others(tmp_path: Path) -> None:
    issuer = Issuer()
    issuer.keys.append(SigningKey("k2"))
    async with signed(tmp_path, issuer) as door:
        gone, kept = [await door.listen(issuer.token(key=key)) for key in issuer.keys]
        del issuer.keys[0]
        (tmp_path / "jwks.json").write_bytes(issuer.jwks)
        door.auth._authenticator._issuers[issuer.url].keys.file.look()  # type: ignore[attr-defined]  # as its watcher does
        await until(lambda: gone.transport.gone, "the stream ends")
        await kept.settle(lambda: kept.transport.gone)
        assert not kept.transport.gone


async def test_a_stream_ends_soon_after_its_token_was_revoked_and_stays_while_the_issuer_is_away(
    tmp_path: Path, clock: Clock
) -> None:
    async with serving_issuer(OpaqueIssuer()) as issuer, opaque(tmp_path, issuer) as door:
        assert isinstance(issuer, OpaqueIssuer)
        for token in ("t1", "t2"):
            issuer.tokens[token] = {"active": True, "sub": token, "aud": RESOURCE}
        revoked, kept = await door.listen("t1"), await door.listen("t2")
        issuer.away = True
        clock.ahead = BOUND + 1
        await until(lambda: issuer.asked.get("/introspect", 0) >= 2, "the issuer is asked about both tokens")
        assert not revoked.transport.gone
        issuer.away = False
        issuer.tokens["t1"] = {"active": False}

        def ended() -> bool:
            clock.ahead += BOUND  # a failed verification that ends only now is repeated after another while
            return revoked.transport.gone

        await until(ended, "the stream ends")
        await until(lambda: issuer.questions.count("t2") >= 2, "the other token was asked about")
        await kept.settle(lambda: kept.transport.gone)
        assert not kept.transport.gone
