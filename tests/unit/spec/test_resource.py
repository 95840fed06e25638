"""McpServerPool objects: the same models in camel case."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings

from mcppool.spec import ConfigError, PoolSpec, availability
from mcppool.spec.naming import RESOURCE, TOML, camel_key, camel_value
from mcppool.spec.pool import PoolPolicy
from mcppool.spec.reading import Reader
from mcppool.spec.resource import read_resource
from mcppool.spec.secret_refs import SecretKey, secret_keys
from mcppool.spec.sections.load_balancer import Strategy
from tests.unit.spec.written import sections

SMALLEST: dict[str, Any] = {
    "source": {"type": "Service", "service": {"name": "search-mcp", "port": "http"}},
    "auth": {"inbound": {"type": "None"}},
}


def resource(spec: Any, name: str = "search") -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "default", "generation": 3}, "spec": spec}


def problems(spec: Any, name: str = "search") -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read_resource(resource(spec, name))
    return [str(problem).removeprefix(f"default/{name}: ") for problem in caught.value.problems]


def test_the_smallest_pool_is_valid_and_has_the_defaults_of_production() -> None:
    pool, gateway, source, suspend, *identity, limits = read_resource(resource(SMALLEST))
    assert pool == PoolSpec(name="search")
    assert (gateway.replicas, gateway.service_monitor.enabled, suspend) == (None, False, False)
    assert source.service is not None
    assert (source.type, source.service.name, source.service.port, source.service.path) == (
        "service",
        "search-mcp",
        "http",
        "/mcp",
    )
    assert identity == ["search", "default", 3]
    assert limits.memory is None


def test_sections_are_camel_case_and_mean_the_same_as_in_a_file() -> None:
    sections = {
        "loadBalancer": {"strategy": "RoundRobin", "panicThresholdPercent": 20},
        "timeouts": {"firstByte": "3s"},
        "tools": {"my_tool*": {"idempotent": True, "cacheTTL": "5s"}},
    }
    pool = read_resource(resource({**SMALLEST, **sections})).pool
    assert (pool.load_balancer.strategy, pool.load_balancer.panic_threshold_percent) == ("round_robin", 20)
    assert pool.timeouts.first_byte == 3
    assert (pool.tools["my_tool*"].idempotent, pool.tools["my_tool*"].cache_ttl) == (True, 5)


def test_static_endpoints_are_the_pools() -> None:
    spec = {**SMALLEST, "source": {"type": "Static", "static": {"endpoints": [{"url": "http://a/mcp", "weight": 7}]}}}
    (endpoint,) = read_resource(resource(spec)).pool.endpoints
    assert (endpoint.url, endpoint.weight) == ("http://a/mcp", 7)


def test_sections_of_kubernetes_alone_pass_unchanged() -> None:
    template = {"metadata": {"labels": {"a_b": "RoundRobin"}}, "spec": {"nodeSelector": {"a_b": "c"}}}
    gateway = {"replicas": 3, "podTemplate": template, "resources": {"limits": {"cpu": "100m", "memory": 134217728}}}
    read = read_resource(resource({**SMALLEST, "gateway": gateway})).gateway
    assert read.pod_template.metadata.labels == {"a_b": "RoundRobin"}
    assert read.pod_template.spec.node_selector == {"a_b": "c"}
    assert read.resources.limits == {"cpu": "100m", "memory": 134217728}


def test_keys_of_clients_are_a_key_of_a_secret() -> None:
    keys = {"keysSecretRef": {"name": "clients", "key": "keys.toml"}}
    pool = read_resource(resource({**SMALLEST, "auth": {"inbound": {"type": "APIKeys", "apiKeys": keys}}})).pool
    assert pool.auth.inbound.api_keys is not None
    assert pool.auth.inbound.api_keys.keys_file == "/etc/mcppool/secrets/clients/keys.toml"
    assert secret_keys(pool) == (SecretKey("clients", "keys.toml"),)


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ({"retry_policy": {}}, 'spec.retry_policy: unknown key "retry_policy"; did you mean "retryPolicy"?'),
        (
            {"connectionPool": {"maxConnections": 3}},
            "spec.connectionPool.minConnections: minConnections (5) must not exceed maxConnections (3)",
        ),
        (
            {"tools": {"my_tool": {"timeOut": "1s"}}},
            'spec.tools.my_tool.timeOut: unknown key "timeOut"; did you mean "timeout"?',
        ),
        ({"timeouts": []}, "spec.timeouts: [] is not allowed; allowed: an object"),
        ({"source": {"type": "Static"}}, "spec.source.static: static must be set if type is Static"),
        (
            {"source": {**SMALLEST["source"], "static": {"endpoints": [{"url": "http://a/mcp"}]}}},
            "spec.source.static: static may be set only if type is Static",
        ),
        (
            {"source": {"type": "Service", "service": {"name": "a", "port": 0}}},
            "spec.source.service.port: 0 is no port; allowed: the name or the number of a port",
        ),
        (
            {"auth": {"inbound": {"type": "JWT", "jwt": {"issuers": [{"issuer": "https://id.example"}]}}}},
            "spec.gateway.externalURL: tokens need gateway.externalURL, because they are issued for the URL that "
            "clients use",
        ),
        (
            {"auth": {"inbound": {"type": "APIKeys", "apiKeys": {"keysFile": "/etc/passwd"}}}},
            'spec.auth.inbound.apiKeys.keysFile: unknown key "keysFile"; a resource names no files: use '
            '"keysSecretRef"',
        ),
        ({"auth": {}}, "spec.auth.inbound: is missing; allowed: an object"),
        (
            {"auth": {"inbound": {}}},
            "spec.auth.inbound.type: is missing; allowed: None, APIKeys, JWT, Introspection, Mtls, Passthrough",
        ),
    ],
)
def test_problems_have_the_resources_own_spelling(extra: dict[str, Any], expected: str) -> None:
    assert expected in problems({**SMALLEST, **extra})


STRATEGIES = ", ".join(camel_value(name) for name in get_args(Strategy) if name != "random")  # which `later` takes out


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        (
            {"loadBalancer": {"strategy": "round_robin"}},
            f'spec.loadBalancer.strategy: "round_robin" is not allowed; allowed: {STRATEGIES}',
        ),
        (
            {"loadBalancer": {"strategy": "Random"}},
            f'spec.loadBalancer.strategy: "Random" is not available in this version; allowed: {STRATEGIES}',
        ),
        ({"circuitBreaker": {}}, 'spec.circuitBreaker: "circuitBreaker" is not available in this version'),
        (
            {"retryPolicy": {"baseDelay": "1s"}},
            'spec.retryPolicy.baseDelay: "baseDelay" is not available in this version',
        ),
    ],
)
@pytest.mark.usefixtures("later")
def test_unsupported_keys_are_reported_in_the_resources_own_spelling(extra: dict[str, Any], expected: str) -> None:
    assert expected in problems({**SMALLEST, **extra})


def test_a_duplicate_static_endpoint_is_reported_at_its_place() -> None:
    spec = {**SMALLEST, "source": {"type": "Static", "static": {"endpoints": [{"url": "http://a/mcp"}] * 2}}}
    assert problems(spec) == ["spec.source.static.endpoints[1]: http://a/mcp is listed twice"]


def test_a_name_that_is_no_dns_label_is_refused() -> None:
    (problem,) = problems(SMALLEST, "a.b")
    assert problem.startswith('metadata.name: "a.b" is not allowed')


@pytest.mark.parametrize("spec", [None, [], "x"])
def test_a_resource_without_a_spec_is_refused(spec: Any) -> None:
    with pytest.raises(ConfigError, match="spec: is"):
        read_resource(resource(spec))


@settings(suppress_health_check=list(HealthCheck), max_examples=60, deadline=None)
@given(sections(PoolPolicy, TOML, skip=frozenset({"auth"})))
def test_every_policy_reads_the_same_in_both_spellings(policy: dict[str, Any]) -> None:
    for section in ("cache", "catalog", "tracing"):
        for key in policy.get(section, {}):
            if key.endswith("_file"):
                policy[section][key] = "/etc/mcppool/secrets/a-secret/its.key"  # where it is mounted
    if policy.get("cache", {}).get("type") == "sql":  # a resource has no local database as a default
        policy["cache"].setdefault("sql_url", "postgresql://database:5432/mcppool")
    expected = Reader(PoolPolicy, TOML).read(policy)
    assert expected is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(availability, "LATER", frozenset())
        pool = read_resource(resource({**SMALLEST, **camel(policy, PoolPolicy)})).pool
    assert {name: getattr(pool, name) for name in type(expected).model_fields} == dict(expected)


def camel(data: dict[str, Any], model: Any) -> dict[str, Any]:
    """The test's own way to the other spelling, from the annotations rather than from shapes."""
    from mcppool.spec.shape import fields_of

    written = {}
    for name, value in data.items():
        shape = fields_of(model)[name].shape
        if name.endswith("_file"):
            written[camel_key(name.replace("_file", "_secret_ref"))] = {"name": "a-secret", "key": "its.key"}
            continue
        if shape.kind == "choice":
            value = camel_value(value)
        elif shape.kind == "section":
            value = camel(value, shape.model)
        elif shape.kind == "list" and shape.item is not None and shape.item.model is not None:
            value = [camel(entry, shape.item.model) for entry in value]
        elif shape.kind == "map" and shape.item is not None:
            inner = shape.item.model
            value = {key: camel(entry, inner) if inner is not None else entry for key, entry in value.items()}
        written[camel_key(name)] = value
    return written


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("base_delay", "baseDelay"),
        ("cache_ttl", "cacheTTL"),
        ("jwks_uri", "jwksURI"),
        ("url", "url"),
        ("api_key", "apiKey"),
    ],
)
def test_keys_follow_kubernetes_conventions(ours: str, theirs: str) -> None:
    assert RESOURCE.key(ours) == theirs


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("round_robin", "RoundRobin"),
        ("none", "None"),
        ("api_keys", "APIKeys"),
        ("jwt", "JWT"),
        ("RS256", "RS256"),
        ("EdDSA", "EdDSA"),
    ],
)
def test_values_follow_kubernetes_conventions(ours: str, theirs: str) -> None:
    assert RESOURCE.value(ours) == theirs
