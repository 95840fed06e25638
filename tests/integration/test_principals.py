"""No principal gets anything of another: kept and shared answers, pinned values, sessions. No token gets anywhere."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from mcppool.access.access_tokens import principal_of
from mcppool.access.passthrough import NOBODY, Passthrough
from mcppool.access.principal_keys import principal_key
from mcppool.policy.principal import ANONYMOUS, Method, Principal
from mcppool.wire.rpc_request import parse_request
from mcppool.wire.rpc_response import parse_response
from tests.conftest import GatewayFactory
from tests.integration.cached import Client, HintServer, caching_pool
from tests.integration.raw_http import RawClient, ask, request
from tests.integration.test_access import ask_as
from tests.issuer import RESOURCE, Issuer
from tests.servers import pool_toml
from tests.servers.faults import FaultServer
from tests.servers.handshakes import Handshakes
from tests.unit.access.peer import NO_CERTIFICATE


def of_token(method: Method, issuer: str, subject: str, client: str) -> Principal:
    claims = MappingProxyType({"iss": issuer, "sub": subject, "client_id": client})
    return principal_of(claims, method, subject_claim="sub", groups_claim="groups", skew=0.0, token_hash="h")


def passed(value: str) -> Principal:
    door = Passthrough()
    credential = door.read({"authorization": value}, NO_CERTIFICATE)
    assert credential is not None
    found = door.recall(credential, 0.0)
    assert found is not None
    return found


PRINCIPALS = {
    "anonymous": ANONYMOUS,
    "key ann": Principal(principal_key("api_keys", "ann"), "api_keys", name="ann"),
    "key bob": Principal(principal_key("api_keys", "bob"), "api_keys", name="bob"),
    "certificate ann": Principal(principal_key("mtls", "CN=a", "ann"), "mtls", name="ann"),
    "certificate ann of another authority": Principal(principal_key("mtls", "CN=b", "ann"), "mtls", name="ann"),
    "ann of one": of_token("jwt", "https://one", "ann", "agent"),
    "bob of one": of_token("jwt", "https://one", "bob", "agent"),
    "ann of two": of_token("jwt", "https://two", "ann", "agent"),
    "ann by another client": of_token("jwt", "https://one", "ann", "other"),
    "ann without client": of_token("jwt", "https://one", "ann", ""),
    "opaque ann": of_token("introspection", "https://one", "ann", "agent"),
    "passed on": passed("Bearer t1"),
    "passed on, another": passed("Bearer t2"),
    "passed on, none": NOBODY,
}


async def kept_answers(client: Client, ask: Callable[[Principal], Awaitable[int]]) -> None:
    """Each principal gets an answer of its own, and gets it again."""
    first = {name: await ask(principal) for name, principal in PRINCIPALS.items()}
    assert len(set(first.values())) == len(PRINCIPALS)
    assert {name: await ask(principal) for name, principal in PRINCIPALS.items()} == first


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("tools/call", {"name": "read", "arguments": {"q": 1}}),
        ("tools/list", {}),
        ("resources/read", {"uri": "x:y"}),
        ("prompts/list", {}),
    ],
)
async def test_a_kept_answer_is_its_principals_own(method: str, params: dict[str, Any]) -> None:
    async with HintServer() as server, caching_pool(server, sections='[pools.tools.read]\ncache_ttl = "1m"') as client:

        async def number(principal: Principal) -> int:
            answer = (await ask_as(client, principal, method, params))[1]
            found: int = answer["result"]["number"]
            return found

        await kept_answers(client, number)


async def test_equal_requests_at_the_same_time_are_one_for_each_principal() -> None:
    async with HintServer() as server, caching_pool(server, sections='[pools.tools.read]\ncache_ttl = "1m"') as client:
        params = {"name": "read", "arguments": {"q": 1}}
        asked = [ask_as(client, principal, "tools/call", params) for principal in PRINCIPALS.values()]
        answers = await asyncio.gather(
            *asked, *[ask_as(client, each, "tools/call", params) for each in PRINCIPALS.values()]
        )
        numbers = [answer["result"]["number"] for _, answer in answers]
        assert len(set(numbers)) == len(PRINCIPALS)
        assert numbers[: len(PRINCIPALS)] == numbers[len(PRINCIPALS) :]


@pytest.mark.parametrize(
    ("result", "member", "method", "param"),
    [
        ({"resultType": "input_required", "requestState": "x", "inputRequests": {}}, "requestState", "tools/call",
         "requestState"),
        ({"resultType": "task", "taskId": "x", "status": "working"}, "taskId", "tasks/get", "taskId"),
    ],
)  # fmt: skip
async def test_a_pinned_value_is_refused_to_every_other_principal(
    result: dict[str, Any], member: str, method: str, param: str
) -> None:
    async with HintServer() as server, caching_pool(server) as client:
        pins, (endpoint,) = client.pool.pins, client.pool.endpoints.values()
        asked = parse_request(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {}}).encode())
        told = json.dumps({"jsonrpc": "2.0", "id": 1, "result": result}).encode()
        for owner, other in itertools.permutations(PRINCIPALS.values(), 2):
            pinned = json.loads(pins.pin(endpoint, asked, parse_response(told), told, owner.key))["result"][member]
            params = {"name": "write", "arguments": {}, param: pinned}
            answer = (await ask_as(client, other, method, params))[1]
            assert answer["error"]["code"] == -32602, (owner, other)
        _, mine = await ask_as(client, owner, method, params)
        assert mine.get("error", {}).get("code") != -32602


def legacy(method: str, session: str | None, **params: Any) -> tuple[dict[str, str], bytes]:
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    if session is not None:
        headers |= {"Mcp-Session-Id": session, "Mcp-Protocol-Version": "2025-06-18"}
    return headers, json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()


async def test_a_session_goes_on_with_a_new_token_of_its_principal_and_no_token_gets_anywhere(
    gateway: GatewayFactory, keys: str, tmp_path: Path
) -> None:
    issuer, audit = Issuer(), tmp_path / "audit.jsonl"
    (tmp_path / "jwks").write_bytes(issuer.jwks)
    sections = f"""
[pools.auth.inbound]
type = "jwt"
resource = "{RESOURCE}"
[pools.auth.inbound.jwt]
issuers = [{{issuer = "{issuer.url}", jwks_file = "{tmp_path}/jwks"}}]
[pools.audit]
type = "file"
file = "{audit}"
arguments = true
"""
    tokens = {
        "ann": issuer.token("ann"),
        "ann, renewed": issuer.token("ann", jti="2"),
        "ann by another client": issuer.token("ann", client_id="other"),
        "bob": issuer.token("bob"),
        "nobody": "x" * 40,
    }
    async with FaultServer(Handshakes(), everything=True) as server:
        fronts = [
            await asyncio.to_thread(gateway, pool_toml(server.url, sections=sections), listener=keys) for _ in range(2)
        ]

        async def status(client: RawClient, who: str, session: str, method: str = "POST") -> int:
            headers, body = legacy("tools/call", session, name="read", arguments={})
            shown = headers | {"Authorization": f"Bearer {tokens[who]}"}
            await client.send(request(body if method == "POST" else b"", shown, method=method))
            return (await client.answer()).status

        hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
        headers, body = legacy("initialize", None, **hello)
        opened = await ask(fronts[0], request(body, headers | {"Authorization": f"Bearer {tokens['ann']}"}))
        session = opened.headers["mcp-session-id"]
        expected = {"ann": 200, "ann, renewed": 200, "ann by another client": 404, "bob": 404, "nobody": 401}
        for front in fronts:
            async with RawClient(front) as client:  # one connection, on which the tokens change
                order = [*expected, *reversed(expected)]
                assert [await status(client, who, session) for who in order] == [expected[who] for who in order]
                assert await status(client, "bob", session, "DELETE") == 404
                assert await status(client, "ann", session) == 200
        async with RawClient(fronts[1]) as client:
            assert await status(client, "ann, renewed", session, "DELETE") in (200, 204)
            assert await status(client, "ann", session) == 404

        pages = ("/metrics", "/configz", "/status.json", "/health", "/")
        said = [front.log for front in fronts]
        said += [(await asyncio.to_thread(front.get, page))[1] for front in fronts for page in pages]
        said += [f"{exchange.headers} {exchange.raw!r}" for exchange in server.requests]
        for front in fronts:
            await asyncio.to_thread(front.close)
        said.append(audit.read_text())
        assert "read" in said[-1]
        assert not [who for who, token in tokens.items() for text in said if token in text or token[-20:] in text]
