"""The quick look at a client's trace context says the same as the careful one."""

from __future__ import annotations

import json

import pytest
from msgspec import Raw

from mcppool.pipeline.call import Call
from mcppool.pipeline.tracing.context import incoming, is_unsampled, is_unsampled_in
from mcppool.policy.trace_context import read_traceparent
from mcppool.wire.era import Era
from mcppool.wire.rpc_request import parse_request

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize("flags", ["00", "02", "fe", "01", "03", "ff", "0", "0g", "00-x"])
@pytest.mark.parametrize("trace", [TRACE, "0" * 32, TRACE.upper(), TRACE[1:]])
@pytest.mark.parametrize("span", [SPAN, "0" * 16])
def test_it_is_unsampled_if_it_is_valid_and_says_so(trace: str, span: str, flags: str) -> None:
    text = f"00-{trace}-{span}-{flags}"
    found = read_traceparent(text)
    assert is_unsampled(Raw(json.dumps(text).encode())) is (found is not None and not found.sampled)


@pytest.mark.parametrize("raw", [b"7", b"null", b'""', b'"\\u0030"'])
def test_any_other_value_is_looked_at_with_care(raw: bytes) -> None:
    assert not is_unsampled(Raw(raw))


@pytest.mark.parametrize("flags", ["00", "02", "01", "0", "00-x"])
@pytest.mark.parametrize("trace", [TRACE, "0" * 32, TRACE.upper()])
@pytest.mark.parametrize("before", ["", "accept: */*\r\n", "x-", "traceparent: no\r\n"])
@pytest.mark.parametrize("after", ["", "accept: */*\r\n", "tracestate: a=b\r\n"])
def test_a_header_is_unsampled_if_the_careful_look_says_so(before: str, trace: str, flags: str, after: str) -> None:
    lines = f"{before}traceparent: 00-{trace}-{SPAN}-{flags}\r\n{after}".encode()
    body = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
    found = incoming(Call(parse_request(body), body, lines, Era.MODERN, 0.0)).parent
    assert is_unsampled_in(lines) is (found is not None and not found.sampled)
