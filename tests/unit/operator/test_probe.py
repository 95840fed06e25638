from __future__ import annotations

from typing import Any

from mcppool_operator.probe import compare, configz_url, is_ready
from mcppool_operator.status import Sync


def pod(address: str = "10.0.0.1", ready: str = "True", **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "a", **metadata},
        "spec": {"containers": [{"ports": [{"name": "http", "containerPort": 8080}]}]},
        "status": {"podIP": address, "conditions": [{"type": "Ready", "status": ready}]},
    }


def test_gateways_are_compared_with_what_was_published() -> None:
    answers: dict[str, Any] = {
        "a": {"hash": "new", "rejected": None},
        "b": {"hash": "old", "rejected": {"hash": "new", "problems": ["x"]}},
        "c": None,
        "d": {"hash": "old", "rejected": {"hash": "older"}},
    }
    assert compare("new", answers) == Sync(ready=4, synced=1, rejected=("b",), silent=("c",))


def test_an_answer_of_any_other_shape_is_no_agreement() -> None:
    assert compare("new", {"a": {"hash": 3, "rejected": "x"}, "b": {}}) == Sync(ready=2)


def test_a_pod_that_is_going_or_not_ready_is_not_asked() -> None:
    assert is_ready(pod())
    assert not is_ready(pod(ready="False"))
    assert not is_ready(pod(deletionTimestamp="2026-01-01T00:00:00Z"))
    assert not is_ready({"metadata": {}, "spec": {}})


def test_a_pod_is_asked_on_the_port_that_it_calls_admin() -> None:
    assert configz_url(pod()) == "http://10.0.0.1:9090/configz?settings=none"
    named = pod("fd00::1")
    named["spec"]["containers"][0]["ports"].append({"name": "admin", "containerPort": 9191})
    assert configz_url(named) == "http://[fd00::1]:9191/configz?settings=none"
