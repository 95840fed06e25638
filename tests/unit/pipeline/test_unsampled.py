"""The quick look at a client's trace context says the same as the careful one."""

from __future__ import annotations

import json

import pytest
from msgspec import Raw

from mcppool.pipeline.tracing.context import is_unsampled
from mcppool.policy.trace_context import read_traceparent

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
