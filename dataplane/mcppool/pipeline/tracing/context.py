"""The trace context of a call: where it comes in, and where it goes out.

It comes in ``params._meta`` (SEP-414), else in the header `traceparent`. If both are there, ``_meta`` decides, because
the header belongs to the HTTP request alone; then the header's context becomes a link. It goes out in both.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Final, NamedTuple

from msgspec import Raw

from mcppool.observe.tracing.span import Span
from mcppool.pipeline.attempt import Attempt
from mcppool.pipeline.call import Call
from mcppool.pipeline.plan import Plan
from mcppool.policy.trace_context import TraceContext, read_traceparent
from mcppool.turns import in_turns
from mcppool.wire.bulk import BULK
from mcppool.wire.errors import BadEnvelope
from mcppool.wire.trace_meta import (
    BAGGAGE,
    TRACEPARENT,
    TRACESTATE,
    large_with_trace_meta,
    read_trace_meta,
    with_trace_meta,
)

_UNSAMPLED_CONTEXT: Final = rb"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f][02468ace]"
_UNSAMPLED: Final = re.compile(rb'"' + _UNSAMPLED_CONTEXT + rb'"')
_HEADER: Final = b"traceparent: "
_UNSAMPLED_LINE: Final = re.compile(rb"(?:\A|\n)" + _HEADER + _UNSAMPLED_CONTEXT + rb"\r\n")
_OURS: Final = (b"traceparent: ", b"tracestate: ")


class Incoming(NamedTuple):
    """The contexts that came with a call: its parent, and the context of the HTTP request if that is another one."""

    parent: TraceContext | None = None
    link: TraceContext | None = None


NOTHING: Final = Incoming()


def is_unsampled(raw: Raw) -> bool:
    """Whether the raw `traceparent` of a message is valid, and says that its trace is not sampled."""
    return _UNSAMPLED.fullmatch(raw) is not None


def is_unsampled_in(lines: bytes) -> bool:
    """Whether header lines have one `traceparent`, which is valid and says that its trace is not sampled."""
    return lines.count(_HEADER) == 1 and _UNSAMPLED_LINE.search(lines) is not None


def incoming(call: Call) -> Incoming:
    """The contexts of a call; `NOTHING` if it has none."""
    in_header = _HEADER in call.forward
    parent = state = ""
    if call.request.traceparent is not None:
        with suppress(BadEnvelope):
            parent, state = read_trace_meta(call.body)
    if not parent and not in_header:
        return NOTHING
    outer = read_traceparent(_header(call.forward, b"traceparent"), _header(call.forward, b"tracestate"))
    inner = read_traceparent(parent, state) if parent else None
    if inner is None:
        return Incoming(outer)
    return Incoming(inner, outer if outer is not None and outer.trace_id != inner.trace_id else None)


def put_context_at_once(attempt: Attempt, span: Span) -> None:
    """Make a small attempt carry the context of `span`, in its message and its headers: in its plan itself."""
    plan = attempt.plan
    members, absent = _members(plan, span)
    if attempt.reissue is not None:
        attempt.reissue.body = with_trace_meta(attempt.reissue.body, members, absent)
    else:
        plan.body = with_trace_meta(plan.body, members, absent)
    plan.forward = _with_headers(plan.forward, members)


async def put_context(attempt: Attempt, span: Span) -> Plan:
    """Make `attempt` carry the context of `span`, in its message and its headers. Returns the plan that it had: it is
    put back after the attempt, because other attempts carry other contexts."""
    plan = attempt.plan
    members, absent = _members(plan, span)
    if attempt.reissue is not None:
        attempt.reissue.body = await _with_meta(attempt.reissue.body, members, absent)
        body = plan.body
    else:
        body = await _with_meta(plan.body, members, absent)
    attempt.plan = plan.with_message(body, _with_headers(plan.forward, members))
    return plan


def _members(plan: Plan, span: Span) -> tuple[dict[str, str], dict[str, str]]:
    """The members of `_meta` that carry the context of `span`, and those of a client that sent them as headers only."""
    members = {TRACEPARENT: span.traceparent}
    if span.state:
        members[TRACESTATE] = span.state
    baggage = _header(plan.forward, b"baggage")
    return members, {BAGGAGE: baggage} if baggage else {}


async def _with_meta(body: bytes, members: dict[str, str], absent: dict[str, str]) -> bytes:
    if not body:
        return body
    if len(body) > BULK:
        return await in_turns(large_with_trace_meta(body, members, absent))
    return with_trace_meta(body, members, absent)


def _with_headers(lines: bytes, members: dict[str, str]) -> bytes:
    if b"trace" not in lines and len(members) == 1:
        return b"%btraceparent: %b\r\n" % (lines, members[TRACEPARENT].encode())
    kept = [lines]
    if b"trace" in lines:
        kept = [line for line in lines.splitlines(keepends=True) if not line.startswith(_OURS)]
    kept += [b"%b: %b\r\n" % (name.encode(), value.encode("ascii", "replace")) for name, value in members.items()]
    return b"".join(kept)


def _header(lines: bytes, name: bytes) -> str:
    """The value of a header in rendered lines; several lines of it are joined, as in a list."""
    start = name + b": "
    if start not in lines:
        return ""
    values = [line[len(start) :].strip() for line in lines.splitlines() if line.startswith(start)]
    return b",".join(values).decode("latin-1")
