"""Spans as a collector gets them, and pools that send them there at once."""

from __future__ import annotations

from typing import Any

from tests.servers.collector import Collector, attributes
from tests.waiting import until

SERVER, CLIENT = 2, 3  # kinds of spans
OK = 0


class Seen:
    """One span: its `attributes` are a dictionary, its ids hex."""

    def __init__(self, span: Any) -> None:
        self.name: str = span.name
        self.kind: int = span.kind
        self.trace_id: str = span.trace_id.hex()
        self.span_id: str = span.span_id.hex()
        self.parent_id: str = span.parent_span_id.hex()
        self.state: str = span.trace_state
        self.attributes = attributes(span.attributes)
        self.failed: bool = span.status.code == 2
        self.message: str = span.status.message
        self.nanoseconds: int = span.end_time_unix_nano - span.start_time_unix_nano
        self.links = [(link.trace_id.hex(), link.span_id.hex()) for link in span.links]

    @property
    def error(self) -> str | None:
        """Its `error.type`."""
        return self.attributes.get("error.type")


async def spans(collector: Collector, count: int) -> tuple[list[Seen], list[Seen]]:
    """The spans of calls and of attempts, in the order of their ends, once there are `count` of both together."""
    await until(lambda: len(collector.spans) >= count, f"{count} spans are sent")
    found = [Seen(span) for span in collector.spans]
    assert len(found) == count, [(span.name, span.kind) for span in found]
    return [span for span in found if span.kind == SERVER], [span for span in found if span.kind == CLIENT]


def tracing(collector: Collector, more: str = "") -> str:
    """The section of a pool that sends its spans to `collector`."""
    return f'[pools.tracing]\nenabled = true\nendpoint = "{collector.url}"\nmetrics_interval = "1s"\n{more}\n'
