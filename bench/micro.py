"""`make bench-micro`: the cost of single steps of a call.

Each case is one async generator below that yields (label, operation) pairs; add one with `@case`. An operation is a
function without arguments; its result is dropped, and awaited if it is a coroutine.
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from itertools import cycle
from pathlib import Path
from statistics import median, quantiles

import jwt
import uvloop
from cryptography.hazmat.primitives.asymmetric import ec

from bench import client, command, machine, report, targets
from bench.command import Result
from bench.processes import Failed
from mcppool.access.credential import Credential
from mcppool.access.inbound import InboundAuth
from mcppool.access.jwt import JwtTokens
from mcppool.access.key_file import ApiKey, hash_of, render_key
from mcppool.gateway.head_notes import notes_of
from mcppool.gateway.http.head_cache import MAX_HEADS
from mcppool.gateway.http.http_request import HttpRequest, RequestLimits
from mcppool.gateway.http.reader import RequestReader
from mcppool.observe.metrics import PoolMetrics
from mcppool.pipeline.admission.limits import Admission, leave
from mcppool.pipeline.call import Call
from mcppool.pipeline.plan import Plan, make_plan
from mcppool.pipeline.pool.pool import ServerPool
from mcppool.policy.balancing import STRATEGIES, make_strategy
from mcppool.spec import PoolSpec, default_snapshot, loads_toml
from mcppool.spec.sections.inbound import InboundAuthSpec, JwtSpec
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.http.connection_pool import ConnectionPool
from mcppool.wire import era, sealing
from mcppool.wire.message_ids import replace_id
from mcppool.wire.rpc_request import parse_request
from mcppool.wire.rpc_response import parse_response
from mcppool.wire.sealing import Key, KeyRing, SessionClaims
from mcppool.wire.sse import EventParser

Operation = Callable[[], object]
Cases = AsyncIterator[tuple[str, Operation]]

CASES: list[Callable[[targets.Bench], Cases]] = []
SAMPLES = 20_000
WARM_UP = 500
SIZES = (1, 3, 10, 100, 1000)
SETTLE_SECONDS = 5.0


def case(generator: Callable[[targets.Bench], Cases]) -> Callable[[targets.Bench], Cases]:
    CASES.append(generator)
    return generator


MODERN_CALL = (
    b'{"jsonrpc":"2.0","id":1000000,"method":"tools/call","params":{"name":"echo","arguments":{"text":"text 1000000"},'
    b'"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"wrk",'
    b'"version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}}'
)
MODERN_HEADERS = {
    "host": "127.0.0.1:8080",
    "content-type": "application/json",
    "accept": "application/json, text/event-stream",
    "mcp-protocol-version": client.MODERN,
    "mcp-method": "tools/call",
    "mcp-name": "echo",
    "content-length": str(len(MODERN_CALL)),
}
ANSWER = (
    b'{"jsonrpc":"2.0","id":1000000,"result":{"content":[{"type":"text","text":"text 1000000"}],"isError":false,'
    b'"resultType":"complete","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"bench-echo","version":"1"}}}}'
)
LARGE_ANSWER = ANSWER.replace(b'"text 1000000"', b'"%b"' % (b"x" * 60_000))


@case
async def wire(_: targets.Bench) -> Cases:
    request = parse_request(MODERN_CALL)
    yield "wire: parse a call of 300 bytes", lambda: parse_request(MODERN_CALL)
    yield "wire: classify it", lambda: era.classify(MODERN_HEADERS, request)
    yield "wire: parse its answer", lambda: parse_response(ANSWER)
    yield "wire: parse an answer of 60 kB", lambda: parse_response(LARGE_ANSWER)
    yield "wire: replace the id of a call", lambda: replace_id(MODERN_CALL, b'"retry-1"')


@case
async def heads(_: targets.Bench) -> Cases:
    """A whole request as a listener reads it, with the router's notes on its head."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in MODERN_HEADERS.items())
    requests = [
        f"POST /mcp HTTP/1.1\r\n{lines}traceparent: {number:055}\r\n\r\n".encode() + MODERN_CALL
        for number in range(2 * MAX_HEADS)
    ]

    def deliver(request: HttpRequest) -> None:
        notes_of(request.head)

    reader = RequestReader(RequestLimits(2**22), deliver)
    yield "head: a request whose head was read before", lambda: reader.feed(requests[0])
    new = cycle(requests)
    yield "head: a request whose head is new", lambda: reader.feed(next(new))


@case
async def tasks(_: targets.Bench) -> Cases:
    """The task that runs a call of a connection: a new one, or the one that ran the call before."""
    loop = asyncio.get_running_loop()
    given: asyncio.Future[asyncio.Future[None]] = loop.create_future()

    async def call(ended: asyncio.Future[None]) -> None:
        await asyncio.sleep(0)
        ended.set_result(None)

    async def work() -> None:
        nonlocal given
        while True:
            ended = await given
            given = loop.create_future()
            await call(ended)

    async def hand_over() -> None:
        ended: asyncio.Future[None] = loop.create_future()
        given.set_result(ended)
        await ended

    async def make_one() -> None:
        ended: asyncio.Future[None] = loop.create_future()
        task = loop.create_task(call(ended))
        await ended
        assert task.done()

    worker = loop.create_task(work())
    yield "task: one made for a call", make_one
    yield "task: one that ran the call before", hand_over
    worker.cancel()


@case
async def sessions(_: targets.Bench) -> Cases:
    ring = KeyRing([Key("bench", bytes(32))])
    bound_to = sealing.context("echo", "anonymous")
    claims = SessionClaims(
        "http://127.0.0.1:8001/mcp", "254d4c284765185a3c00f9be269ac7bf", client.LEGACY, None, b"{}", 0, 1
    )
    token = sealing.seal(claims, ring, bound_to)
    yield "session: seal an id", lambda: sealing.seal(claims, ring, bound_to)
    yield "session: open one that is not remembered", lambda: sealing.open_sealed(token, ring, bound_to)


@case
async def authentication(_: targets.Bench) -> Cases:
    now, key = time.time(), ec.generate_private_key(ec.SECP256R1())
    with tempfile.TemporaryDirectory(prefix="mcppool-bench-") as folder:
        jwks, keys = credential_files(Path(folder), key)
        claims = {"iss": "https://id.example", "sub": "bench", "aud": "here", "exp": int(now) + 86_400, "scope": "mcp"}
        token = jwt.encode(claims, key, "ES256", {"typ": "at+jwt", "kid": "k"})
        issuer = {"issuer": "https://id.example", "audiences": ["here"], "jwks_file": str(jwks)}
        for label, spec, shown in (
            ("an access token", {"type": "jwt", "jwt": {"issuers": [issuer]}}, token),
            ("an API key", {"type": "api_keys", "api_keys": {"keys_file": str(keys)}}, "key"),
        ):
            auth = InboundAuth(InboundAuthSpec.model_validate(spec), "bench", {}, Counter(), lambda: None)
            credential = auth.read({"authorization": f"Bearer {shown}"}, Nobody())
            await auth.authenticate(credential, "127.0.0.1", shown=True)
            yield f"auth: {label} of the call before", lambda a=auth, c=credential: a.recall(c)  # type: ignore[misc]
            if auth.spec.jwt is not None and credential is not None:
                yield f"auth: {label} for the first time", partial(first_call, auth.spec.jwt, credential)
            await auth.close()


async def first_call(spec: JwtSpec, credential: Credential) -> None:
    """Verify a token that is not remembered."""
    tokens = JwtTokens(spec, [], 300.0, lambda: None)
    await tokens.authenticate(credential, "127.0.0.1", time.time())
    await tokens.close()


def credential_files(folder: Path, key: ec.EllipticCurvePrivateKey) -> tuple[Path, Path]:
    """The file of an issuer's keys, and that of API keys."""
    jwks, keys = folder / "jwks.json", folder / "keys.toml"
    public = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    jwks.write_text(json.dumps({"keys": [{**public, "kid": "k"}]}))
    keys.write_text(render_key(ApiKey("bench", hash_of("key"))))
    return jwks, keys


class Nobody:
    """A client without a certificate."""

    der = thumbprint = b""


@case
async def streams(_: targets.Bench) -> Cases:
    event = b"event: message\ndata: %b\n\n" % ANSWER
    yield "sse: split off one event of 300 bytes", lambda: EventParser().feed(event)


@case
async def picks(_: targets.Bench) -> Cases:
    for name in STRATEGIES:
        for size in SIZES:
            endpoints = endpoints_of([f"http://127.0.0.1:{1024 + number}/mcp" for number in range(size)])
            for number, endpoint in enumerate(endpoints):  # unlike each other, so that no short cut is taken
                endpoint.weight = 100.0 + number % 7
                endpoint.latency.observe(0.001 + number % 5 / 1000, 0.0)
            strategy = make_strategy(name, random.Random(1))
            keys = cycle([b"client-%d" % number for number in range(1000)])
            for _number in range(size):  # the ring of consistent_hash is built little by little
                strategy.pick(endpoints, 0.0, b"")
            yield f"pick: {name}, one of {size:,}", lambda e=endpoints, p=strategy.pick, k=keys: p(e, 1.0, next(k))  # type: ignore[misc]


@case
async def counters(_: targets.Bench) -> Cases:
    metrics = PoolMetrics("echo")
    metrics.known_tools = frozenset({"echo"})

    def count() -> None:
        metrics.request("tools/call", "success")
        stats = metrics.tool("echo")
        stats.success += 1
        stats.duration.observe(0.003)
        stats.size.observe(300.0)

    yield "metrics: count one executed call", count


@case
async def limits(_: targets.Bench) -> Cases:
    """The way of an answered call through `limits.endpoint`: into the pool, to an endpoint, the lesson from its answer,
    and out."""
    request = parse_request(MODERN_CALL)
    for value in ("1000", '"auto"'):
        text = f'[limits.endpoint]\nmax_concurrent = {value}\n[[pools]]\nname = "echo"\nendpoints = ["http://127.0.0.1:1/mcp"]\n'
        pool = ServerPool(loads_toml(text).pools[0], PoolMetrics("echo"), KeyRing([Key("bench", bytes(32))]))
        call = Call(request, MODERN_CALL, b"", era.Era.MODERN, time.monotonic(), timeout=3600.0)
        plan = make_plan(call, pool.settings, pool.pins)
        (endpoint,), admission = pool.endpoints.values(), pool.attempts.admission
        assert admission is not None

        async def passes(
            call: Call = call, plan: Plan = plan, endpoint: Endpoint = endpoint, admission: Admission = admission
        ) -> None:
            gates = await admission.enter(call, plan)
            place = await admission.at(endpoint, plan, again=False)
            if endpoint.concurrency is not None:
                admission.answered(endpoint, "echo", 0.001, 1)
            if place is not None:
                place.leave()
            leave(gates)

        yield f"limits: endpoint.max_concurrent = {value}", passes


@case
async def leases(bench: targets.Bench) -> Cases:
    """From a pool with open connections: leased, and given back without use."""
    (endpoint,) = endpoints_of(bench.upstreams[:1])
    pool = endpoint.connections
    pool.warm_up()
    await settled(pool)
    loop = asyncio.get_running_loop()

    def lease(unsafe: bool) -> None:
        connection = pool.try_lease(loop.time(), unsafe=unsafe)
        assert connection is not None
        connection.release()

    async def lease_waiting() -> None:
        (await pool.lease(loop.time())).release()

    yield "lease: warm pool, safe call", lambda: lease(False)
    yield "lease: warm pool, unsafe call (looks for end-of-file)", lambda: lease(True)
    yield "lease: warm pool, through `await lease()`", lease_waiting
    pool.abort()


def pool_spec(urls: Sequence[str]) -> PoolSpec:
    return default_snapshot(urls, profile="production").pools[0]


def endpoints_of(urls: Sequence[str]) -> tuple[Endpoint, ...]:
    spec = pool_spec(urls)
    return tuple(Endpoint(each, spec) for each in spec.endpoints)


async def settled(pool: ConnectionPool) -> None:
    deadline = time.monotonic() + SETTLE_SECONDS
    while not pool.idle or pool.dialling:
        if time.monotonic() > deadline:
            raise Failed("the pool has not opened its connections")
        await asyncio.sleep(0.01)


@dataclass(frozen=True)
class Timing:
    """Nanoseconds per operation; the clock's own cost is taken off."""

    label: str
    p50: float
    p99: float


async def timed(label: str, operation: Operation) -> Timing:
    """Time each operation by itself, so that the tail shows."""
    clock = time.perf_counter_ns
    waits = inspect.iscoroutinefunction(operation)
    samples = []
    for number in range(WARM_UP + SAMPLES):
        began = clock()
        if waits:
            await operation()  # type: ignore[misc]
        else:
            operation()
        took = clock() - began
        if number >= WARM_UP:
            samples.append(took)
        if number % 1000 == 0:
            await asyncio.sleep(0)  # the loop's own work, outside of the samples
    empty = []
    for _ in range(SAMPLES):
        began = clock()
        empty.append(clock() - began)
    clock_cost = median(empty)
    cuts = quantiles(samples, n=100)
    return Timing(label, max(0.0, cuts[49] - clock_cost), max(0.0, cuts[98] - clock_cost))


async def run(options: argparse.Namespace) -> list[Timing]:
    timings = []
    with tempfile.TemporaryDirectory(prefix="mcppool-bench-") as directory, ExitStack() as stack:
        load_core, core = machine.cores()
        bench = targets.Bench(Path(directory), load_core, core, stack)
        targets.start_upstream(bench)
        os.sched_setaffinity(0, {core})
        for each in CASES:
            async for label, operation in each(bench):
                if options.only in label:
                    timings.append(await timed(label, operation))
    return timings


def markdown(timings: list[Timing]) -> str:
    rows = [[t.label, f"{t.p50 / 1e3:.2f}", f"{t.p99 / 1e3:.2f}"] for t in timings]
    return report.versions_line(machine.versions()) + "\n\n" + report.table(["step", "p50 µs", "p99 µs"], rows)


def measured(options: argparse.Namespace) -> Result:
    timings = uvloop.run(run(options))
    return Result(markdown(timings), {"versions": machine.versions(), "nanoseconds": [asdict(t) for t in timings]})


def main() -> int:
    parser = command.parser(__doc__)
    parser.add_argument("--only", default="", help="only cases whose label contains this")
    options = parser.parse_args()
    return command.run("micro", options, lambda: measured(options))


if __name__ == "__main__":
    sys.exit(main())
