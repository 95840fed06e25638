"""The settings of tracing: the configuration, then the environment, then defaults."""

from __future__ import annotations

import pytest

from mcppool.observe.tracing.environment import tracing_settings
from mcppool.spec.sections.tracing import TracingSpec

ON = TracingSpec(enabled=True)


def test_without_anything_everything_goes_to_the_default_collector() -> None:
    found = tracing_settings(ON, {})
    assert (found.traces_url, found.metrics_url) == (
        "http://localhost:4318/v1/traces",
        "http://localhost:4318/v1/metrics",
    )
    assert (found.sampler.ratio, found.sampler.parent_based) == (1.0, True)
    assert found.resource["service.name"] == "mcppool"
    assert found.doubts == ()


def test_the_configuration_goes_before_the_environment() -> None:
    spec = TracingSpec(
        enabled=True, endpoint="https://a.example.com/base/", sample_ratio=0.25, parent_based=True,
        resource_attributes={"service.name": "mine"},
    )  # fmt: skip
    found = tracing_settings(
        spec,
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://other:1",
            "OTEL_TRACES_SAMPLER": "always_off",
            "OTEL_SERVICE_NAME": "theirs",
        },
    )
    assert found.traces_url == "https://a.example.com/base/v1/traces"
    assert (found.sampler.ratio, found.sampler.parent_based) == (0.25, True)
    assert found.resource["service.name"] == "mine"


def test_the_environment_names_collector_headers_and_resource() -> None:
    found = tracing_settings(
        ON,
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318/",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://traces:1/here",
            "OTEL_EXPORTER_OTLP_HEADERS": "api-key=a%20b, x=1,broken",
            "OTEL_RESOURCE_ATTRIBUTES": "service.name=a,deployment.environment.name=test",
            "OTEL_SERVICE_NAME": "b",
        },
    )
    assert (found.traces_url, found.metrics_url) == ("http://traces:1/here", "http://collector:4318/v1/metrics")
    assert found.headers == {"api-key": "a b", "x": "1"}
    assert (found.resource["service.name"], found.resource["deployment.environment.name"]) == ("b", "test")


@pytest.mark.parametrize(
    ("name", "argument", "ratio", "parent_based"),
    [
        ("always_on", "", 1.0, False),
        ("always_off", "0.5", 0.0, False),
        ("traceidratio", "0.01", 0.01, False),
        ("parentbased_always_on", "", 1.0, True),
        ("parentbased_always_off", "", 0.0, True),
        ("parentbased_traceidratio", "0.5", 0.5, True),
        ("parentbased_traceidratio", "", 1.0, True),
    ],
)
def test_the_samplers_of_the_environment(name: str, argument: str, ratio: float, parent_based: bool) -> None:
    sampler = tracing_settings(ON, {"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": argument}).sampler
    assert (sampler.ratio, sampler.parent_based) == (ratio, parent_based)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
    ],
)
def test_a_variable_without_effect_is_told(name: str, value: str) -> None:
    (doubt,) = tracing_settings(ON, {name: value}).doubts
    assert f"{name}={value} has no effect" in doubt


@pytest.mark.parametrize("argument", ["2", "-1", "half", "nan"])
def test_a_ratio_that_is_none_is_told(argument: str) -> None:
    found = tracing_settings(ON, {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": argument})
    assert found.sampler.ratio == 1.0
    assert len(found.doubts) == 1


@pytest.mark.parametrize(("text", "seconds"), [("", 5.0), ("1", 0.001), ("200", 0.2), (" 3600000 ", 3600.0)])
def test_the_environment_says_how_long_spans_wait_for_others(text: str, seconds: float) -> None:
    found = tracing_settings(ON, {"OTEL_BSP_SCHEDULE_DELAY": text})
    assert (found.delay, found.doubts) == (seconds, ())


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "5s", "3600001", "9" * 5000])
def test_a_delay_that_is_none_is_told(text: str) -> None:
    found = tracing_settings(ON, {"OTEL_BSP_SCHEDULE_DELAY": text})
    assert found.delay == 5.0
    assert len(found.doubts) == 1


def test_what_is_switched_off_is_not_sent() -> None:
    off = tracing_settings(ON, {"OTEL_SDK_DISABLED": "true"})
    assert (off.traces_url, off.metrics_url, off.sampler.ratio) == (None, None, 0.0)
    no_traces = tracing_settings(ON, {"OTEL_TRACES_EXPORTER": "none"})
    assert no_traces.traces_url is None
    assert not no_traces.sampler.samples(None)
    assert tracing_settings(ON, {"OTEL_METRICS_EXPORTER": "none"}).metrics_url is None
    assert tracing_settings(TracingSpec(enabled=True, metrics=False), {}).metrics_url is None


def test_over_grpc_a_collector_has_no_paths_and_another_default_port() -> None:
    spec = TracingSpec(enabled=True, protocol="grpc")
    found = tracing_settings(spec, {})
    assert (found.traces_url, found.metrics_url, found.doubts) == (
        "http://localhost:4317", "http://localhost:4317", (),
    )  # fmt: skip
    found = tracing_settings(
        spec,
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317/",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://traces:1/v1/traces",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        },
    )
    assert (found.traces_url, found.metrics_url) == ("http://traces:1/v1/traces", "http://collector:4317/")
    assert found.doubts == ("the path of http://traces:1/v1/traces has no effect with tracing.protocol = grpc",)
    found = tracing_settings(TracingSpec(enabled=True, protocol="grpc", endpoint="https://a.example.com"), {})
    assert found.traces_url == found.metrics_url == "https://a.example.com"
