from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcppool_operator.resolve import Resolution, ServiceRef, State, resolve_service

REF = ServiceRef("search", "http")


def service(**spec: Any) -> dict[str, Any]:
    ports = [{"name": "http", "port": 80, "targetPort": "http"}, {"name": "admin", "port": 9090}]
    return {
        "spec": {"type": "ClusterIP", "selector": {"app": "search"}, "ipFamilies": ["IPv4"], "ports": ports, **spec}
    }


def endpoint(*addresses: str, ready: bool | None = True, **more: Any) -> dict[str, Any]:
    conditions = {key: more.pop(key) for key in ("serving", "terminating") if key in more}
    return {"addresses": list(addresses), "conditions": {"ready": ready, **conditions}, **more}


def endpoint_slice(*endpoints: dict[str, Any], port: int = 8000, name: str = "http", **more: Any) -> dict[str, Any]:
    return {"addressType": "IPv4", "ports": [{"name": name, "port": port}], "endpoints": list(endpoints), **more}


def urls(resolution: Resolution, *states: State) -> list[str]:
    assert resolution.problem is None
    return [found.url for found in resolution.of(*states)]


def reason(resolution: Resolution) -> str:
    assert resolution.problem is not None
    assert resolution.endpoints == ()
    return resolution.problem.reason


def test_ready_endpoints_become_urls_in_a_fixed_order() -> None:
    found = resolve_service(
        REF, service(), [endpoint_slice(endpoint("10.0.0.2", zone="b"), endpoint("10.0.0.1", zone="a"))]
    )
    assert urls(found, State.READY) == ["http://10.0.0.1:8000/mcp", "http://10.0.0.2:8000/mcp"]
    assert [entry.zone for entry in found.endpoints] == ["a", "b"]


def test_a_service_that_does_not_exist_is_no_empty_list() -> None:
    assert reason(resolve_service(REF, None, [])) == "ServiceNotFound"


def test_a_port_that_the_service_does_not_have_is_named_with_those_it_has() -> None:
    found = resolve_service(ServiceRef("search", "grpc"), service(), [])
    assert found.problem is not None
    assert found.problem.message == 'Service "search" has no port named "grpc"; it has: http, admin'


def test_a_port_may_be_given_by_its_number() -> None:
    found = resolve_service(ServiceRef("search", 80), service(), [endpoint_slice(endpoint("10.0.0.1"))])
    assert urls(found, State.READY) == ["http://10.0.0.1:8000/mcp"]


def test_a_named_port_may_have_another_number_in_each_slice() -> None:
    slices = [endpoint_slice(endpoint("10.0.0.1"), port=8000), endpoint_slice(endpoint("10.0.0.2"), port=9000)]
    assert urls(resolve_service(REF, service(), slices), State.READY) == [
        "http://10.0.0.1:8000/mcp",
        "http://10.0.0.2:9000/mcp",
    ]


def test_endpoints_without_the_port_are_a_missing_port_and_no_empty_list() -> None:
    found = resolve_service(REF, service(), [endpoint_slice(endpoint("10.0.0.1"), name="other")])
    assert reason(found) == "PortNotFound"


def test_no_slice_at_all_means_that_nothing_is_known_yet() -> None:
    found = resolve_service(REF, service(), [])
    assert reason(found) == "Pending"
    assert found.problem is not None
    assert found.problem.unknown


def test_a_service_without_a_selector_and_without_slices_is_empty() -> None:
    assert resolve_service(REF, service(selector=None), []) == Resolution()


def test_an_empty_slice_is_known_to_be_empty() -> None:
    placeholder = {"addressType": "IPv4", "ports": None, "endpoints": None}
    assert resolve_service(REF, service(), [placeholder]) == Resolution()


def test_only_the_first_address_family_counts() -> None:
    six = {**endpoint_slice(endpoint("fd00::1")), "addressType": "IPv6"}
    four = endpoint_slice(endpoint("10.0.0.1"))
    both = service(ipFamilies=["IPv6", "IPv4"])
    assert urls(resolve_service(REF, both, [four, six]), State.READY) == ["http://[fd00::1]:8000/mcp"]
    assert urls(resolve_service(REF, service(), [four, six]), State.READY) == ["http://10.0.0.1:8000/mcp"]


@pytest.mark.parametrize(
    ("conditions", "state"),
    [
        ({"ready": True}, State.READY),
        ({"ready": None}, State.READY),
        ({"ready": False, "serving": True, "terminating": True}, State.DRAINING),
        ({"ready": True, "serving": True, "terminating": True}, State.DRAINING),
        ({"ready": False, "serving": False, "terminating": False}, State.NOT_READY),
        ({"ready": False, "serving": False, "terminating": True}, None),
    ],
)
def test_conditions_decide_the_state_of_an_endpoint(conditions: dict[str, Any], state: State | None) -> None:
    found = resolve_service(REF, service(), [endpoint_slice(endpoint("10.0.0.1", **conditions))])
    assert found.problem is None
    assert [entry.state for entry in found.endpoints] == ([] if state is None else [state])


def test_endpoints_that_are_not_ready_are_used_where_the_pool_or_the_service_says_so() -> None:
    slices = [endpoint_slice(endpoint("10.0.0.1", ready=False))]
    asked = ServiceRef("search", "http", include_not_ready=True)
    assert urls(resolve_service(asked, service(), slices), State.READY) == ["http://10.0.0.1:8000/mcp"]
    published = service(publishNotReadyAddresses=True)
    assert urls(resolve_service(REF, published, slices), State.READY) == ["http://10.0.0.1:8000/mcp"]
    assert urls(resolve_service(REF, service(), slices), State.READY) == []


def test_an_address_in_two_slices_is_one_endpoint_and_the_better_report_holds() -> None:
    stale = endpoint_slice(endpoint("10.0.0.1", ready=False))
    fresh = endpoint_slice(endpoint("10.0.0.1", ready=True))
    for slices in ([stale, fresh], [fresh, stale]):
        assert urls(resolve_service(REF, service(), slices), State.READY) == ["http://10.0.0.1:8000/mcp"]


def test_an_external_name_has_no_endpoints_to_be_found() -> None:
    assert reason(resolve_service(REF, {"spec": {"type": "ExternalName"}}, [])) == "ServiceUnsupported"


ENDPOINTS = st.builds(
    endpoint,
    st.integers(1, 20).map(lambda number: f"10.0.0.{number}"),
    ready=st.sampled_from([True, False, None]),
    serving=st.sampled_from([True, False, None]),
    terminating=st.sampled_from([True, False, None]),
)


@given(st.lists(st.lists(ENDPOINTS, max_size=6), min_size=1, max_size=4), st.randoms())
def test_the_order_of_slices_and_endpoints_does_not_matter(groups: list[list[dict[str, Any]]], random: Any) -> None:
    first = resolve_service(REF, service(), [endpoint_slice(*group) for group in groups])
    for group in groups:
        random.shuffle(group)
    random.shuffle(groups)
    assert resolve_service(REF, service(), [endpoint_slice(*group) for group in groups]) == first
    assert len({entry.url for entry in first.endpoints}) == len(first.endpoints)


def test_a_source_that_is_the_pools_own_gateways_is_refused() -> None:
    def target(name: str) -> dict[str, Any]:
        return endpoint("10.0.0.1", targetRef={"kind": "Pod", "name": name})

    own = [endpoint_slice(target("search-mcp-gateway-7f9-abc"))]
    assert reason(resolve_service(REF, service(), own, gateways="search-mcp-gateway")) == "SourceIsGateway"
    itself = ServiceRef("search-mcp-gateway", "http")
    assert reason(resolve_service(itself, service(), [], gateways="search-mcp-gateway")) == "SourceIsGateway"
    others = [endpoint_slice(target("search-mcp-gatewayx"))]
    assert urls(resolve_service(REF, service(), others, gateways="search-mcp-gateway"), State.READY)
