"""Large messages of both sides, whatever their content, go through unchanged and delay no other call.

The speed of the machine must not matter: `/livez` is held to the processor time that the gateway uses before it
answers, compared with the time of an idle gateway.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import ssl
import sys
from pathlib import Path

import pytest

from tests.certificates import make_server_certificate
from tests.conftest import GatewayFactory
from tests.integration.livez_work import livez_work, worked
from tests.integration.raw_http import Answer, RawClient, request
from tests.integration.raw_session import HEADERS, HELLO
from tests.servers import Gateway, modern_call, pool_toml
from tests.servers.faults import Exchange, FaultServer, healthy
from tests.waiting import until

SIZE = 8 << 20
LARGEST = 32 << 20
PROGRAM = str(Path(__file__).resolve().parent.parent / "servers" / "large_program.py")
WORK = 0.1
"""Seconds of processor time in which `/livez` must answer, or `SHARE` of those of the whole call where that is more."""
SHARE = 0.25
MEMORY = '[limits]\nmemory = "2GiB"\n'
LISTENER = 'max_memory_per_client = "1GiB"'
JSON_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
DISCOVERED = {
    "resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}},
    "serverInfo": {"name": "s", "version": "1"}, "tools": [],
}  # fmt: skip

_ID = re.compile(rb'"id": ?("[^"]*"|[0-9]+)')
STRINGS = {"a string": b"x", "escapes": b"\\n", "two-byte characters": "é".encode()}
UNITS = STRINGS | {
    "white space": b" \n",
    "small numbers": b"1,",
    "floats": b"-0.12345678901234e-12,",
    "empty strings": b'"",',
    "members": b'"":1,',
    "nested arrays": b"[" * 200 + b"]" * 200 + b",",
}
"""The content of a large value."""
FLOODS = {
    "empty lines": b"\n",
    "comments": b":\n\n",
    "lines of data": b"data:\n",
    "ids": b"id: 7\n",
    "small messages": b'data: {"jsonrpc":"2.0","method":"notifications/x"}\n\n',
}


def value(shape: str, size: int = SIZE) -> bytes:
    """JSON of `size` bytes."""
    many = UNITS[shape] * (size // len(UNITS[shape]))
    if shape in STRINGS:
        return b'"' + many + b'"'
    return b"{" + many + b'"":1}' if shape == "members" else b"[" + many + b"1]"


async def call(front: Gateway, data: bytes, status: int = 200, trust: ssl.SSLContext | None = None) -> Answer:
    """The answer to a call; meanwhile `/livez` answers after little work."""

    async def ask() -> Answer:
        async with RawClient(front, "127.0.0.2", trust) as client:
            await client.send(data)
            return await client.answer()

    async with livez_work(front) as work_until_alive:
        idle = max([await work_until_alive() for _ in range(3)])
        before = worked(front)
        asking = asyncio.create_task(ask())
        work = []
        while not asking.done():
            work.append(await work_until_alive())
            await asyncio.sleep(0.005)
        whole = worked(front) - before
    # A request takes a few turns of the loop. On a slow machine these take longer, and so does the whole.
    assert max(work) < max(WORK, SHARE * whole) + 3 * idle, "it waits for a whole message"
    answer = await asking
    assert answer.status == status, answer.body[:300]
    return answer


class Unreading:
    """A server that does not parse the JSON of calls, so that only the gateway's work takes time."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self._serving: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            await self._answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._serving.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            body = await reader.readexactly(length)
            found = _ID.search(body)
            id = found[1] if found is not None else b"null"
            if length > 1 << 20:
                self.bodies.append(_ID.sub(b'"id":1', body, count=1))
            answer = b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (id, json.dumps(DISCOVERED).encode())
            writer.write(JSON_HEAD % len(answer) + answer)

    async def stop(self) -> None:
        """Close all connections."""
        serving = tuple(self._serving)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        await asyncio.sleep(0)  # in which the transports close


async def test_large_requests_go_through_and_do_not_delay_others(gateway: GatewayFactory) -> None:
    unreading = Unreading()
    server = await asyncio.start_server(unreading.serve, "127.0.0.1", 0, limit=1 << 20)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/mcp"
        front = await asyncio.to_thread(gateway, MEMORY + pool_toml(url), listener=LISTENER)
        headers, body = modern_call("read", {"text": "PLACE"})
        for shape in UNITS:
            large = body.replace(b'"PLACE"', value(shape))
            await call(front, request(large, headers))
            assert unreading.bodies.pop() == _ID.sub(b'"id":1', large, count=1), "but for the id of a repetition"
        assert "defect" not in front.log
        await unreading.stop()


async def test_refused_large_requests_do_not_delay_others(gateway: GatewayFactory) -> None:
    async with FaultServer() as server:
        front = await asyncio.to_thread(gateway, MEMORY + pool_toml(server.url), listener=LISTENER)
        headers, body = modern_call("read", {"text": "PLACE"})
        for shape in UNITS:
            large = body.replace(b'"PLACE"', value(shape)) + b"}"
            assert (await call(front, request(large, headers), 400)).error["code"] == -32700
        assert server.executed("read") == 0
        assert "defect" not in front.log


def with_large(exchange: Exchange, large: bytes) -> bytes:
    """The answer to a call, with something large in it."""
    answer = exchange.answer()
    answer["result"]["structuredContent"] = {"a": "PLACE"}
    return json.dumps(answer).encode().replace(b'"PLACE"', large)


@pytest.mark.parametrize("form", ["json", "event", "event of many lines"])
async def test_large_answers_go_through_and_do_not_delay_others(form: str, gateway: GatewayFactory) -> None:
    """As JSON they must be read whole, for they might be kept."""
    shape = ""
    sent: list[bytes] = []

    async def behave(exchange: Exchange) -> None:
        if exchange.tool != "read":
            await healthy(exchange)
            return
        large = value(shape)
        body = with_large(exchange, large if form != "event of many lines" else large.replace(b",", b",\n"))
        sent.append(body)
        if form == "json":
            await exchange.send(JSON_HEAD % len(body) + body)
        else:
            await exchange.send(STREAM_HEAD + b"data: " + body.replace(b"\n", b"\ndata: ") + b"\n\n")
            exchange.close()

    async with FaultServer(behave) as server:
        front = await asyncio.to_thread(
            gateway, MEMORY + pool_toml(server.url) + '\n[pools.tools.read]\ncache_ttl = "1m"\n', listener=LISTENER
        )
        for number, shape in enumerate(UNITS if form != "event of many lines" else ["floats", "small numbers"]):  # noqa: B007 (the server's)
            headers, body = modern_call("read", {"number": number})
            got = (await call(front, request(body, headers))).body
            if form != "json":
                got = b"\n".join(line[6:] for line in got.split(b"\n") if line.startswith(b"data: "))
            assert _ID.sub(b'"id":1', got, count=1) == _ID.sub(b'"id":1', sent.pop(), count=1)
        assert "defect" not in front.log


async def test_long_words_of_a_server_reach_its_client(gateway: GatewayFactory) -> None:
    """The text of progress, a log entry, an error's message: the gateway reads none of them."""
    words = b"x" * (2 << 20)
    said = [
        b'{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":7,"progress":1,"message":"%b"}}',
        b'{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","logger":"%b","data":1}}',
    ]
    ends = {
        "result": b'{"jsonrpc":"2.0","id":@ID@,"result":{"resultType":"complete","content":[],"_meta":{"a/b":"%b"}}}',
        "error": b'{"jsonrpc":"2.0","id":@ID@,"error":{"code":-32000,"message":"%b","data":"%b"}}',
    }

    async def behave(exchange: Exchange) -> None:
        if exchange.tool is None:
            await healthy(exchange)
            return
        await exchange.send(STREAM_HEAD)
        for text in (*said, ends[exchange.tool].replace(b"@ID@", json.dumps(exchange.body["id"]).encode())):
            await exchange.send(b"data: " + text.replace(b"%b", words) + b"\n\n")
        exchange.close()

    async with FaultServer(behave) as server:
        front = await asyncio.to_thread(gateway, MEMORY + pool_toml(server.url), listener=LISTENER)
        for tool, end in ends.items():
            headers, body = modern_call(tool, request_id=1)
            got = (await call(front, request(body, headers))).body
            data = [line.removeprefix(b"data: ") for line in got.splitlines() if line.startswith(b"data: ")]
            assert data == [text.replace(b"@ID@", b"1").replace(b"%b", words) for text in (*said, end)]


async def test_large_messages_over_tls_do_not_delay_others(gateway: GatewayFactory, tmp_path: Path) -> None:
    """Encrypted in one step, each of them would take longer than `/livez` may."""
    own = make_server_certificate(tmp_path / "tls")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(own.certificate, own.key)
    trust = ssl.create_default_context(cafile=str(own.ca))
    tls = f'[listener.tls]\ncertificate_file = "{own.certificate}"\nkey_file = "{own.key}"\n'
    large = b'"' + b"x" * LARGEST + b'"'
    answers: list[bytes] = []

    async def behave(exchange: Exchange) -> None:
        if exchange.tool != "read":
            await healthy(exchange)
            return
        assert len(exchange.body["params"]["arguments"]["text"]) == LARGEST
        answers.append(with_large(exchange, large))
        await exchange.send(JSON_HEAD % len(answers[0]) + answers[0])

    async with FaultServer(behave, tls=context) as server:
        pools = pool_toml(server.url) + f'[pools.tls]\nca_file = "{own.ca}"\n'
        front = await asyncio.to_thread(gateway, MEMORY + tls + pools, listener=LISTENER)
        headers, body = modern_call("read", {"text": "PLACE"})
        answer = await call(front, request(body.replace(b'"PLACE"', large), headers), trust=trust)
        assert _ID.sub(b'"id":1', answer.body, count=1) == _ID.sub(b'"id":1', answers[0], count=1)
        assert "defect" not in front.log


async def test_streams_of_many_small_events_do_not_delay_others(gateway: GatewayFactory) -> None:
    flood = b""

    async def behave(exchange: Exchange) -> None:
        if exchange.tool != "read":
            await healthy(exchange)
            return
        await exchange.send(STREAM_HEAD + flood * ((512 << 10) // len(flood)))
        await exchange.send(b"data: " + with_large(exchange, b"1") + b"\n\n")
        exchange.close()

    async with FaultServer(behave) as server:
        front = await asyncio.to_thread(gateway, MEMORY + pool_toml(server.url), listener=LISTENER)
        for flood in FLOODS.values():  # noqa: B007 (the server's)
            await call(front, request(*reversed(modern_call("read"))))
        assert "defect" not in front.log


def program(*options: str) -> str:
    """A pool of one local server."""
    command = json.dumps([sys.executable, "-S", PROGRAM, *options])
    return f'{MEMORY}[[pools]]\nname = "demo"\ncommand = {command}\nreplicas = 1\n'


async def test_large_messages_of_local_servers_go_through_and_do_not_delay_others(
    gateway: GatewayFactory, tmp_path: Path
) -> None:
    """Read and copied at once, each of them would take longer than `/livez` may."""
    front = await asyncio.to_thread(gateway, program(), listener=LISTENER)
    for shape in ("a string", "small numbers"):
        large = value(shape, LARGEST)
        headers, body = modern_call("read", {"text": "PLACE", "line": [1]})
        sent = body.replace(b'"PLACE"', large).replace(b"[1]", b"[\r\n1]")
        got = (await call(front, request(sent, headers))).json
        line = _ID.sub(b"", sent, count=1).replace(b"\r\n", b"  ") + b"\n"
        assert got["result"]["structuredContent"] == {"digest": hashlib.sha256(line).hexdigest()}

        result = b'{"resultType":"complete","content":[],"structuredContent":{"a":%b}}' % large
        (tmp_path / "result").write_bytes(result)
        headers, body = modern_call("read", {"result": str(tmp_path / "result")})
        answer = await call(front, request(body, headers))
        assert answer.body.partition(b'"result":')[2] == result + b"}"
    assert "defect" not in front.log


async def test_a_large_answer_of_a_program_that_then_ends_goes_through(gateway: GatewayFactory, tmp_path: Path) -> None:
    """Reading the answer may take longer than the gateway waits for the last output of a program that has exited."""
    front = await asyncio.to_thread(gateway, program(), listener=LISTENER)
    result = b'{"resultType":"complete","content":[],"structuredContent":{"a":%b}}' % value("nested arrays")
    (tmp_path / "result").write_bytes(result)
    headers, body = modern_call("read", {"result": str(tmp_path / "result"), "last": True})
    answer = await call(front, request(body, headers))
    assert answer.body.partition(b'"result":')[2] == result + b"}"
    assert "defect" not in front.log


async def test_a_client_reads_an_answer_in_its_own_time_while_the_program_that_gave_it_is_started_again(
    gateway: GatewayFactory, tmp_path: Path
) -> None:
    front = await asyncio.to_thread(gateway, program(), listener=LISTENER)
    result = b'{"resultType":"complete","content":[],"structuredContent":{"a":%b}}' % value("a string", LARGEST)
    (tmp_path / "result").write_bytes(result)
    headers, body = modern_call("read", {"result": str(tmp_path / "result"), "last": True})
    async with RawClient(front) as client:
        await client.send(request(body, headers))
        await until(lambda: front.log.count("server_started") == 2, "its program has ended and runs again")
        assert (await client.answer()).body.partition(b'"result":')[2] == result + b"}"
    assert "defect" not in front.log


async def test_many_small_lines_of_local_servers_do_not_delay_others(gateway: GatewayFactory, tmp_path: Path) -> None:
    """Each of them is counted as unreadable."""
    front = await asyncio.to_thread(gateway, program(), listener=LISTENER)
    (tmp_path / "first").write_bytes(b"1\n" * (64 << 10))
    headers, body = modern_call("read", {"first": str(tmp_path / "first")})
    await call(front, request(body, headers))
    assert "defect" not in front.log


async def test_sessions_that_share_a_local_server_get_its_large_greeting_under_their_own_ids(
    gateway: GatewayFactory,
) -> None:
    pool = program(str(2 << 20)) + "[pools.sessions]\nstateless = true\n"
    front = await asyncio.to_thread(gateway, pool, listener=LISTENER)

    async def greet(id: str) -> None:
        async with RawClient(front) as client:
            await client.send(request(json.dumps({**HELLO, "id": id}).encode(), HEADERS))
            greeting = (await client.answer()).json
            assert greeting["id"] == id
            assert len(greeting["result"]["instructions"]) == 2 << 20

    await asyncio.gather(*(greet("x" * length) for length in range(1, 5)))
    assert "defect" not in front.log
