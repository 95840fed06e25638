"""The settings of tracing: the configuration, then OpenTelemetry's environment variables, then defaults.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from mcppool.policy.trace_context import Sampler
from mcppool.spec.sections.tracing import TracingSpec
from mcppool.version import __version__

DEFAULT_ENDPOINTS: Final = {"http/protobuf": "http://localhost:4318", "grpc": "http://localhost:4317"}
"""By protocol."""
DEFAULT_DELAY: Final = 5.0
MAX_DELAY: Final = 3600.0
"""Seconds that spans wait for others to be sent with them."""

_SAMPLERS: Final = {
    "always_on": (1.0, False),
    "always_off": (0.0, False),
    "traceidratio": (None, False),
    "parentbased_always_on": (1.0, True),
    "parentbased_always_off": (0.0, True),
    "parentbased_traceidratio": (None, True),
}
"""Value of OTEL_TRACES_SAMPLER → ratio (None: OTEL_TRACES_SAMPLER_ARG), and whether it follows the client."""


class TracingSettings(NamedTuple):
    """The settings in force.

    `traces_url` and `metrics_url` are None if nothing of the kind is sent. `headers` are those of the environment; the
    configuration's own go before them. `delay` is the time in seconds that spans wait for others to be sent with them.
    `doubts` are sentences about variables without effect.
    """

    sampler: Sampler
    traces_url: str | None
    metrics_url: str | None
    headers: Mapping[str, str]
    resource: Mapping[str, str]
    delay: float
    doubts: tuple[str, ...]


def tracing_settings(spec: TracingSpec, environment: Mapping[str, str]) -> TracingSettings:
    """The settings by `spec` and the variables of `environment`."""
    doubts: list[str] = []
    protocol = environment.get("OTEL_EXPORTER_OTLP_PROTOCOL", "")
    if protocol not in ("", spec.protocol):
        doubts.append(f"OTEL_EXPORTER_OTLP_PROTOCOL={protocol} has no effect: tracing.protocol is {spec.protocol}")
    disabled = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    traces = None if disabled else _url(spec, environment, "traces")
    metrics = None if disabled or not spec.metrics else _url(spec, environment, "metrics")
    if spec.protocol == "grpc":
        with_path = {url for url in (traces, metrics) if url is not None and urlsplit(url).path not in ("", "/")}
        doubts += [f"the path of {url} has no effect with tracing.protocol = grpc" for url in sorted(with_path)]
    sampler = _sampler(spec, environment, doubts)
    if traces is None:
        sampler = Sampler(0.0, parent_based=False)
    headers = _pairs(environment.get("OTEL_EXPORTER_OTLP_HEADERS", ""))
    delay = _delay(environment, doubts)
    return TracingSettings(sampler, traces, metrics, headers, _resource(spec, environment), delay, tuple(doubts))


def _url(spec: TracingSpec, environment: Mapping[str, str], signal: str) -> str | None:
    if environment.get(f"OTEL_{signal.upper()}_EXPORTER", "otlp") == "none":
        return None
    own = environment.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT")
    base = environment.get("OTEL_EXPORTER_OTLP_ENDPOINT") or DEFAULT_ENDPOINTS[spec.protocol]
    if spec.protocol == "grpc":
        return spec.endpoint or own or base  # gRPC has paths of its own
    if spec.endpoint is None and own:
        return own
    return f"{(spec.endpoint or base).rstrip('/')}/v1/{signal}"


def _sampler(spec: TracingSpec, environment: Mapping[str, str], doubts: list[str]) -> Sampler:
    name, argument = environment.get("OTEL_TRACES_SAMPLER", ""), environment.get("OTEL_TRACES_SAMPLER_ARG", "")
    ratio, parent_based = _SAMPLERS.get(name, (1.0, True))
    if name and name not in _SAMPLERS:
        doubts.append(f"OTEL_TRACES_SAMPLER={name} has no effect; known are {', '.join(_SAMPLERS)}")
    if ratio is None:
        try:
            ratio = float(argument or "1")
        except ValueError:
            ratio = -1.0
        if not 0 <= ratio <= 1:
            doubts.append(f"OTEL_TRACES_SAMPLER_ARG={argument} has no effect: it is no number from 0 to 1")
            ratio = 1.0
    return Sampler(
        ratio if spec.sample_ratio is None else spec.sample_ratio,
        parent_based=parent_based if spec.parent_based is None else spec.parent_based,
    )


def _delay(environment: Mapping[str, str], doubts: list[str]) -> float:
    text = environment.get("OTEL_BSP_SCHEDULE_DELAY", "").strip()
    if not text:
        return DEFAULT_DELAY
    if text.isascii() and text.isdigit() and len(text) < 9 and 0 < int(text) / 1000 <= MAX_DELAY:
        return int(text) / 1000
    longest = round(MAX_DELAY * 1000)
    doubts.append(f"OTEL_BSP_SCHEDULE_DELAY={text} has no effect: it is no number of milliseconds from 1 to {longest}")
    return DEFAULT_DELAY


def _resource(spec: TracingSpec, environment: Mapping[str, str]) -> dict[str, str]:
    found = {
        "service.name": "mcppool",
        "service.version": __version__,
        "service.instance.id": str(uuid4()),
        "host.name": socket.gethostname(),
        **_pairs(environment.get("OTEL_RESOURCE_ATTRIBUTES", "")),
    }
    if name := environment.get("OTEL_SERVICE_NAME"):
        found["service.name"] = name
    return found | spec.resource_attributes


def _pairs(text: str) -> dict[str, str]:
    """The pairs of `name=value,name=value`, percent-decoded; others are left out."""
    pairs = (part.partition("=") for part in text.split(","))
    return {unquote(name.strip()): unquote(value.strip()) for name, equals, value in pairs if equals and name.strip()}
