"""One client does its worst: others are served, `/livez` answers, and memory stays within `limits.memory`.

The speed of the machine must not matter: `/livez` is held to the processor time that the gateway uses before it
answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from statistics import median

import pytest

from tests.conftest import GatewayFactory
from tests.integration.keyed_clients import add_key
from tests.integration.livez_work import livez_work
from tests.integration.raw_http import HOST, Answer, RawClient, ask, request, tool_call
from tests.servers import Gateway, modern_request, pool_toml
from tests.servers.faults import Exchange, FaultServer, healthy
from tests.waiting import until

ATTACKER = "127.0.0.2"
"""Another address of the loopback: to the gateway, another client."""
MEMORY = 256
"""`limits.memory` of the gateway, in MiB."""
OVERSHOOT = 96
"""MiB by which the limit may be exceeded for a moment: bytes between two measurements, and freed memory that was not
given back."""
WORK = 0.1
"""Seconds of processor time in which `/livez` must answer."""
HEAD = b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"

Attack = Callable[[Gateway, str], Awaitable[None]]
"""Attacks a gateway, with these header lines in requests that are meant to be admitted."""


@contextlib.asynccontextmanager
async def connection(front: Gateway) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection of the attacker, with a small window, so that the gateway holds the unread bytes."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # bytes in transit are lost with it
    sock.setblocking(False)
    try:
        sock.bind((ATTACKER, 0))
        await asyncio.get_running_loop().sock_connect(sock, (HOST, front.port))
        reader, writer = await asyncio.open_connection(sock=sock, limit=4096)
    except BaseException:  # also of an attack that ends while it connects
        sock.close()
        raise
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def send_for_ever(front: Gateway, data: bytes, *, first: bytes = b"") -> None:
    """The same bytes again and again, reading nothing; from the beginning where the gateway ends the connection."""
    while True:
        with contextlib.suppress(ConnectionError):
            async with connection(front) as (_, writer):
                writer.write(first)
                while True:
                    writer.write(data)
                    await writer.drain()
        await asyncio.sleep(0.01)


async def pipelines_and_never_reads(front: Gateway, shown: str) -> None:
    await asyncio.gather(*(send_for_ever(front, tool_call("large", more=shown) * 20) for _ in range(10)))


async def asks_for_what_is_kept_and_never_reads(front: Gateway, shown: str) -> None:
    headers, body = modern_request("tools/list", {})
    await asyncio.gather(*(send_for_ever(front, request(body, headers) * 20) for _ in range(10)))


async def sends_tiny_requests(front: Gateway, shown: str) -> None:
    data = b"GET /x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 2000
    await asyncio.gather(*(send_for_ever(front, data) for _ in range(10)))


async def sends_chunks_of_a_byte(front: Gateway, shown: str) -> None:
    await asyncio.gather(*(send_for_ever(front, b"1\r\nx\r\n" * 20_000, first=CHUNKED) for _ in range(5)))


async def sends_chunks_with_extensions(front: Gateway, shown: str) -> None:
    await asyncio.gather(*(send_for_ever(front, b"2;a\r\nxy\r\n" * 10_000, first=CHUNKED) for _ in range(5)))


async def sends_many_headers(front: Gateway, shown: str) -> None:
    heads = [HEAD + b"".join(b"X-%d-%d: y\r\n" % (n, line) for line in range(95)) + b"\r\n" for n in range(50)]
    await asyncio.gather(*(send_for_ever(front, b"".join(heads)) for _ in range(5)))


async def keeps_bodies_short_of_a_byte(front: Gateway, shown: str) -> None:
    async def one() -> None:
        while True:
            with contextlib.suppress(ConnectionError):
                async with connection(front) as (_, writer):
                    writer.write(HEAD + b"Content-Length: 8000001\r\n\r\n")
                    for _ in range(80):
                        writer.write(b"x" * 100_000)
                        await writer.drain()
                    await asyncio.sleep(3600)
            await asyncio.sleep(0.01)

    await asyncio.gather(*(one() for _ in range(60)))


async def sends_byte_by_byte(front: Gateway, shown: str) -> None:
    async def one() -> None:
        while True:
            with contextlib.suppress(ConnectionError):
                async with connection(front) as (_, writer):
                    for byte in HEAD + b"Content-Length: 1000000\r\n\r\n" + b"x" * 100_000:
                        writer.write(bytes([byte]))
                        await asyncio.sleep(0)

    await asyncio.gather(*(one() for _ in range(20)))


async def sends_large_ids(front: Gateway, shown: str) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": "x" * 3_000_000, "method": "tools/list"}).encode()
    await send_for_ever(front, request(body, {"Content-Type": "application/json", "Accept": "*/*"}))


async def sends_large_bodies(front: Gateway, shown: str) -> None:
    headers, body = modern_request("tools/call", {"name": "read", "arguments": {"text": "x" * 30_000_000}})
    await asyncio.gather(*(send_for_ever(front, request(body, headers, more=shown)) for _ in range(3)))


async def guesses_keys(front: Gateway, shown: str) -> None:
    guesses = [tool_call("read", more=f"Authorization: Bearer mcppool_{'x' * 38}{n:05}\r\n") for n in range(20_000)]
    await asyncio.gather(*(send_for_ever(front, b"".join(guesses[n::10])) for n in range(10)))


async def opens_connections(front: Gateway, shown: str) -> None:
    held: list[socket.socket] = []
    try:
        while True:
            sock = socket.socket()
            sock.setblocking(False)
            sock.bind((ATTACKER, 0))
            held.append(sock)
            with contextlib.suppress(ConnectionError):
                await asyncio.get_running_loop().sock_connect(sock, (HOST, front.port))
            if len(held) > 500:
                held.pop(0).close()
            await asyncio.sleep(0)
    finally:
        for sock in held:
            sock.close()


async def opens_streams(front: Gateway, shown: str) -> None:
    headers, body = modern_request("subscriptions/listen", {"notifications": {}})
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(40):
            _, writer = await stack.enter_async_context(connection(front))
            writer.write(request(body, headers, more=shown))
        await asyncio.sleep(3600)


async def two_at_once(front: Gateway, shown: str) -> None:
    await asyncio.gather(sends_chunks_of_a_byte(front, shown), pipelines_and_never_reads(front, shown))


ATTACKS: list[Attack] = [
    pipelines_and_never_reads, asks_for_what_is_kept_and_never_reads, sends_tiny_requests, sends_chunks_of_a_byte,
    sends_chunks_with_extensions, sends_many_headers, keeps_bodies_short_of_a_byte, sends_byte_by_byte, sends_large_ids,
    sends_large_bodies, opens_connections, opens_streams, two_at_once,
]  # fmt: skip
ATTACKS_ON_AUTHENTICATION: list[Attack] = [
    guesses_keys, keeps_bodies_short_of_a_byte, pipelines_and_never_reads, opens_streams,
]  # fmt: skip


async def at_the_server(exchange: Exchange) -> None:
    if exchange.tool == "large":
        answer = exchange.answer()
        answer["result"] = {"resultType": "complete", "content": [{"type": "text", "text": "x" * 60_000}]}
        exchange.execute()
        await exchange.respond(answer)
    else:
        await healthy(exchange)


def resident(front: Gateway) -> int:
    """MiB of the gateway's memory."""
    status = Path(f"/proc/{front.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) >> 10


async def under_attack(front: Gateway, attack: Attack, shown: str = "", attackers: str = "") -> list[Answer]:
    """The results of another client meanwhile; `/livez` and memory are held to their bounds. `shown` and `attackers`
    are the header lines with the credentials of the two."""
    answers: list[Answer] = []
    work: list[float] = []
    async with livez_work(front) as work_until_alive:
        attacking = asyncio.create_task(attack(front, attackers))  # type: ignore[arg-type]
        try:
            for number in range(15):
                await asyncio.sleep(0.1)
                assert not attacking.done(), attacking.exception()
                work.append(await work_until_alive())
                answers.append(await ask(front, tool_call("read", request_id=number, more=shown)))
                assert resident(front) < MEMORY + OVERSHOOT
        finally:
            attacking.cancel()
            await asyncio.gather(attacking, return_exceptions=True)
    assert median(work) < WORK
    # Processor time is longer, too, where others use the same caches, and once where a virtual machine stands still.
    assert sorted(work)[-2] < 3 * WORK
    return answers


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
async def test_one_client_does_its_worst_and_others_are_served(attack: Attack, gateway: GatewayFactory) -> None:
    async with FaultServer(at_the_server) as server:
        front = await asyncio.to_thread(
            gateway,
            f'[limits]\nmemory = "{MEMORY}MiB"\n' + pool_toml(server.url),
            listener="max_connections = 400\nmax_streams = 40",
        )
        answers = await under_attack(front, attack)
        assert {answer.status for answer in answers} == {200}
        await nothing_is_left(front)


@pytest.mark.parametrize("attack", ATTACKS_ON_AUTHENTICATION, ids=lambda attack: attack.__name__)
async def test_with_authentication_one_client_does_its_worst_and_others_are_served(
    attack: Attack, gateway: GatewayFactory, tmp_path: Path
) -> None:
    shown, attackers = [f"Authorization: Bearer {add_key(tmp_path / 'keys', name)}\r\n" for name in ("ann", "eve")]
    sections = f'[pools.auth.inbound]\ntype = "api_keys"\napi_keys = {{keys_file = "{tmp_path}/keys"}}\n'
    async with FaultServer(at_the_server) as server:
        front = await asyncio.to_thread(
            gateway,
            f'[limits]\nmemory = "{MEMORY}MiB"\n' + pool_toml(server.url, sections=sections),
            listener="max_connections = 400\nmax_streams = 40",
        )
        answers = await under_attack(front, attack, shown, attackers)
        assert {answer.status for answer in answers} == {200}
        await nothing_is_left(front)


async def nothing_is_left(front: Gateway) -> None:
    """The gateway has forgotten its clients, and logged no defect of its own."""
    assert "defect" not in front.log
    await until(lambda: front.metric("mcppool_listener_connections") == 0, "nothing is left of it", 60)
    await until(
        lambda: (
            front.metric('mcppool_memory_charged_bytes{account="bodies"}') == 0
            and front.metric('mcppool_memory_charged_bytes{account="answers"}') == 0
        ),
        "what was charged is given back",
    )


async def test_where_all_descriptors_are_asked_for_probes_and_servers_get_theirs(tmp_path: Path) -> None:
    async with FaultServer() as server:
        front = Gateway(tmp_path, pool_toml(server.url))
        front.command = ["sh", "-c", 'ulimit -n 200; exec "$@"', "sh", *front.command]
        with contextlib.closing(front):
            await asyncio.to_thread(front.start)
            attacking = [asyncio.create_task(hold(front, f"127.0.1.{n}", 60)) for n in range(8)]
            try:
                await until(
                    lambda: front.metric('mcppool_listener_turned_away_total{cap="max_connections"}') > 0,
                    "no client gets more connections",
                )
                work = []
                async with livez_work(front) as work_until_alive:
                    for _ in range(5):
                        work.append(await work_until_alive())
                        assert (await asyncio.to_thread(front.get, "/health"))[0] == 200
                assert median(work) < WORK
                assert front.log.count("turned_away") < 20, "it is said once in a while"
            finally:
                for task in attacking:
                    task.cancel()
                await asyncio.gather(*attacking, return_exceptions=True)
            await until(lambda: front.metric("mcppool_listener_connections") == 0, "all are gone")
            assert (await ask(front, tool_call("read"))).status == 200


async def hold(front: Gateway, address: str, count: int) -> None:
    """As many connections as possible, none of which this side ends."""
    sockets = []
    try:
        for _ in range(count):
            sock = socket.socket()
            sock.setblocking(False)
            sock.bind((address, 0))
            sockets.append(sock)
            with contextlib.suppress(ConnectionError):
                await asyncio.get_running_loop().sock_connect(sock, (HOST, front.port))
        await asyncio.sleep(3600)
    finally:
        for sock in sockets:
            sock.close()


async def test_a_client_that_reads_its_refusal_learns_which_key_sets_the_cap(gateway: GatewayFactory) -> None:
    async with FaultServer() as server:
        front = await asyncio.to_thread(
            gateway, pool_toml(server.url), listener="max_connections = 8\nmax_connections_per_client = 2"
        )
        async with RawClient(front), RawClient(front), RawClient(front) as third:
            answer = await third.answer()
        assert answer.status == 503
        assert answer.error["data"]["reason"] == "overloaded"
        assert "listener.max_connections_per_client" in answer.error["message"]
