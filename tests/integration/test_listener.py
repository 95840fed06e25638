"""The listener over real sockets: refused and tolerated input, without harm to other calls."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.certificates import make_server_certificate
from tests.conftest import GatewayFactory
from tests.integration.keyed_clients import add_key
from tests.integration.raw_http import HOST, RawClient, ask, tool_call
from tests.requirements import need_program
from tests.servers import Gateway, free_port, modern_call, pool_toml
from tests.servers.faults import Exchange, FaultServer, silent
from tests.servers.framing import event_stream
from tests.waiting import until

HEAD = b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\n"


@pytest.fixture
async def server() -> AsyncIterator[FaultServer]:
    async with FaultServer() as server:
        yield server


@pytest.fixture
async def front(server: FaultServer, gateway: GatewayFactory) -> Gateway:
    return await asyncio.to_thread(gateway, pool_toml(server.url), listener='max_body = "4MiB"')


async def malformed(front: Gateway, reason: str) -> float:
    return await asyncio.to_thread(front.metric, f'mcppool_listener_malformed_total{{reason="{reason}"}}')


REFUSED: dict[str, tuple[bytes, int, str]] = {
    "not HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "not_http"),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "version"),
    "bare line feeds": (b"POST /mcp HTTP/1.1\nHost: a\n\n", 400, "not_http"),
    "two spaces": (b"POST  /mcp HTTP/1.1\r\nHost: a\r\n\r\n", 400, "not_http"),
    "no host": (b"POST /mcp HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 400, "host"),
    "two hosts": (HEAD + b"Host: b\r\nContent-Length: 0\r\n\r\n", 400, "host"),
    "two lengths": (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 400, "not_http"),
    "length and chunks": (HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "not_http"),
    "another encoding": (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501, "transfer_encoding"),
    "trailers": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n", 400, "trailer"),
    "a fold": (HEAD + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n", 400, "not_http"),
    "a large head": (HEAD + b"X: " + b"x" * 100_000 + b"\r\n\r\n", 431, "head_too_large"),
    "many headers": (HEAD + b"X: y\r\n" * 200 + b"\r\n", 431, "too_many_headers"),
    "an unknown method": (b"BREW /mcp HTTP/1.1\r\nHost: a\r\n\r\n", 501, "method"),
    "a tunnel": (b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 501, "method"),
    "another expectation": (HEAD + b"Expect: magic\r\nContent-Length: 0\r\n\r\n", 417, "expect"),
    "a large body": (HEAD + b"Content-Length: 5000000\r\n\r\n" + b"x" * 5_000_000, 413, "body_too_large"),
    "one that waits": (HEAD + b"Expect: 100-continue\r\nContent-Length: 5000000\r\n\r\n", 413, "body_too_large"),
    "another path": (b"POST /other HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n", 404, "path"),
    "another's target": (b"POST http://evil.example/mcp HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 400, "target"),
    "no content type": (HEAD + b"Content-Length: 2\r\n\r\n{}", 415, "content_type"),
    "PUT": (b"PUT /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n", 405, "http_method"),
    "OPTIONS": (b"OPTIONS /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 405, "http_method"),
}  # fmt: skip


@pytest.mark.parametrize("authentication", [False, True], ids=["everyone", "clients with keys"])
async def test_each_is_refused_counted_and_hurts_no_call_on_another_connection(
    authentication: bool, server: FaultServer, gateway: GatewayFactory, tmp_path: Path
) -> None:
    sections, shown = "", ""
    if authentication:
        key = add_key(tmp_path / "keys", "ann")
        sections = f'[pools.auth.inbound]\ntype = "api_keys"\napi_keys = {{keys_file = "{tmp_path}/keys"}}\n'
        shown = f"Authorization: Bearer {key}\r\n"
    pools = pool_toml(server.url, sections=sections)
    front = await asyncio.to_thread(gateway, pools, listener='max_body = "4MiB"')
    wrong = {}
    async with RawClient(front) as healthy:
        for name, (data, status, reason) in REFUSED.items():
            before = await malformed(front, reason)
            seen = await ask(front, data.replace(b"Host: 127.0.0.1\r\n", b"Host: 127.0.0.1\r\n" + shown.encode(), 1))
            counted = await malformed(front, reason) - before
            if (seen.status, seen.error["code"], counted) != (status, -32600, 1):
                wrong[name] = (seen.status, seen.body, counted)
            await healthy.send(tool_call("read", more=shown))
            assert (await healthy.answer()).status == 200, f"after {name}"
    assert not wrong
    assert server.executed("read") == len(REFUSED), "and nothing else has come through"


async def test_a_megabyte_of_garbage_behind_a_call_gets_the_call_answered_and_then_refused(front: Gateway) -> None:
    async with RawClient(front) as client:
        sending = asyncio.create_task(client.send(tool_call("read") + b"garbage \x00\xff\r\n" * 80_000))
        assert (await client.answer()).status == 200
        refusal = await client.answer()
        assert (refusal.status, refusal.headers["connection"]) == (400, "close")
        assert await client.ended()
        sending.cancel()
    assert (await ask(front, tool_call("read"))).status == 200


async def test_pipelined_calls_are_answered_in_order(front: Gateway) -> None:
    async with RawClient(front) as client:
        await client.send(b"".join(tool_call("read", request_id=n) for n in range(50)))
        assert [(await client.answer()).json["id"] for _ in range(50)] == list(range(50))


async def test_head_has_no_body_and_lists_the_allowed_methods(front: Gateway) -> None:
    async with RawClient(front) as client:
        await client.send(b"HEAD /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" + tool_call("read"))
        refusal = await client.answer(bodyless=True)
        assert refusal.status == 405
        assert "POST" in refusal.headers["allow"]
        assert (await client.answer()).status == 200


async def test_a_request_byte_by_byte_in_chunks_after_a_word_is_one_call(front: Gateway) -> None:
    headers, body = modern_call("read")
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()
    head = HEAD + lines + b"Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
    async with RawClient(front) as client:
        await client.send(head)
        assert (await client.answer()).status == 100
        for byte in body:
            await client.send(b"1\r\n" + bytes([byte]) + b"\r\n")
        await client.send(b"0\r\n\r\n")
        assert (await client.answer()).json["result"]["isError"] is False


async def test_http_1_0_gets_whole_answers_with_their_length_and_streams_that_end(
    front: Gateway, server: FaultServer
) -> None:
    old = tool_call("read").replace(b"HTTP/1.1", b"HTTP/1.0")
    whole = await ask(front, old)
    assert whole.headers["content-length"] == str(len(whole.body))
    server.script = [event_stream(split=7)]
    streamed = await ask(front, old)
    assert "transfer-encoding" not in streamed.headers
    assert streamed.headers["connection"] == "close"
    assert streamed.body.count(b"data:") == 3


async def test_curl_asking_for_http_2_is_served_in_1_1(front: Gateway) -> None:
    curl = need_program("curl", "`apt-get install curl`")
    headers, body = modern_call("read")
    command = [
        curl,
        "-s",
        "--http2",
        "-o",
        "-",
        "-w",
        " %{http_version} %{http_code}",
        "--data-binary",
        body.decode(),
        front.url,
    ]
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, timeout=120, check=False)
    assert done.stdout.endswith(b" 1.1 200"), done


async def test_nginx_with_its_defaults_in_front_serves_calls_and_streams(
    front: Gateway, server: FaultServer, tmp_path: Path
) -> None:
    nginx, port = need_program("nginx", "`apt-get install nginx-light`"), free_port()
    folders = "".join(
        f"{kind}_temp_path {tmp_path}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (tmp_path / "nginx.conf").write_text(
        f"daemon off; pid {tmp_path}/pid; error_log stderr; worker_processes 1; events {{}}\n"
        f"http {{ access_log off; {folders} server {{ listen {HOST}:{port};"
        f" location / {{ proxy_pass http://{HOST}:{front.port}; }} }} }}\n"
    )
    process = await asyncio.create_subprocess_exec(nginx, "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"))
    try:
        headers, body = modern_call("read")
        url = f"http://{HOST}:{port}/mcp"
        async with aiohttp.ClientSession() as http:

            async def serves() -> bool:
                try:
                    async with http.post(url, data=body, headers=headers) as response:
                        return response.status == 200
                except aiohttp.ClientConnectionError:
                    return False

            deadline = asyncio.get_running_loop().time() + 60
            while not await serves():
                assert asyncio.get_running_loop().time() < deadline
                await asyncio.sleep(0.05)
            server.script = [event_stream(split=11)]
            async with http.post(url, data=body, headers=headers) as response:
                assert (await response.read()).count(b"data:") == 3
    finally:
        process.terminate()
        await process.wait()


async def test_a_client_that_goes_ends_its_modern_call_at_the_server(front: Gateway, server: FaultServer) -> None:
    gone = asyncio.Event()

    async def noticing(exchange: Exchange) -> None:
        await silent(exchange)
        gone.set()

    server.script = [noticing]
    async with RawClient(front) as client:
        await client.send(tool_call("write"))
        await until(lambda: server.calls("write"), "the call has arrived")
    await asyncio.wait_for(gone.wait(), 60)
    assert (await ask(front, tool_call("read"))).status == 200


async def test_a_slow_reader_is_waited_for_and_gets_everything(front: Gateway, server: FaultServer) -> None:
    size = 20 << 20

    async def large(exchange: Exchange) -> None:
        answer = exchange.answer()
        answer["result"]["content"][0]["text"] = "x" * size
        await exchange.respond(answer)

    server.script = [large]
    async with RawClient(front) as slow:
        await slow.send(tool_call("read"))
        status, headers = await slow.head()
        assert status == 200
        for _ in range(20):  # others are served meanwhile
            assert (await ask(front, tool_call("read"))).status == 200
        assert headers["transfer-encoding"] == "chunked"
        received = 0
        while part := await slow.chunk():
            received += len(part)
        assert received > size


async def test_https_with_a_certificate_of_ones_own(
    server: FaultServer, gateway: GatewayFactory, tmp_path: Path
) -> None:
    made = make_server_certificate(tmp_path / "tls")
    tls = f'[listener.tls]\ncertificate_file = "{made.certificate}"\nkey_file = "{made.key}"\n'
    front = await asyncio.to_thread(gateway, tls + pool_toml(server.url))
    headers, body = modern_call("read")
    url = front.url.replace("http://", "https://")

    async def post(authority: Path) -> int:
        trust = ssl.create_default_context(cafile=str(authority))
        async with aiohttp.ClientSession() as http, http.post(url, data=body, headers=headers, ssl=trust) as response:
            return response.status

    assert await post(made.ca) == 200
    other = make_server_certificate(tmp_path / "other", "another authority")
    for source, target in ((other.key, made.key), (other.certificate, made.certificate)):
        shutil.copyfile(source, target)
    await until(lambda: "certificate_loaded" in front.log, "the new certificate is in use")
    assert await post(other.ca) == 200


async def test_more_clients_are_served_than_a_shell_allows_open_files(server: FaultServer, tmp_path: Path) -> None:
    front = Gateway(tmp_path, pool_toml(server.url))
    front.command = ["sh", "-c", 'ulimit -S -n 64; exec "$@"', "sh", *front.command]
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(front.close)
        await asyncio.to_thread(front.start)
        clients = [await stack.enter_async_context(RawClient(front)) for _ in range(100)]
        for client in clients:
            await client.send(tool_call("read"))
            assert (await client.answer()).status == 200


PREFLIGHT = (
    b"OPTIONS /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: %b\r\nAccess-Control-Request-Method: POST\r\n"
    b"Access-Control-Request-Headers: content-type, mcp-param-region\r\n\r\n"
)
APP = "https://app.example"


async def says_that_all_may_call(exchange: Exchange) -> None:
    exchange.execute()
    headers = (("Access-Control-Allow-Origin", "*"), ("Access-Control-Allow-Credentials", "true"))
    await exchange.respond(exchange.answer(), headers=headers)


async def test_pages_of_allowed_origins_may_call_and_read_answers_and_no_others(gateway: GatewayFactory) -> None:
    async with FaultServer(says_that_all_may_call) as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url), listener=f'allowed_origins = ["{APP}"]')
        async with RawClient(front) as client:
            await client.send(PREFLIGHT % APP.encode())
            status, headers = await client.head()
            assert status == 204
            assert "content-length" not in headers
            assert headers["access-control-allow-origin"] == APP
            assert headers["access-control-allow-methods"] == "POST, GET, DELETE"
            allowed = headers["access-control-allow-headers"].replace(" ", "").split(",")
            assert {"content-type", "mcp-session-id", "mcp-protocol-version", "mcp-method", "mcp-param-region"} <= {
                *allowed
            }
            assert int(headers["access-control-max-age"]) > 0
            assert headers["vary"] == "origin"
            elsewhere = (
                f"POST /other HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: {APP}\r\nContent-Length: 0\r\n\r\n".encode()
            )
            for data, expected in ((tool_call("read", more=f"Origin: {APP}\r\n"), 200), (elsewhere, 404)):
                await client.send(data)
                answer = await client.answer()
                assert answer.status == expected
                assert answer.headers["access-control-allow-origin"] == APP
                assert "mcp-session-id" in answer.headers["access-control-expose-headers"]
                assert "access-control-allow-credentials" not in answer.headers, "what a server says of it goes nowhere"
            await client.send(tool_call("read"))
            assert not [name for name in (await client.answer()).headers if name.startswith("access-control")]
        for data in (PREFLIGHT % b"https://evil.example", tool_call("read", more="Origin: https://evil.example\r\n")):
            refused = await ask(front, data)
            assert refused.status == 403
            assert "listener.allowed_origins" in refused.error["message"]
            assert not [name for name in refused.headers if name.startswith("access-control")]
    assert len([request for request in server.requests if request.tool == "read"]) == 2


async def test_an_unlisted_name_is_refused_with_the_key_that_lists_names(front: Gateway) -> None:
    data = tool_call("read").replace(b"Host: 127.0.0.1", b"Host: host.docker.internal:8080")
    refused = await ask(front, data)
    assert refused.status == 421
    assert "host.docker.internal:8080" in refused.error["message"]
    assert "listener.allowed_hosts" in refused.error["message"]
