"""`tracing`: traces, and durations by OpenTelemetry's conventions, for a collector."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from mcppool.spec.sections.collector import CollectorAccess, CollectorUrl
from mcppool.spec.values import DurationRule, Flag, Hint, Integer, Ratio

AttributeName = Annotated[
    str,
    StringConstraints(pattern=r"^[!-~]+$", max_length=255),
    Hint("the name of an attribute, such as deployment.environment.name", r"^[!-~]+$"),
]
AttributeValue = Annotated[str, StringConstraints(max_length=1024)]


class TracingSpec(CollectorAccess):
    """Spans of calls and attempts for a collector of OpenTelemetry, and the durations `mcp.*.duration`."""

    enabled: Flag = Field(False, description="Make spans and send them. Needs the extra `otel`.")
    endpoint: CollectorUrl | None = Field(
        None,
        description="URL of the collector. Over HTTP `/v1/traces` and `/v1/metrics` are added. Default: the "
        "environment variable `OTEL_EXPORTER_OTLP_ENDPOINT`, else `http://localhost:4318`, or port 4317 for gRPC.",
    )
    protocol: Literal["http/protobuf", "grpc"] = Field(
        "http/protobuf",
        description="Protocol of the collector. `grpc` needs the extra `otel-grpc`; collectors listen for it on port "
        "4317.",
    )
    sample_ratio: Ratio | None = Field(
        None,
        description="Share of the calls to trace, of those whose client has not decided. Default: the environment "
        "variables `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`, else 1.",
    )
    parent_based: Flag | None = Field(
        None,
        description="Follow the decision of a client that sends a trace context, whatever `sample_ratio` is. With "
        "`false`, the ratio decides about every call. Default: by `OTEL_TRACES_SAMPLER`, else `true`.",
    )
    metrics: Flag = Field(True, description="Send the durations `mcp.*.duration`, too.")
    metrics_interval: Annotated[float, DurationRule(minimum=1.0, maximum=3600.0)] = Field(
        60.0, description="Time between two sendings of durations."
    )
    resource_attributes: dict[AttributeName, AttributeValue] = Field(
        {},
        max_length=64,
        description="Attributes of the gateway, such as `deployment.environment.name`. They go before those of "
        "`OTEL_RESOURCE_ATTRIBUTES`.",
    )
    queue: Integer = Field(
        2048,
        ge=1,
        le=1_000_000,
        description="Maximum number of spans that wait to be sent. Beyond it, spans are dropped and counted.",
    )
