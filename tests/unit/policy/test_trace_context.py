"""W3C trace context, and the decision which calls are traced."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcppool.policy.trace_context import (
    Sampler,
    TraceContext,
    new_span_id,
    new_trace_id,
    read_traceparent,
    write_traceparent,
)

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("text", "sampled"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-03", True),
        (f"00-{TRACE}-{SPAN}-02", False),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-brings", True),
    ],
)
def test_a_valid_context_is_read(text: str, sampled: bool) -> None:
    assert read_traceparent(text, "a=1") == TraceContext(TRACE, SPAN, sampled, "a=1")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01\n",
        f" 00-{TRACE}-{SPAN}-01",
        f"00-{TRACE[:-1]}é-{SPAN}-01",
    ],
)
def test_any_other_text_is_no_context(text: str) -> None:
    assert read_traceparent(text) is None


@given(st.text())
def test_no_text_raises(text: str) -> None:
    read_traceparent(text, text)


@pytest.mark.parametrize("state", ["a=1\r\nx-evil: 1", "a=é", "a" * 10_000])
def test_a_state_that_no_header_may_carry_is_left_out(state: str) -> None:
    found = read_traceparent(f"00-{TRACE}-{SPAN}-01", state)
    assert found is not None
    assert found.state == ""


def test_a_new_context_is_a_valid_one() -> None:
    trace, span = new_trace_id(), new_span_id()
    assert read_traceparent(write_traceparent(trace, span)) == TraceContext(trace, span, True)


def test_a_client_decides_unless_the_ratio_is_to() -> None:
    yes, no = TraceContext(TRACE, SPAN, True), TraceContext(TRACE, SPAN, False)
    assert Sampler(0.0, parent_based=True).samples(yes)
    assert not Sampler(1.0, parent_based=True).samples(no)
    assert not Sampler(0.0, parent_based=False).samples(yes)
    assert Sampler(1.0, parent_based=False).samples(no)


def test_calls_without_a_context_are_sampled_by_the_ratio() -> None:
    assert all(Sampler(1.0, parent_based=True).samples(None) for _ in range(100))
    assert not any(Sampler(0.0, parent_based=True).samples(None) for _ in range(100))
    some = sum(Sampler(0.5, parent_based=True).samples(None) for _ in range(2000))
    assert 700 < some < 1300


def test_gateways_with_one_ratio_sample_the_same_traces() -> None:
    traces = [TraceContext(new_trace_id(), SPAN, False) for _ in range(500)]
    one, other = (Sampler(0.3, parent_based=False) for _ in range(2))
    assert [one.samples(each) for each in traces] == [other.samples(each) for each in traces]
    more = Sampler(0.6, parent_based=False)
    assert all(more.samples(each) for each in traces if one.samples(each))
