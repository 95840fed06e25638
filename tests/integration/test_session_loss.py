"""A session whose replica is killed, restarted or forgets it (`sessions.on_loss`)."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from mcppool.wire.sealing import generate_key_line
from tests.conftest import GatewayFactory
from tests.integration.raw_session import RawSession, call
from tests.integration.test_listening import available
from tests.servers import Replica, executions, pool_toml, urls_of
from tests.servers.faults import Behaviour, Exchange, FaultServer, gated, healthy, reset_before, status
from tests.servers.handshakes import Handshakes
from tests.waiting import until

ROOM = "[pools.connection_pool]\nmax_connections = 20\n"
FAIL = '[pools.sessions]\non_loss = "fail"\n'


def home_of(name: str, replicas: tuple[Replica, ...]) -> Replica:
    return next(replica for replica in replicas if replica.name == name)


async def test_a_session_whose_replica_is_killed_goes_on_elsewhere(
    gateway: GatewayFactory, replicas: tuple[Replica, ...], session: RawSession
) -> None:
    front = gateway(pool_toml(*urls_of(replicas)))
    await session.open(front)
    home = await session.whoami(front)
    home_of(home, replicas).kill()
    assert await session.whoami(front) != home


async def test_calls_of_one_session_that_are_in_flight_when_its_replica_dies_all_go_on(
    gateway: GatewayFactory, replicas: tuple[Replica, ...], session: RawSession, ledger: Path
) -> None:
    front = gateway(pool_toml(*urls_of(replicas), sections=ROOM))
    await session.open(front)
    home = await session.whoami(front)
    slow = call("slow", seconds=5.0)
    calls = [asyncio.ensure_future(session.post(front, {**slow, "id": number})) for number in range(8)]
    await until(lambda: len(executions(ledger, "slow")) == 8, "all are at work")
    home_of(home, replicas).kill()
    answers = await asyncio.gather(*calls)
    assert [(status, "result" in answer) for status, answer in answers] == [(200, True)] * 8
    assert len({answer["result"]["structuredContent"]["name"] for _, answer in answers} - {home}) == 1, "one new home"


async def test_a_session_whose_replica_is_restarted_in_place_goes_on_there_or_elsewhere(
    gateway: GatewayFactory, replicas: tuple[Replica, ...], session: RawSession
) -> None:
    front = gateway(pool_toml(replicas[0].url, sections=ROOM))
    await session.open(front)
    await session.whoami(front)
    await replicas[0].restart()
    await until(lambda: available(front, replicas[0]), "found again")
    answers = await asyncio.gather(*(session.post(front, {**call("whoami"), "id": n}) for n in range(8)))
    assert [(status, "result" in answer) for status, answer in answers] == [(200, True)] * 8


async def test_the_loss_of_a_stateful_session_is_reported(
    gateway: GatewayFactory, replicas: tuple[Replica, ...], session: RawSession
) -> None:
    front = gateway(pool_toml(*urls_of(replicas), sections=FAIL))
    await session.open(front)
    home_of(await session.whoami(front), replicas).kill()
    status, answer = await session.post(front, call("whoami"))
    assert (status, "error" in answer) == (404, True)


@pytest.mark.parametrize(
    "message",
    [
        {"jsonrpc": "2.0", "method": "notifications/roots/list_changed"},
        {"jsonrpc": "2.0", "method": "notifications/of-somebody"},
        {"jsonrpc": "2.0", "id": 7, "result": {}},
    ],
)
async def test_a_lost_message_without_an_answer_does_not_end_the_client(
    message: dict[str, object], gateway: GatewayFactory, session: RawSession
) -> None:
    handshakes = Handshakes()
    async with FaultServer(handshakes, everything=True) as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url))
        await session.open(front)
        server.behaviour = reset_before
        assert (await session.post(front, message))[0] == 202, "the SDK 1.x ends its session at a 502"
        assert await session.delete(front) == 200


async def test_a_clients_answers_to_its_server_are_taken_for_no_calls(
    gateway: GatewayFactory, session: RawSession
) -> None:
    answered = asyncio.Event()
    handshakes = Handshakes(call=gated(answered))
    taken = status("202 Accepted")

    async def behave(exchange: Exchange) -> None:
        await (taken if exchange.method == "POST" and "method" not in exchange.body else handshakes)(exchange)

    async with FaultServer(behave, everything=True) as server:
        sections = "[pools.limits.pool]\nmax_concurrent = 1\nmax_queue = 0\n"
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=sections))
        await session.open(front)
        asking = asyncio.create_task(session.post(front, call("write")))
        await until(lambda: len(server.calls("write")) == 1, "a tool is at work, and asks")
        for number in range(6):
            assert (await session.post(front, {"jsonrpc": "2.0", "id": number, "result": {}}))[0] == 202
        answered.set()
        assert (await asking)[0] == 200
    assert "call_failed" not in front.log


async def test_a_session_that_its_server_let_expire_is_gone_and_not_reopened(
    gateway: GatewayFactory, session: RawSession
) -> None:
    handshakes = Handshakes()
    async with FaultServer(handshakes, everything=True) as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url))
        await session.open(front)
        other = RawSession(session._http)
        await other.open(front)
        (first, _) = (id for id, log in handshakes.sessions.items() if log.client == "mcppool-tests")
        handshakes.forgotten.add(first)
        before = len(handshakes.sessions)
        assert (await session.post(front, call("read")))[0] == 404
        assert (await other.post(front, call("read")))[0] == 200
        assert len(handshakes.sessions) == before, "no session was made behind the client's back"


async def test_a_404_to_a_session_that_its_server_knows_ends_no_session(
    gateway: GatewayFactory, session: RawSession
) -> None:
    lies: list[Behaviour] = []

    async def behave(exchange: Exchange) -> None:
        await (lies.pop() if lies else healthy)(exchange)

    async with FaultServer(Handshakes(call=behave), everything=True) as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url))
        await session.open(front)
        lies.append(status("404 Not Found"))
        assert "result" in (await session.post(front, call("read")))[1]
        lies.append(status("404 Not Found"))
        code, answer = await session.post(front, call("write"))
        assert (code, answer["error"]["data"]["reason"]) == (200, "request_rejected")
        assert "result" in (await session.post(front, call("write")))[1]
        assert server.executed("write") == 1


async def test_a_session_without_an_endpoint_for_a_moment_is_not_lost(
    gateway: GatewayFactory, session: RawSession
) -> None:
    handshakes = Handshakes()
    taking = True

    async def behave(exchange: Exchange) -> None:
        opens = isinstance(exchange.body, dict) and exchange.body.get("method") == "initialize"
        await (reset_before if opens and not taking else handshakes)(exchange)

    async with FaultServer(behave, everything=True) as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url))
        await session.open(front)
        taking = False
        handshakes.forgotten.update(handshakes.sessions)
        status, answer = await session.post(front, call("write"))
        assert (status, answer["error"]["data"]["reason"], answer["error"]["data"]["delivered"]) == (
            200, "no_endpoint", "no",
        )  # fmt: skip
        taking = True
        well = f'mcppool_endpoint_available{{pool="demo",endpoint="{server.url}"}}'
        await until(lambda: front.metric(well), "it is well again")
        assert (await session.post(front, call("write")))[0] == 200


async def test_a_session_that_a_restarted_server_has_forgotten_is_reopened(
    gateway: GatewayFactory, session: RawSession
) -> None:
    handshakes = Handshakes()
    async with FaultServer(handshakes, everything=True) as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=ROOM))
        await session.open(front)
        handshakes.forgotten.update(handshakes.sessions)  # the prober's own among them
        answers = await asyncio.gather(*(session.post(front, {**call("read"), "id": n}) for n in range(6)))
        assert [status for status, _ in answers] == [200] * 6
        made = [log for id, log in handshakes.sessions.items() if id not in handshakes.forgotten]
        assert [log.client for log in made].count("mcppool-tests") == 1, "one for all, with the client's own parameters"


async def test_a_key_that_is_added_is_used_and_the_old_one_still_opens(
    gateway: GatewayFactory, replicas: tuple[Replica, ...], session: RawSession, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    old, new = generate_key_line(time.time() - 60), generate_key_line(time.time())
    keys.write_text(old + "\n")
    line = f'sealing_keys = "{keys}"'
    front = gateway(pool_toml(*urls_of(replicas)), listener=line)
    await session.open(front)
    home = await session.whoami(front)
    keys.with_suffix(".new").write_text(new + "\n" + old + "\n")
    keys.with_suffix(".new").replace(keys)
    key_id = new.partition(":")[0]
    fresh = RawSession(session._http)
    async with asyncio.timeout(60):
        while not fresh.id.startswith(f"{key_id}."):
            await fresh.open(front)
            await asyncio.sleep(0.1)
    assert await session.whoami(front) == home


async def test_a_session_that_was_moved_can_be_ended_and_stays_so(
    gateway: GatewayFactory, replicas: tuple[Replica, ...], session: RawSession
) -> None:
    front = gateway(pool_toml(*urls_of(replicas)))
    await session.open(front)
    home_of(await session.whoami(front), replicas).kill()
    await session.whoami(front)
    assert await session.delete(front) in (200, 202, 204)
    assert (await session.post(front, call("whoami")))[0] == 404


async def test_a_session_moves_to_a_server_that_takes_its_time_with_handshakes_and_leaves_none_there(
    gateway: GatewayFactory, session: RawSession
) -> None:
    at_work: list[str] = []

    class Slow(Handshakes):
        async def __call__(self, exchange: Exchange) -> None:
            body = exchange.body
            opens = isinstance(body, dict) and body.get("method") == "initialize"
            if opens and body["params"]["clientInfo"]["name"] != "mcppool":
                at_work.append(exchange.server.name)
                await asyncio.sleep(1.5)
            await super().__call__(exchange)

    servers = [Slow(), Slow(), Slow()]
    section = """[pools.health_check]
timeout = "1s"
[pools.connection_pool]
connection_timeout = "1s"
"""
    async with (
        FaultServer(servers[0], everything=True) as a,
        FaultServer(servers[1], everything=True) as b,
        FaultServer(servers[2], everything=True) as c,
    ):
        front = await asyncio.to_thread(gateway, pool_toml(a.url, b.url, c.url, sections=section))
        await session.open(front)
        fakes = (a, b, c)
        home = next(n for n, server in enumerate(servers) if server.of("mcppool-tests"))
        at_work.clear()
        await fakes[home].refuse()
        status, answer = await session.post(front, call("write"))
        assert (status, "result" in answer) == (200, True)
        others = [server for n, server in enumerate(servers) if n != home]
        await until(
            lambda: (
                [opened.ended for server in others for opened in server.of("mcppool-tests")].count(True)
                == len(at_work) - 1
            ),
            "what was opened in vain is ended",
        )
        assert sum(not opened.ended for server in others for opened in server.of("mcppool-tests")) == 1
