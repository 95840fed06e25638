"""Spans as bytes say what OpenTelemetry's own messages read in them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2 as messages

from mcppool.observe.tracing.encoding import resource, trace_request
from mcppool.observe.tracing.span import Kind, Operation, Span, Value
from mcppool.policy.trace_context import TraceContext, new_span_id, new_trace_id

TEXTS = st.text(max_size=300)
VALUES = TEXTS | st.integers(min_value=-(2**63), max_value=2**63 - 1)
TIMES = st.integers(min_value=0, max_value=2**64 - 1)
STATES = st.text(alphabet="abc=,1", max_size=200)
LINKS = st.builds(TraceContext, st.just(new_trace_id()), st.just(new_span_id()), st.booleans(), STATES)


def read(*spans: Span) -> ExportTraceServiceRequest:
    return ExportTraceServiceRequest.FromString(trace_request(spans, resource({"service.name": "mcppool"})))


def only(request: ExportTraceServiceRequest) -> messages.Span:
    ((resource_spans,),) = (request.resource_spans,)
    ((scope_spans,),) = (resource_spans.scope_spans,)
    ((found,),) = (scope_spans.spans,)
    return found


def as_values(attributes: list[KeyValue]) -> dict[str, Value]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


@given(
    name=TEXTS, kind=st.sampled_from(["server", "client"]), shared=st.dictionaries(TEXTS, VALUES, max_size=20),
    own=st.dictionaries(TEXTS, VALUES, max_size=5), id=st.none() | TEXTS,
    parent=st.sampled_from(["", new_span_id()]), remote=st.booleans(), state=STATES, link=st.none() | LINKS,
    error=st.none() | TEXTS, message=TEXTS, start=TIMES, end=TIMES,
)  # fmt: skip
def test_each_field_is_read_as_it_was(
    name: str, kind: Kind, shared: dict[str, Value], own: dict[str, Value], id: str | None, parent: str, remote: bool,
    state: str, link: TraceContext | None, error: str | None, message: str, start: int, end: int,
) -> None:  # fmt: skip
    for name_of_ours in ("error.type", *shared):
        own.pop(name_of_ours, None)
    shared.pop("error.type", None)
    own |= {} if id is None else {"jsonrpc.request.id": id}
    operation = Operation(name, kind, shared)
    span = Span(operation, new_trace_id(), own, parent_id=parent, remote=remote, state=state, link=link)
    span.error, span.message, span.start, span.end = error, message, start, end
    found = only(read(span))
    assert only(read(span)) == found  # now with what is remembered of the operation
    assert (found.trace_id.hex(), found.span_id.hex()) == (span.trace_id, span.span_id)
    assert (found.parent_span_id.hex(), found.trace_state, found.name) == (parent, state, name)
    assert messages.Span.SpanKind.Name(found.kind) == f"SPAN_KIND_{kind.upper()}"
    assert (found.start_time_unix_nano, found.end_time_unix_nano) == (start, end)
    assert found.flags == 0x101 | (0x200 if remote else 0)
    failed = {} if error is None else {"error.type": error}
    assert as_values(list(found.attributes)) == shared | own | failed
    assert found.status == messages.Status(code=0 if error is None else 2, message="" if error is None else message)
    assert [(each.trace_id.hex(), each.span_id.hex(), each.trace_state, each.flags) for each in found.links] == (
        [] if link is None else [(link.trace_id, link.span_id, link.state, 0x300 | int(link.sampled))]
    )


def test_a_request_names_its_resource_and_scope_and_keeps_the_order_of_its_spans() -> None:
    spans = [Span(Operation(f"call {number}", "server", {}), new_trace_id(), {}) for number in range(300)]
    ((found,),) = (read(*spans).resource_spans,)
    assert as_values(list(found.resource.attributes)) == {"service.name": "mcppool"}
    assert isinstance(found.resource, Resource)
    assert isinstance(found.scope_spans[0].scope, InstrumentationScope)
    assert found.scope_spans[0].scope.name == "mcppool"
    assert [each.name for each in found.scope_spans[0].spans] == [span.operation.name for span in spans]


def test_a_lone_surrogate_costs_no_span() -> None:
    broken = Span(Operation("call \ud83d", "server", {"gen_ai.tool.name": "\udc00"}), new_trace_id(), {})
    found = only(read(broken))
    assert (found.name, as_values(list(found.attributes))) == ("call ?", {"gen_ai.tool.name": "?"})
