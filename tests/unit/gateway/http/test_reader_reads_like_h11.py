"""The listener against h11, a strict reader: a request that h11 rejects is never forwarded, and h11 agrees on every
forwarded one.

Requests are made from good and bad parts, broken once more by single bytes, pipelined, and cut anywhere on their way.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import h11
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mcppool.gateway.http.http_request import RequestLimits
from tests.unit.gateway.http.driving import Wire

pytestmark = pytest.mark.slow

MAX_BODY = 1000
EXAMPLES = 600

Header = tuple[bytes, bytes]


@dataclass(frozen=True)
class Reading:
    """One request as a reader has read it."""

    method: bytes
    target: bytes
    version: bytes
    headers: tuple[Header, ...]
    body: bytes


def _compared(headers: Iterable[Header]) -> tuple[Header, ...]:
    """All headers but two. An upgrade is declined by not being mentioned (RFC 9110 §7.8), and our parser must not see
    it; the length is the body's own, which is compared itself."""
    return tuple((name, value) for name, value in headers if name not in (b"upgrade", b"content-length"))


def h11_reads(data: bytes) -> list[Reading]:
    """The whole requests that h11 finds before it rejects bytes, closes, or needs more."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(data)
    readings: list[Reading] = []
    try:
        while True:
            request = connection.next_event()
            if not isinstance(request, h11.Request):
                return readings
            body = b""
            while isinstance(event := connection.next_event(), h11.Data):
                body += event.data
            if not isinstance(event, h11.EndOfMessage):
                return readings
            headers = _compared(request.headers)
            readings.append(Reading(request.method, request.target, request.http_version, headers, body))
            connection.send(h11.Response(status_code=404, headers=[("Content-Length", "0")]))
            connection.send(h11.EndOfMessage())
            if connection.our_state is not h11.DONE:
                return readings
            connection.start_next_cycle()
    except h11.RemoteProtocolError:
        return readings


async def _listen(chunks: list[bytes], memory: RequestLimits | None = None) -> tuple[list[Reading], list[int]]:
    wire = Wire(max_body=MAX_BODY, remembers=memory)
    await wire.say(chunks)
    readings = [
        Reading(r.method, r.target, b"1.1" if r.http11 else b"1.0", _compared(r.lines), r.body) for r in wire.requests
    ]
    wire.connection.abort()
    await asyncio.sleep(0)
    return readings, wire.statuses


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


# ---- requests, good and bad ----

HOST = b"Host: a.example"
METHODS = [b"POST"] * 8 + [
    b"GET", b"DELETE", b"PUT", b"HEAD", b"OPTIONS", b"CONNECT", b"PRI", b"FOO", b"post", b"PO(ST", b"",
]  # fmt: skip
TARGETS = [b"/mcp"] * 8 + [
    b"/a?b=c", b"http://a.example/mcp", b"a.example:80", b"*", b"mcp", b"/m\x01", b"/m\xff", b"/m cp", b"/\t", b"",
    b"//x", b"/%00", b"http://user@b.example/",
]  # fmt: skip
VERSIONS = [b"HTTP/1.1"] * 8 + [
    b"HTTP/1.0", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1.2", b"HTTP/1.10", b"http/1.1", b"RTSP/1.0", b"ICE/1.0",
    b"HTTP/1.1 ", b"HTTP/ 1.1", b"",
]  # fmt: skip
SPACES = [b" "] * 20 + [b"  ", b"\t", b"", b" \t", b"\x0b", b"\xa0"]
LINE_ENDS = [b"\r\n"] * 30 + [b"\n", b"\r", b"\r\r\n", b"\n\r\n", b"\r\n\r\n", b"\r\n ", b" \r\n", b"\x00\r\n"]
HARMLESS = [
    b"Accept: a, b", b"X-Empty:", b"X-Padded: \t padded \t ", b"X-High: \xc3\xa9\xff", b"X-Tab: a\tb",
    b"!#$%&'*+-.^_`|~: token", b"Connection: keep-alive", b"Connection: close",
    b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk", b"Expect: 100-continue",
    b"Content-Type: application/json", b"Mcp-Name: x", b"TE: trailers", b"Keep-Alive: timeout=5",
]  # fmt: skip
NASTY = [
    HOST, b"host: b.example", b"Host:", b"Content-Length: 3", b"Content-Length: 4", b"Content-Length: 3, 3",
    b"Content-Length: +3", b"Content-Length: -1", b"Content-Length: 0x3", b"Content-Length: 3 3",
    b"Content-Length: 99999999999999999999", b"Content-Length: \xb2",
    b"Content-Length: 00000000000000000000000000003", b"Content-Length:", b"Content-Length : 3",
    b"Content-Length\t: 3", b"Content-Length: 2000", b"Transfer-Encoding: chunked", b"Transfer-Encoding: Chunked ",
    b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: chunked, chunked", b"Transfer-Encoding: identity",
    b"Transfer-Encoding: xchunked", b"Transfer-Encoding:\x0bchunked", b"Transfer-Encoding : chunked",
    b"Transfer-Encoding: chunked;q=1", b"Transfer-Encoding:", b"Expect: 200-ok", b" X-Folded: a", b"\tX-Folded: b",
    b": no name", b"no colon", b"X Y: space", b"X(Y: paren", b"X\xe9: high", b"X\x00: nul", b"X: nul\x00",
    b"X: bell\x07", b"X: vt\x0b", b"X: del\x7f", b"X: cr\rY: z", b"X: lf\nY: z", b"X: folded\r\n more",
    b"Upgrade : x", b"Upgrade: a\r\nUpgrade: b",
]  # fmt: skip
# Without white space before an extension: RFC 9112 §7.1.1 allows it, and h11 does not know it. `test_chunked` has it.
CHUNK_HEADS = [b"%x"] * 12 + [
    b"%x;ext", b'%x;ext="q;v"', b"%x ", b" %x", b"0%x", b"000000000000000000000%x", b"0x%x", b"+%x",
    b"-%x", b"%x\x00", b"%x;\x00", b"%x;a\n", b"%x;a\r", b"10000000000000000%x",
]  # fmt: skip
TRAILERS = [b""] * 8 + [
    b"X: y\r\n",
    b"Transfer-Encoding: gzip\r\n",
    b"Content-Length: 5\r\n",
    b"X : y\r\n",
    b" fold\r\n",
    b"Host: b\r\n",
]
BODIES = [
    b"",
    b"abc",
    b'{"a": 1}\r\n',
    b"\n\n\n",
    b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"0\r\n\r\n",
    b"x" * 900,
    b"y" * 1200,
]
INTERESTING = [bytes([c]) for c in b"\r\n\t :;,\x00\x0b\x7f\x80\xff0aAZ/%"]


@st.composite
def chunked_bodies(draw: st.DrawFn, body: bytes, *, clean: bool) -> bytes:
    out, at = b"", 0
    while at < len(body):
        size = draw(st.integers(1, len(body) - at))
        head = b"%x" if clean else draw(st.sampled_from(CHUNK_HEADS))
        out += head % size + b"\r\n" + body[at : at + size] + (b"\r\n" if clean else draw(st.sampled_from(LINE_ENDS)))
        at += size
    return out + b"0\r\n" + (b"" if clean else draw(st.sampled_from(TRAILERS))) + b"\r\n"


@st.composite
def good_requests(draw: st.DrawFn) -> bytes:
    """Input that every reader must accept."""
    lines = [HOST, *draw(st.lists(st.sampled_from([h for h in HARMLESS if h != b"Connection: close"]), max_size=6))]
    body = draw(st.sampled_from([body for body in BODIES if len(body) <= MAX_BODY]))
    if draw(st.booleans()):
        lines.append(b"Content-Length: %d" % len(body))
    else:
        lines.append(b"Transfer-Encoding: chunked")
        body = draw(chunked_bodies(body, clean=True))
    lines = draw(st.permutations(lines))
    return b"POST /mcp?x HTTP/1.1\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


@st.composite
def doubtful_requests(draw: st.DrawFn) -> bytes:
    """Parts that do not belong together, or are wrong."""
    pick = draw(st.lists(st.sampled_from(SPACES), min_size=2, max_size=2))
    start = (
        draw(st.sampled_from(METHODS))
        + pick[0]
        + draw(st.sampled_from(TARGETS))
        + pick[1]
        + draw(st.sampled_from(VERSIONS))
    )
    lines = draw(st.lists(st.sampled_from(HARMLESS), max_size=3)) + draw(st.lists(st.sampled_from(NASTY), max_size=2))
    if draw(st.integers(0, 9)):
        lines.append(HOST)
    body = draw(st.sampled_from(BODIES))
    match draw(st.integers(0, 3)):
        case 0:
            lines.append(b"Transfer-Encoding: chunked")
            body = draw(chunked_bodies(body, clean=False))
        case 1 | 2:
            lines.append(b"Content-Length: %d" % len(body))
    lines = draw(st.permutations(lines))
    text = b"".join(line + draw(st.sampled_from(LINE_ENDS)) for line in [start, *lines])
    return text + draw(st.sampled_from(LINE_ENDS)) + body


@st.composite
def broken(draw: st.DrawFn, requests: st.SearchStrategy[bytes]) -> bytes:
    """With up to three single bytes changed, put in or taken out."""
    data = draw(requests)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        cut = draw(st.integers(0, 1))
        data = data[:at] + draw(st.sampled_from([*INTERESTING, b""])) + data[at + cut :]
    return data


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """One to three requests on one connection."""
    request = st.one_of(good_requests(), doubtful_requests(), broken(good_requests()))
    return b"".join(draw(st.lists(request, min_size=1, max_size=3)))


@st.composite
def cuts(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """The same bytes in pieces."""
    if draw(st.integers(0, 9)) == 0:
        return [bytes([c]) for c in data]
    places = sorted(draw(st.sets(st.integers(0, len(data)), max_size=6)) | {0, len(data)})
    return [data[a:b] for a, b in itertools.pairwise(places) if b > a]


# ---- what must be true ----

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a.example\r\n\r\n"
HEAD = b"POST /mcp HTTP/1.1\r\nHost: a.example\r\n"


@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.data(), stream=streams())
def test_a_request_that_h11_rejects_is_never_forwarded_and_the_rest_is_read_alike(
    runner: asyncio.Runner, data: st.DataObject, stream: bytes
) -> None:
    ours, _ = runner.run(_listen(data.draw(cuts(stream), "pieces")))
    assert ours == h11_reads(stream)[: len(ours)]


@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.data(), stream=streams())
def test_a_remembered_head_changes_no_result(runner: asyncio.Runner, data: st.DataObject, stream: bytes) -> None:
    memory = RequestLimits(MAX_BODY)
    alike = [stream, *data.draw(st.lists(broken(st.just(stream)), max_size=2), "alike"), stream]
    for again in alike:
        ours, statuses = runner.run(_listen([again], memory))
        assert (ours, statuses) == runner.run(_listen([again]))
        assert ours == h11_reads(again)[: len(ours)]


@settings(max_examples=EXAMPLES // 3, deadline=None)
@given(data=st.data(), request=st.one_of(good_requests(), doubtful_requests()))
def test_a_client_that_repeats_itself_on_one_connection_is_read_alike(
    runner: asyncio.Runner, data: st.DataObject, request: bytes
) -> None:
    alike = [request, request, *data.draw(st.lists(broken(st.just(request)), max_size=3), "alike"), request]
    ours, _ = runner.run(_listen(alike))
    assert ours == h11_reads(b"".join(alike))[: len(ours)]


@given(st.integers(1, 22), st.data())
@settings(max_examples=EXAMPLES // 10, deadline=None)
def test_the_digits_of_a_chunks_size_are_counted_however_they_are_cut(
    runner: asyncio.Runner, digits: int, data: st.DataObject
) -> None:
    stream = HEAD + b"Transfer-Encoding: chunked\r\n\r\n%b\r\nx\n\r\n0\r\n\r\n" % b"2".rjust(digits, b"0")
    ours, _ = runner.run(_listen(data.draw(cuts(stream), "pieces")))
    assert len(ours) == (digits <= 20)


@settings(max_examples=EXAMPLES // 3, deadline=None)
@given(data=st.data(), requests=st.lists(good_requests(), min_size=1, max_size=4))
def test_well_formed_requests_are_forwarded_in_order_however_they_arrive(
    runner: asyncio.Runner, data: st.DataObject, requests: list[bytes]
) -> None:
    stream = b"".join(requests)
    ours, statuses = runner.run(_listen(data.draw(cuts(stream), "pieces")))
    assert ours == h11_reads(stream)
    assert len(ours) == len(requests)
    assert [status for status in statuses if status != 100] == [200] * len(requests)


@settings(max_examples=EXAMPLES // 3, deadline=None)
@given(data=st.data(), stream=streams())
def test_how_bytes_are_cut_on_their_way_changes_nothing(
    runner: asyncio.Runner, data: st.DataObject, stream: bytes
) -> None:
    whole, whole_statuses = runner.run(_listen([stream]))
    pieces, statuses = runner.run(_listen(data.draw(cuts(stream), "pieces")))
    assert pieces == whole
    assert statuses.count(200) == whole_statuses.count(200)
    # A request with several faults is refused for the first one that is seen.
    assert any(s >= 400 for s in statuses) == any(s >= 400 for s in whole_statuses)


@settings(max_examples=EXAMPLES // 3, deadline=None)
@given(noise=st.binary(max_size=200))
@example(noise=b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
@example(noise=b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
@example(noise=b"\r\n" * 50)
def test_noise_is_no_request(runner: asyncio.Runner, noise: bytes) -> None:
    assert runner.run(_listen([noise, noise]))[0] == []


@pytest.mark.parametrize(
    "start",
    [
        HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        HEAD + b"Content-Length: 0\r\nContent-Length: 44\r\n\r\n",
        HEAD + b"Content-Length: 44\r\nContent-Length: 44\r\n\r\n",
        HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"X: a\r\n Content-Length: 44\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;a\nb\r\nx\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n10000000000000001\r\nx\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n%b1\r\nx\r\n0\r\n\r\n" % (b"0" * 20),
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nHost: b.example\r\n\r\n",
        b"POST /mcp HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST  /mcp HTTP/1.1\r\nHost: a.example\r\n\r\n",
        b"POST /mcp RTSP/1.0\r\nHost: a.example\r\n\r\n",
        b"GET /mcp\r\n\r\n",
    ],
)  # fmt: skip
async def test_nothing_is_smuggled_behind(start: bytes) -> None:
    wire = Wire()
    await wire.say(start + SMUGGLED)
    assert wire.requests == []
    assert len(wire.statuses) == 1
    assert wire.statuses[0] in (400, 413, 501)
    assert sum(wire.metrics.malformed.values()) == 1
    assert wire.transport.eof
