"""Opaque tokens: the issuer is asked once, and its answer is held to the rules of a signed token."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from mcppool.access.credential import Credential
from mcppool.access.denied import Denied
from mcppool.access.introspection import Introspection, check_claims
from mcppool.spec.sections.inbound import IntrospectionSpec
from tests.issuer import RESOURCE, Issuer, serving_issuer
from tests.unit.access.peer import NO_CERTIFICATE

ISSUER = "https://id.example"
NOW = 1_000.0
GOOD: dict[str, Any] = {"active": True, "sub": "ann", "aud": RESOURCE, "exp": 2_000}


@pytest.mark.parametrize(
    "changes",
    [
        {"active": False}, {"active": "true"}, {"active": None}, {"iss": "https://evil.example"}, {"aud": "other"},
        {"aud": None}, {"aud": ["other", 5]}, {"exp": 999}, {"exp": "soon"}, {"exp": True}, {"nbf": 1_001},
    ],
)  # fmt: skip
def test_what_is_not_active_here_and_now_is_no_token(changes: dict[str, Any]) -> None:
    assert check_claims(GOOD | changes, ISSUER, frozenset({RESOURCE}), NOW) is None
    assert check_claims(GOOD, ISSUER, frozenset({RESOURCE}), NOW) is not None


class OpaqueIssuer(Issuer):
    """Knows tokens by their text. `questions` are the tokens that it was asked about."""

    def __init__(self, url: str = ISSUER) -> None:
        super().__init__(url)
        self.tokens: dict[str, dict[str, Any]] = {}
        self.questions: list[str] = []
        self.metadata = {"introspection_endpoint": ""}

    async def answer(self, request: web.Request) -> web.Response:
        self.metadata = {"introspection_endpoint": f"{self.url}/introspect"}
        if request.path != "/introspect" or self.away:
            return await super().answer(request)
        if request.headers["authorization"] != "Basic " + base64.b64encode(b"gateway:s3cret").decode():
            return web.Response(status=401)
        token = str((await request.post())["token"])
        self.questions.append(token)
        return web.json_response(self.tokens.get(token, {"active": False}))


@pytest.fixture
async def issuer() -> AsyncIterator[OpaqueIssuer]:
    async with serving_issuer(OpaqueIssuer()) as issuer:
        assert isinstance(issuer, OpaqueIssuer)
        yield issuer


class Gate:
    def __init__(self, issuer: Issuer, folder: Path) -> None:
        (folder / "secret").write_text("s3cret\n")
        self.open_to: set[str] = {"a"}
        spec = IntrospectionSpec(issuer=issuer.url, client_id="gateway", client_secret_file=str(folder / "secret"))
        self.tokens = Introspection(spec, [RESOURCE], 300.0, self.open_to.__contains__)

    def shown(self, token: str) -> Credential:
        credential = self.tokens.read({"authorization": f"Bearer {token}"}, NO_CERTIFICATE)
        assert credential is not None
        return credential


@pytest.fixture
async def gate(issuer: OpaqueIssuer, tmp_path: Path) -> AsyncIterator[Gate]:
    gate = Gate(issuer, tmp_path)
    yield gate
    await gate.tokens.close()


async def test_the_issuer_is_asked_once_for_each_token(issuer: OpaqueIssuer, gate: Gate) -> None:
    issuer.tokens["t1"] = GOOD | {"exp": time.time() + 600, "scope": "mcp read", "client_id": "agent"}
    now = time.time()
    found = await asyncio.gather(*[gate.tokens.authenticate(gate.shown("t1"), "a", now) for _ in range(5)])
    assert {(p.subject, p.client_id, p.issuer) for p in found} == {("ann", "agent", issuer.url)}
    assert found[0].scopes == {"mcp", "read"}
    assert gate.tokens.recall(gate.shown("t1"), now) is not None
    assert issuer.questions == ["t1"]
    assert gate.tokens.recall(gate.shown("t1"), now + 301) is None


async def test_an_invalid_token_is_asked_about_once_in_a_while(issuer: OpaqueIssuer, gate: Gate) -> None:
    for _ in range(5):
        with pytest.raises(Denied, match="not active"):
            await gate.tokens.authenticate(gate.shown("bad"), "a", time.time())
    assert issuer.questions == ["bad"]


async def test_an_address_without_failures_left_causes_no_question(issuer: OpaqueIssuer, gate: Gate) -> None:
    with pytest.raises(Denied, match="too many failures"):
        await gate.tokens.authenticate(gate.shown("t"), "b", time.time())
    assert issuer.questions == []


async def test_while_the_issuer_is_away_nobody_new_is_let_in_and_known_tokens_go_on(
    issuer: OpaqueIssuer, gate: Gate
) -> None:
    issuer.tokens["t1"] = GOOD | {"exp": time.time() + 600}
    await gate.tokens.authenticate(gate.shown("t1"), "a", time.time())
    issuer.away = True
    assert gate.tokens.recall(gate.shown("t1"), time.time()) is not None
    with pytest.raises(Denied, match="cannot be asked") as raised:
        await gate.tokens.authenticate(gate.shown("t2"), "a", time.time())
    assert raised.value.failure == "unavailable"


async def test_a_token_that_is_bound_to_a_key_is_no_bearer_token(issuer: OpaqueIssuer, gate: Gate) -> None:
    issuer.tokens["t1"] = GOOD | {"exp": time.time() + 600, "cnf": {"jkt": "x"}}
    with pytest.raises(Denied, match="bound to a key"):
        await gate.tokens.authenticate(gate.shown("t1"), "a", time.time())


async def test_an_opaque_token_that_is_bound_for_dpop_is_asked_about_once_and_is_no_bearer_token(
    issuer: OpaqueIssuer, tmp_path: Path
) -> None:
    issuer.tokens["t1"] = GOOD | {"exp": time.time() + 600, "cnf": {"jkt": "thumbprint"}}
    (tmp_path / "secret").write_text("s3cret\n")
    spec = IntrospectionSpec(issuer=issuer.url, client_id="gateway", client_secret_file=str(tmp_path / "secret"))
    tokens = Introspection(spec, [RESOURCE], 300.0, lambda _: True, ("bearer", "dpop"))
    bound = tokens.read({"authorization": "DPoP t1"}, NO_CERTIFICATE)
    bearer = tokens.read({"authorization": "Bearer t1"}, NO_CERTIFICATE)
    assert bound is not None
    assert bearer is not None
    for _ in range(3):
        assert (await tokens.authenticate(bound, "a", time.time())).claims["cnf"] == {"jkt": "thumbprint"}
    assert issuer.questions == ["t1"]
    assert tokens.recall(bearer, time.time()) is None
    with pytest.raises(Denied, match="without a proof"):
        await tokens.authenticate(bearer, "a", time.time())
    await tokens.close()
