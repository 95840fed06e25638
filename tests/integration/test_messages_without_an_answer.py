"""Messages that no answer follows: their replies, their limits and their rate."""

from __future__ import annotations

import asyncio
import json
from time import monotonic

from tests.conftest import GatewayFactory
from tests.integration.passing import legacy_session, says, serving, with_sessions
from tests.integration.raw_http import ask, request
from tests.servers import pool_toml
from tests.servers.faults import Exchange, FaultServer, healthy
from tests.waiting import until


async def test_a_servers_reply_to_a_message_without_an_answer_does_not_reach_its_sender(
    gateway: GatewayFactory,
) -> None:
    async with FaultServer(with_sessions(), everything=True) as server:
        served = await serving(gateway, pool_toml(server.url))
        headers = await legacy_session(served)
        for status, payload in (
            ("307 Moved", b"<html>"),
            ("200 OK", b"<html>"),
            ("400 Bad", b"<html>"),
            ("500 Bad", b"<html>"),
            ("201 Created", b"<" * 200_000),
        ):
            server.behaviour = with_sessions(says(status, payload, "text/html"))
            for message in ({"method": "notifications/progress"}, {"id": 7, "result": {}}):
                answer = await ask(served, request(json.dumps({"jsonrpc": "2.0"} | message).encode(), headers))
                assert (answer.status, answer.body, answer.headers) == (202, b"", {"content-length": "0"}), status


async def test_messages_without_an_answer_are_bounded_like_calls_and_apart_from_them(gateway: GatewayFactory) -> None:
    busy = asyncio.Event()
    at_once: list[int] = []
    there = 0

    async def slow(exchange: Exchange) -> None:
        nonlocal there
        there += 1
        at_once.append(there)
        try:
            await busy.wait()
        finally:
            there -= 1
        await healthy(exchange)

    bounds = """
[pools.connection_pool]
max_connections = 4
max_waiting = 20
[pools.limits.pool]
max_concurrent = 3
"""
    async with FaultServer(with_sessions(slow), everything=True) as server:
        served = await serving(gateway, pool_toml(server.url, sections=bounds))
        headers = await legacy_session(served)
        connected = max(1, server.connected)  # that of the handshake, which may have been closed
        said = json.dumps({"jsonrpc": "2.0", "method": "notifications/said", "params": {"name": "x"}}).encode()
        answered = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {}}).encode()
        messages = [asyncio.create_task(ask(served, request(body, headers))) for body in [said, answered] * 100]
        await until(lambda: sum(task.done() for task in messages) >= 150, "more than wait are turned away")
        await until(lambda: there == 4, "two of each kind are at the server")
        listed = json.dumps({"jsonrpc": "2.0", "id": 2, "method": "tools/list"}).encode()
        assert (await ask(served, request(listed, headers))).json["result"]["tools"], "a call does not wait for them"
        assert server.connected <= connected + 5
        busy.set()
        assert {(await task).status for task in messages} == {202}
    assert max(at_once) == 4


async def test_messages_without_an_answer_have_the_rate_of_calls_and_do_not_use_it_up(gateway: GatewayFactory) -> None:
    rate = "[pools.rate_limit.pool]\nrequests_per_second = 1\nburst = 3\n[pools.connection_pool]\nmax_waiting = 2\n"
    async with FaultServer(with_sessions(), everything=True) as server:
        served = await serving(gateway, pool_toml(server.url, sections=rate))
        headers = await legacy_session(served)
        body = json.dumps({"jsonrpc": "2.0", "method": "notifications/said"}).encode()

        def arrived() -> int:
            return sum((seen.body or {}).get("method") == "notifications/said" for seen in server.requests)

        began = monotonic()
        answers = await asyncio.gather(*[ask(served, request(body, headers)) for _ in range(30)])
        assert {answer.status for answer in answers} == {202}
        await until(lambda: arrived() >= 3, "those that the rate admits are at the server")
        assert arrived() <= 12 + monotonic() - began
        listed = json.dumps({"jsonrpc": "2.0", "id": 2, "method": "tools/list"}).encode()
        assert "result" in (await ask(served, request(listed, headers))).json
