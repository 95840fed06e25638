"""The router admits clients that the pool's authentication knows, and tells the others the missing credential."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from mcppool.access import inbound
from mcppool.access.credential import Credential
from mcppool.access.inbound import InboundAuth
from mcppool.access.key_file import ApiKey, hash_of, render_key
from mcppool.gateway import open_streams
from mcppool.gateway.allowed_hosts import AllowedHosts
from mcppool.gateway.http.http_request import RequestLimits
from mcppool.gateway.router import Router
from mcppool.observe.metrics import GatewayMetrics
from mcppool.policy.memory_budget import MemoryBudget
from mcppool.policy.principal import Principal
from mcppool.spec.sections.inbound import ApiKeysSpec, InboundAuthSpec
from mcppool.wire.bulk import BULK
from tests.servers import modern_call, modern_request
from tests.unit.gateway.http.driving import Wire
from tests.unit.gateway.test_router import AT_WORK, Pipeline, legacy, pool_of, post
from tests.unit.pipeline.sealed_sessions import begin, sessions_of
from tests.waiting import until

KEYS = (ApiKey("ann", hash_of("key-of-ann"), scopes=("read",)), ApiKey("bob", hash_of("key-of-bob")))


@pytest.fixture
def pipeline() -> Iterator[Pipeline]:
    AT_WORK.append(Pipeline())
    yield AT_WORK[-1]
    AT_WORK.pop()


class Door:
    """A router with one pool behind API keys."""

    def __init__(
        self, folder: Path, header: str = "Authorization", keys: Sequence[ApiKey] = KEYS, **spec: object
    ) -> None:
        self.file = folder / "keys.toml"
        self.file.write_text("".join(map(render_key, keys)))
        self.failures: Counter[str] = Counter()
        self.changes = 0
        self.router = Router(GatewayMetrics(), AllowedHosts("127.0.0.1", (), ()), MemoryBudget())
        self.spec = InboundAuthSpec.model_validate(
            {"type": "api_keys", "api_keys": ApiKeysSpec(keys_file=str(self.file), header=header), **spec}
        )
        self.pool = pool_of("one", ())
        self.auth = self.make()
        self.serve()

    def make(self) -> InboundAuth:
        return InboundAuth(self.spec, "one", {b"/mcp": "http://localhost/mcp"}, self.failures, self.changed)

    def serve(self) -> None:
        self.router.serve_pools({"one": self.pool}, {"one": self.auth})

    def changed(self) -> None:
        self.changes += 1


async def call(wire: Wire, **headers: str) -> None:
    sent, body = modern_call("echo")
    await wire.say(post("/mcp", sent | {name.replace("_", "-"): value for name, value in headers.items()}, body))


async def test_a_key_makes_a_principal_and_other_requests_learn_the_missing_credential(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    door = Door(tmp_path)
    wire = Wire(door.router.handle)
    await call(wire, Authorization="Bearer key-of-ann")
    await call(wire, authorization="bearer key-of-bob")
    await call(wire)
    await call(wire, Authorization="Bearer wrong")
    await call(wire, Authorization="Basic key-of-ann")
    await call(wire, Authorization="Bearer key-of-ann")
    assert wire.statuses == [200, 200, 401, 401, 401, 200]
    assert [served.principal.name for _, served in pipeline.served] == ["ann", "bob", "ann"]
    text = wire.said
    assert text.count(b'www-authenticate: Bearer realm="mcppool"\r\n') == 1
    assert text.count(b'www-authenticate: Bearer error="invalid_token"') == 2
    assert b"wrong" not in text
    assert door.failures == {"missing": 1, "invalid": 2}
    await door.auth.close()


async def test_requests_of_unknown_clients_are_not_parsed_and_open_no_session(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    door = Door(tmp_path)
    wire = Wire(door.router.handle)
    await wire.say(post("/mcp", {"Content-Type": "application/json"}, b"this is not JSON"))
    await wire.say(b"DELETE /mcp HTTP/1.1\r\nHost: localhost\r\nMcp-Session-Id: x\r\n\r\n")
    await wire.say(b"GET /mcp HTTP/1.1\r\nHost: localhost\r\nMcp-Session-Id: x\r\n\r\n")
    assert wire.statuses == [401, 401, 401]
    assert not pipeline.served
    await door.auth.close()


async def test_a_key_in_a_header_of_its_own_needs_no_scheme(pipeline: Pipeline, tmp_path: Path) -> None:
    door = Door(tmp_path, header="X-Api-Key")
    wire = Wire(door.router.handle)
    await call(wire, X_Api_Key="key-of-ann")
    await call(wire, Authorization="Bearer key-of-ann")
    assert wire.statuses == [200, 401]
    ((_, served),) = pipeline.served
    assert b"key-of-ann" not in served.forward
    await door.auth.close()


async def test_a_client_without_a_scope_learns_its_name(pipeline: Pipeline, tmp_path: Path) -> None:
    door = Door(tmp_path, required_scopes=("read",))
    wire = Wire(door.router.handle)
    await call(wire, Authorization="Bearer key-of-ann")
    await call(wire, Authorization="Bearer key-of-bob")
    assert wire.statuses == [200, 403]
    assert b'error="insufficient_scope"' in wire.said
    assert b'scope="read"' in wire.said
    await door.auth.close()


async def test_two_credentials_in_one_request_are_refused(pipeline: Pipeline, tmp_path: Path) -> None:
    door = Door(tmp_path)
    wire = Wire(door.router.handle)
    sent, body = modern_call("echo")
    head = post("/mcp", sent | {"Authorization": "Bearer key-of-ann"}, body)
    await wire.say(head.replace(b"Authorization:", b"Authorization: Bearer key-of-bob\r\nAuthorization:"))
    assert wire.statuses == [400]
    assert not pipeline.served
    await door.auth.close()


@pytest.mark.parametrize("size", [1, BULK + 1], ids=["small", "large"])
async def test_a_request_asks_for_its_credential_once(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    door, admit = Door(tmp_path), InboundAuth.admit
    asked: list[Credential | None] = []

    def noted(auth: InboundAuth, credential: Credential | None) -> Principal | None:
        asked.append(credential)
        return admit(auth, credential)

    monkeypatch.setattr(InboundAuth, "admit", noted)
    headers, body = modern_call("echo", {"text": "x" * size})
    wire = Wire(door.router.handle, max_body=2 * BULK)
    for key in ["key-of-ann", "key-of-ann", "key-of-bob", "nobody"]:
        seen = len(wire.statuses)
        await wire.say(post("/mcp", headers | {"Authorization": f"Bearer {key}"}, body))
        await until(lambda seen=seen: len(wire.statuses) > seen, "the request is answered")
    assert wire.statuses == [200, 200, 200, 401]
    assert len(asked) == len(wire.statuses)


async def test_an_address_that_fails_too_often_is_slowed_and_its_valid_keys_go_on(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    door = Door(tmp_path, max_failures_per_minute=3)
    wire = Wire(door.router.handle)
    for _ in range(4):
        await call(wire, Authorization="Bearer wrong")
    await call(wire, Authorization="Bearer key-of-ann")
    assert wire.statuses == [401, 401, 401, 429, 200]
    assert b"retry-after: " in wire.said
    other = Wire(door.router.handle, peer="127.0.0.2")
    await call(other, Authorization="Bearer wrong")
    assert other.statuses == [401]
    await door.auth.close()


@pytest.mark.parametrize("change", ["the key is gone", "the configuration changed"])
async def test_streams_end_when_their_key_no_longer_holds(pipeline: Pipeline, tmp_path: Path, change: str) -> None:
    door = Door(tmp_path)
    wires = {name: Wire(door.router.handle) for name in ("ann", "bob")}
    for name, wire in wires.items():
        headers, body = modern_request("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
        await wire.say(post("/mcp", headers | {"Authorization": f"Bearer key-of-{name}"}, body))
    assert len(door.router.streams) == 2
    old = door.auth
    if change == "the key is gone":
        door.file.write_text(render_key(KEYS[1]))
        door.auth._authenticator.file.look()  # type: ignore[attr-defined]  # as its watcher does
        assert door.changes == 1
        door.router.streams.recheck(lambda s: s.auth is door.auth)
    else:
        door.auth = door.make()
        door.serve()
        await old.close()
    for wire in wires.values():
        await wire.settle(lambda: wires["ann"].transport.gone)
    assert wires["ann"].transport.gone
    assert wires["bob"].transport.gone is (change != "the key is gone")
    await door.auth.close()


async def test_a_stream_ends_when_its_key_expires(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_streams, "MAX_TIMER", 0.01)
    door = Door(tmp_path, keys=(ApiKey("ann", hash_of("key-of-ann"), expires=time.time() + 3600),))
    wire = Wire(door.router.handle)
    headers, body = modern_request("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
    await wire.say(post("/mcp", headers | {"Authorization": "Bearer key-of-ann"}, body))
    assert wire.said.startswith(b"HTTP/1.1 200 ")
    assert len(door.router.streams) == 1
    later = SimpleNamespace(time=lambda: time.time() + 7200)
    for module in (open_streams, inbound):
        monkeypatch.setattr(module, "time", later)
    await until(lambda: wire.transport.gone, "the stream has ended")
    assert len(door.router.streams) == 0
    again = Wire(door.router.handle)
    await call(again, Authorization="Bearer key-of-ann")
    assert again.statuses == [401]
    await door.auth.close()


async def test_a_head_with_a_credential_is_remembered_by_its_connection_alone(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    door = Door(tmp_path)
    wire = Wire(door.router.handle)
    for _ in range(3):
        await call(wire, Authorization="Bearer key-of-ann")
    await call(wire, X_Other="1")
    assert wire.statuses == [200, 200, 200, 401]
    shared: RequestLimits = wire.shared.limits
    remembered = [name for head in shared.heads._heads.values() for name, _ in head.lines]
    assert b"x-other" in remembered
    assert b"authorization" not in remembered
    await door.auth.close()


@pytest.mark.parametrize(
    "message",
    [
        {"id": 7, "result": {"action": "accept", "content": {"sure": True}}},
        {"id": 7, "error": {"code": -1, "message": "no"}},
        {"method": "notifications/cancelled", "params": {"requestId": 1}},
    ],
    ids=["answer", "error", "cancellation"],
)
async def test_a_server_gets_no_answer_to_its_question_from_another_principal(
    pipeline: Pipeline, tmp_path: Path, message: dict[str, object]
) -> None:
    door = Door(tmp_path)
    door.pool.sessions = sessions_of()
    wire = Wire(door.router.handle)
    await call(wire, Authorization="Bearer key-of-ann")
    session = begin(door.pool.sessions, principal=pipeline.served.pop()[1].principal.key)
    headers, body = legacy(message)
    for key in ("key-of-bob", "key-of-ann"):
        await wire.say(post("/mcp", headers | {"Authorization": f"Bearer {key}", "Mcp-Session-Id": session}, body))
    assert wire.statuses == [200, 404, 200]
    assert [served.principal.name for _, served in pipeline.served] == ["ann"]
    await door.auth.close()
