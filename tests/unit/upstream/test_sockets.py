"""Closing an endpoint's connections leaves no descriptor, whatever is in flight."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import uvloop

from mcppool.spec import UpstreamTlsSpec
from mcppool.upstream.failures import ConnectFailed
from mcppool.upstream.http.connection_pool import ConnectionPool
from mcppool.upstream.http.sockets import EndpointSockets, numeric_address
from mcppool.upstream.http.target import Target
from mcppool.upstream.http.tls import UpstreamTls
from tests.descriptors import described, held, numbers_of
from tests.unit.upstream.line import ask
from tests.unit.upstream.test_tls import Nobody
from tests.unit.upstream.transports import pool_spec
from tests.waiting import until

TLS = UpstreamTls(UpstreamTlsSpec())
Run = Callable[[Callable[[], Awaitable[None]]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine function on the event loop that is named."""
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop

    def run_it(main: Callable[[], Awaitable[None]]) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(30):
                await main()

        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(bounded())

    return run_it


@contextlib.contextmanager
def nothing_left() -> Iterator[None]:
    """The code inside leaves no task and no descriptor, at the very moment of its end."""
    tasks, before = asyncio.all_tasks(), held()
    yield
    left, running = held() - before, asyncio.all_tasks() - tasks
    assert not left, described(left)
    assert not running


@contextlib.contextmanager
def listening(*, backlog: int = 100) -> Iterator[int]:
    """A port with a server that accepts in the kernel and answers nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=backlog) as server:
        yield server.getsockname()[1]


@contextlib.contextmanager
def unreachable() -> Iterator[int]:
    """A port that leaves connection attempts without an answer."""
    with listening(backlog=0) as port, contextlib.ExitStack() as stack:
        for _ in range(2):  # from the next one on the kernel drops connection attempts
            knocking = stack.enter_context(socket.socket())
            knocking.setblocking(False)
            knocking.connect_ex(("127.0.0.1", port))
        yield port


def pool_of(target: Target) -> ConnectionPool:
    """A pool that opens three connections at once."""
    return ConnectionPool(target, pool_spec(min_connections=3, max_connections=3))


def secure(port: int) -> Target:
    """A server with TLS."""
    return Target("127.0.0.1", port, TLS, f"127.0.0.1:{port}")


@pytest.mark.parametrize("kind", ["plain", "TLS", "unreachable"])
def test_dials_that_are_under_way_leave_nothing(run: Run, kind: str) -> None:
    async def main() -> None:
        with unreachable() if kind == "unreachable" else listening() as port:
            for turns in range(8):  # of the event loop, until the pool is closed
                with nothing_left():
                    pool = pool_of(secure(port) if kind == "TLS" else Target("127.0.0.1", port))
                    pool.warm_up()
                    for _ in range(turns):
                        await asyncio.sleep(0)
                    await pool.aclose()

    run(main)


@pytest.mark.parametrize("kind", ["plain", "TLS", "unreachable"])
def test_a_check_whose_connection_is_being_opened_leaves_nothing(run: Run, kind: str) -> None:
    """A check's connection belongs to no pool."""

    async def main() -> None:
        with unreachable() if kind == "unreachable" else listening() as port:
            target = secure(port) if kind == "TLS" else Target("127.0.0.1", port)
            pool = pool_of(target)
            with nothing_left():
                loop = asyncio.get_running_loop()
                check = loop.create_task(target.connect(loop, Nobody(), 60.0))
                await until(lambda: target.sockets.open, "it dials")
                check.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    (await check).close()
                await pool.aclose()

    run(main)


def test_connections_that_are_used_leave_nothing(run: Run) -> None:
    async def main() -> None:
        with listening() as port, nothing_left():
            pool = pool_of(Target("127.0.0.1", port))
            stream, leased = await pool.open_stream(), await pool.lease(0.0)
            answer = ask(leased, b"GET / HTTP/1.1\r\n\r\n", 0.0, 1e9, 1e9, 1e9)
            await pool.aclose()
            assert stream.closed
            assert leased.closed
            assert answer.exception() is not None

    run(main)


def test_a_refused_connection_leaves_nothing(run: Run) -> None:
    async def main() -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            with nothing_left():
                pool = pool_of(Target("127.0.0.1", taken.getsockname()[1]))
                with pytest.raises(ConnectFailed, match="connection refused"):
                    await pool.open_stream()
                assert not pool.target.sockets.open

    run(main)


@contextlib.contextmanager
def names(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> Iterator[threading.Event]:
    """`host.test` has these addresses, as soon as the event is set."""
    found = threading.Event()
    original = socket.getaddrinfo

    def look_up(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if host != "host.test" or options.get("flags"):
            return original(host, port, *args, **options)
        lookups.append(host)
        found.wait(30)
        return [info for address in addresses for info in original(address, port, *args, **options)]

    lookups: list[str] = []
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    yield found
    assert lookups == ["host.test"]


async def test_a_lookup_that_is_under_way_is_waited_for_and_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    with names(monkeypatch, "127.0.0.1") as found:
        pool = pool_of(Target("host.test", 9))
        pool.warm_up()
        await until(lambda: pool.target.sockets.open, "the name is looked up")
        closing = asyncio.create_task(pool.aclose())
        for _ in range(20):
            await asyncio.sleep(0)
        assert not closing.done()
        found.set()
        await closing


async def test_the_next_address_of_a_name_is_tried_where_one_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening() as port, names(monkeypatch, "127.0.0.2", "127.0.0.1") as found:
        found.set()
        pool = pool_of(Target("host.test", port))
        with nothing_left():
            assert not (await pool.open_stream()).closed
            await pool.aclose()


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", ("127.0.0.1", 1)),
        ("::1", ("::1", 1, 0, 0)),
        ("fe80::1%lo", ("fe80::1", 1, 0, socket.if_nametoindex("lo"))),
        ("fe80::1%7", ("fe80::1", 1, 0, 7)),
    ],
)
def test_an_address_needs_no_lookup(host: str, address: tuple[Any, ...]) -> None:
    found = numeric_address(host, 1)
    assert found is not None
    assert found[1] == address


@pytest.mark.parametrize("host", ["localhost", "", "127.0.0.1.", "::g", "1.2.3.4:5"])
def test_a_name_does(host: str) -> None:
    assert numeric_address(host, 1) is None


async def test_waiters_learn_that_a_descriptor_stays_open() -> None:
    sockets = EndpointSockets()
    with listening() as port:
        sock = await sockets.connect_host(asyncio.get_running_loop(), "127.0.0.1", port)
        assert not await sockets.wait_closed(0.01)
        sock.close()
        assert await sockets.wait_closed(0.01)


def test_requests_are_sent_without_delay(run: Run) -> None:
    async def main() -> None:
        with listening() as port:
            pool = pool_of(Target("127.0.0.1", port))
            before = held()
            await pool.open_stream()
            (number,) = numbers_of(held() - before)
            with socket.socket(fileno=os.dup(number)) as ours:
                assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            await pool.aclose()

    run(main)
