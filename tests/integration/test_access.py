"""Access rules on every path of a call: a client gets, sees and hears only of permitted objects."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from time import monotonic
from typing import Any

import pytest

from mcppool.pipeline.call import Call
from mcppool.policy.principal import Principal
from mcppool.wire.era import Era
from mcppool.wire.rpc_request import parse_request
from tests.integration.cached import FORWARD, Answer, Client, ListeningServer, caching_pool
from tests.servers import (
    modern_request,
)
from tests.waiting import until

ALICE = Principal("alice", "jwt", subject="alice", scopes=frozenset({"read"}), token_hash="t-alice")

BOB = Principal("bob", "jwt", subject="bob", groups=frozenset({"ops"}), scopes=frozenset({"read"}), token_hash="t-bob")

EVE = Principal("eve", "jwt", subject="eve", token_hash="t-eve")

TOOLS = [{"name": name, "inputSchema": {"type": "object"}} for name in ("read", "search", "exec")]

RULES = """
[pools.auth.inbound]
type = "none"
[pools.access]
{more}
[[pools.access.allow]]
name = "readers"
tools = ["read", "search"]
resources = ["docs://public/*"]
prompts = ["greet"]
"""

BY_CLIENT = {
    "readers": {"scopes": ["read"]},
    "operators": {"groups": ["ops"], "tools": ["exec"], "resources": ["*"]},
    "admins": {"scopes": ["admin"], "tools": ["exec"]},
}


def restrict(client: Client, *, mode: str = "enforce", denied: str = "step_up") -> None:
    """Give the pool rules that depend on the client. No configuration can name clients without authentication."""
    access = client.pool.spec.access
    rules = []
    for name, who in BY_CLIENT.items():
        base = access.allow[0].written() if name == "readers" else {}
        rules.append({**base, "name": name, **who})
    client.pool.access.challenge = lambda scopes, _: (
        b'x: error="insufficient_scope" scope="%b"\r\n' % " ".join(scopes).encode()
    )
    changed = type(access).model_validate({"mode": mode, "denied": denied, "allow": rules})
    client.pool.settings.configure(client.pool.spec.model_copy(update={"access": changed}))


async def ask_as(client: Client, principal: Principal, method: str, params: Any = None) -> tuple[Told, Any]:
    """The answer to a request of this principal."""
    _, body = modern_request(method, params, request_id=7)
    forward = FORWARD + b"mcp-protocol-version: 2026-07-28\r\nmcp-method: %b\r\n" % method.encode()
    return await send(client, principal, body, forward, Era.MODERN)


async def send(
    client: Client, principal: Principal, body: bytes, forward: bytes = FORWARD, era: Era = Era.LEGACY, **more: Any
) -> tuple[Told, Any]:
    reply = Told()
    await client.pool.serve(
        Call(parse_request(body), body, forward, era, monotonic(), principal=principal, **more), reply
    )
    assert reply.done
    return reply, json.loads(reply.body) if reply.body.startswith(b"{") else None


def names(answer: Any) -> list[str]:
    """The names of the listed tools."""
    return [tool["name"] for tool in answer["result"]["tools"]]


class Told(Answer):
    """A client's side that keeps the headers."""

    headers = b""

    def whole(self, status: int, headers: bytes, body: bytes) -> None:
        super().whole(status, headers, body)
        self.headers = headers


class OfferingServer(ListeningServer):
    """Lists the tools, and says in its instructions how to use them."""

    def __init__(self) -> None:
        super().__init__(tools=TOOLS)

    def result(self, rpc: dict[str, Any]) -> dict[str, Any]:
        result = super().result(rpc)
        if rpc.get("method") == "server/discover":
            return {**result, "instructions": "Use exec with care."}
        return result


# --- lists ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("sections", "scope"),
    [("", "private"), ("[pools.catalog]\ntrusted = true", "public"), ("[pools.catalog]\nuniform = true", "private")],
)
async def test_a_list_shows_each_client_what_it_may_use_though_the_answer_is_kept(sections: str, scope: str) -> None:
    async with OfferingServer() as server, caching_pool(server, sections=sections + RULES.format(more="")) as client:
        server.hints["cacheScope"] = scope
        restrict(client)
        for _ in range(2):
            for principal, listed in ((ALICE, ["read", "search"]), (BOB, ["read", "search", "exec"])):
                _, answer = await ask_as(client, principal, "tools/list")
                assert names(answer) == listed
                assert answer["result"]["cacheScope"] == "private"


async def test_equal_lists_that_are_asked_for_at_once_show_each_client_its_own() -> None:
    text = "[pools.catalog]\nuniform = true" + RULES.format(more="")
    async with OfferingServer() as server, caching_pool(server, sections=text) as client:
        restrict(client)
        answers = await asyncio.gather(*(ask_as(client, who, "tools/list") for who in (ALICE, BOB) * 4))
        assert [len(names(answer)) for _, answer in answers] == [2, 3] * 4


async def test_a_change_of_the_rules_holds_at_once_for_lists_that_were_kept_before() -> None:
    text = "[pools.catalog]\nuniform = true" + RULES.format(more="")
    async with OfferingServer() as server, caching_pool(server, sections=text) as client:
        assert names((await ask_as(client, BOB, "tools/list"))[1]) == ["read", "search"]
        restrict(client)
        assert names((await ask_as(client, BOB, "tools/list"))[1]) == ["read", "search", "exec"]


async def test_the_servers_offer_names_only_objects_that_the_client_may_use() -> None:
    async with OfferingServer() as server, caching_pool(server, sections=RULES.format(more="")) as client:
        await until(lambda: "exec" in client.pool.settings.catalog.tools, "the tools are known")
        restrict(client)
        _, for_bob = await ask_as(client, BOB, "server/discover")
        assert for_bob["result"]["instructions"] == "Use exec with care."
        _, for_alice = await ask_as(client, ALICE, "server/discover")
        assert "instructions" not in for_alice["result"]
        assert "tools" in for_alice["result"]["capabilities"]


# --- calls ------------------------------------------------------------------------------------------------------------
async def test_a_denied_call_gets_the_configured_answer_and_reaches_no_server() -> None:
    async with OfferingServer() as server, caching_pool(server, sections=RULES.format(more="")) as client:
        restrict(client)
        before = server.answers
        call = {"name": "exec", "arguments": {}}
        reply, answer = await ask_as(client, ALICE, "tools/call", call)
        assert (reply.status, answer["error"]["data"]["reason"]) == (403, "insufficient_scope")
        assert (answer["id"], answer["error"]["data"]["delivered"]) == (7, "no")
        assert b'error="insufficient_scope"' in reply.headers
        assert b'scope="admin read"' in reply.headers
        reply, answer = await ask_as(client, ALICE, "tools/call", {"name": "other", "arguments": {}})
        assert (reply.status, answer["error"]) == (400, {"code": -32602, "message": "Unknown tool: other"})
        restrict(client, denied="unknown")
        reply, answer = await ask_as(client, ALICE, "tools/call", call)
        assert (reply.status, answer["error"]) == (400, {"code": -32602, "message": "Unknown tool: exec"})
        restrict(client, denied="forbidden")
        reply, answer = await ask_as(client, ALICE, "tools/call", call)
        assert (reply.status, answer["error"]["data"]["reason"]) == (403, "access_denied")
        assert server.answers == before
        assert client.pool.metrics.access_denied == {("not_allowed", "enforce"): 4}
        assert (await ask_as(client, BOB, "tools/call", call))[1]["result"]


async def test_a_kept_result_is_not_given_to_who_may_no_longer_call_the_tool() -> None:
    text = '[pools.tools.exec]\ncache_ttl = "1m"\n' + RULES.format(more="")
    async with OfferingServer() as server, caching_pool(server, sections=text) as client:
        restrict(client)
        call = {"name": "exec", "arguments": {}}
        assert (await ask_as(client, BOB, "tools/call", call))[1]["result"]
        _, answer = await ask_as(client, replace(BOB, groups=frozenset()), "tools/call", call)
        assert "error" in answer


DENIED: list[tuple[str, dict[str, Any]]] = [
    ("tools/call", {"name": "exec", "arguments": {}}),
    ("tools/call", {"arguments": {}}),
    ("prompts/get", {"name": "other"}),
    ("resources/read", {"uri": "docs://secret/a"}),
    ("resources/read", {"uri": "docs://public/../secret/a"}),
    ("completion/complete", {"ref": {"type": "ref/prompt", "name": "other"}, "argument": {"name": "a", "value": ""}}),
    ("completion/complete", {"ref": {"type": "ref/resource", "uri": "docs://secret/{x}"}, "argument": {}}),
    ("completion/complete", {"ref": {"type": "ref/odd", "name": "greet"}, "argument": {}}),
    ("tasks/list", {}),
    ("odd/method", {}),
    ("GET", {}),
    ("Tools/Call", {"name": "read"}),
]


@pytest.mark.parametrize("era", list(Era))
async def test_no_method_gets_around_the_rules(era: Era) -> None:
    async with OfferingServer() as server, caching_pool(server, sections=RULES.format(more="")) as client:
        restrict(client)
        for method, params in DENIED:
            if era is Era.MODERN:
                _, answer = await ask_as(client, ALICE, method, params)
            else:
                body = json.dumps({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}).encode()
                _, answer = await send(client, ALICE, body)
            assert answer["error"]["code"] in (-32601, -32602, -32002, -32603), method
        denied = {method for method, _ in DENIED}
        assert not [e.body for e in server.requests if e.body and e.body.get("method") in denied]


async def test_a_client_that_no_rule_concerns_gets_nothing_and_hears_which_scope_would_help() -> None:
    async with OfferingServer() as server, caching_pool(server, sections=RULES.format(more="")) as client:
        restrict(client)
        for method in ("tools/list", "server/discover", "ping", "subscriptions/listen", "initialize"):
            reply, answer = await ask_as(client, EVE, method, {})
            assert (reply.status, answer["error"]["data"]["reason"]) == (403, "insufficient_scope")
            assert "capabilities" not in reply.body.decode()


async def test_a_denied_notification_is_dropped_silently() -> None:
    async with OfferingServer() as server, caching_pool(server, sections=RULES.format(more="")) as client:
        restrict(client)
        reply, answer = await send(client, ALICE, b'{"jsonrpc":"2.0","method":"notifications/odd"}')
        assert (reply.status, reply.body, answer) == (202, b"", None)
        assert not [e for e in server.requests if e.body and e.body.get("method") == "notifications/odd"]


async def test_in_shadow_mode_calls_pass_and_are_counted() -> None:
    async with OfferingServer() as server, caching_pool(server, sections=RULES.format(more="")) as client:
        restrict(client, mode="shadow")
        assert (await ask_as(client, ALICE, "tools/call", {"name": "exec", "arguments": {}}))[1]["result"]
        assert names((await ask_as(client, ALICE, "tools/list"))[1]) == ["read", "search", "exec"]
        assert client.pool.metrics.access_denied == {("not_allowed", "shadow"): 1}


# --- subscriptions ----------------------------------------------------------------------------------------------------
async def test_a_client_listens_only_for_resources_that_it_may_use_and_hears_of_no_other() -> None:
    async with OfferingServer() as server, caching_pool(server, sections=RULES.format(more="")) as client:
        restrict(client)
        wanted = {"resourceSubscriptions": ["docs://public/a", "docs://secret/a"], "toolsListChanged": True}
        _, body = modern_request("subscriptions/listen", {"notifications": wanted}, request_id=7)
        reply = Answer()
        call = Call(parse_request(body), body, FORWARD, Era.MODERN, monotonic(), principal=ALICE)
        listening = asyncio.create_task(client.pool.serve(call, reply))
        try:
            await until(lambda: b"acknowledged" in reply.body, "the acknowledgement")
            assert reply.json["params"]["notifications"] == {
                "resourceSubscriptions": ["docs://public/a"],
                "toolsListChanged": True,
            }
            assert "docs://secret/a" not in str(server.filters)
            await server.announce("notifications/resources/updated", uri="docs://public/a/../../secret")
            await server.announce("notifications/resources/updated", uri="docs://public/a/b")
            await until(lambda: b"docs://public/a/b" in reply.body, "the event")
            assert b"secret" not in reply.body
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
