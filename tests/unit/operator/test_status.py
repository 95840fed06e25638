from __future__ import annotations

from typing import Any

import pytest

from mcppool_operator.condition import Condition
from mcppool_operator.conditions import ALWAYS, HOPELESS, SOMETIMES
from mcppool_operator.observed import Observed, Sync
from mcppool_operator.resolve import Resolution, ResolvedEndpoint, SourceProblem, State
from mcppool_operator.status import SAMPLE, condition, same, summarize
from tests.requirements import ROOT

THEN, NOW = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
READY = Resolution(tuple(ResolvedEndpoint(f"http://10.0.0.{number}:8000/mcp", State.READY) for number in (1, 2)))


def deployment(ready: int = 2, wanted: int = 2, **conditions: dict[str, str]) -> dict[str, Any]:
    listed = [{"type": kind, **entry} for kind, entry in conditions.items()]
    return {
        "spec": {"replicas": wanted},
        "status": {"replicas": wanted, "readyReplicas": ready, "updatedReplicas": wanted, "conditions": listed},
    }


def observed(**changes: Any) -> Observed:
    good = Observed(
        generation=3,
        resolution=READY,
        published={"configMapName": "search-mcp-config", "hash": "sha256:1", "generation": 1, "term": 1},
        published_endpoints=2,
        sync=Sync(ready=2, synced=2),
        deployment=deployment(),
        url="http://search-mcp-gateway.default.svc:8080/mcp",
        selector="a=b",
    )
    return good.but(**changes)


def conditions(status: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {entry["type"]: (entry["status"], entry["reason"]) for entry in status["conditions"]}


def test_a_pool_in_good_order_is_ready() -> None:
    status = summarize(observed(), NOW)
    assert conditions(status) == {
        "Accepted": ("True", "Accepted"),
        "ResolvedRefs": ("True", "ResolvedRefs"),
        "EndpointsAvailable": ("True", "EndpointsAvailable"),
        "Programmed": ("True", "Programmed"),
        "DataPlaneAvailable": ("True", "MinimumReplicasAvailable"),
        "Ready": ("True", "Ready"),
        "Degraded": ("False", "AsExpected"),
    }
    assert all(entry["observedGeneration"] == 3 for entry in status["conditions"])
    assert status["endpoints"]["summary"] == "2/2"
    assert status["gateway"] == {
        "replicas": 2,
        "readyReplicas": 2,
        "updatedReplicas": 2,
        "syncedReplicas": 2,
        "sessions": 0,
        "selector": "a=b",
    }


@pytest.mark.parametrize(
    ("changes", "kind", "verdict"),
    [
        ({"invalid": "spec.x: wrong"}, "Accepted", ("False", "InvalidSpec")),
        ({"suspended": True}, "Accepted", ("False", "Suspended")),
        (
            {"resolution": Resolution(problem=SourceProblem("ServiceNotFound", "no such Service"))},
            "ResolvedRefs",
            ("False", "ServiceNotFound"),
        ),
        (
            {"resolution": Resolution(problem=SourceProblem("Pending", "not yet", unknown=True))},
            "EndpointsAvailable",
            ("Unknown", "Pending"),
        ),
        ({"resolution": Resolution()}, "EndpointsAvailable", ("False", "NoEndpoints")),
        (
            {"resolution": Resolution((ResolvedEndpoint("http://10.0.0.1/mcp", State.NOT_READY),))},
            "EndpointsAvailable",
            ("False", "NoReadyEndpoints"),
        ),
        (
            {"sync": Sync(ready=2, synced=2, nobody_answers="none of 2 endpoints can be reached")},
            "EndpointsAvailable",
            ("False", "NobodyAnswers"),
        ),
        ({"sync": None}, "Programmed", ("Unknown", "Pending")),
        ({"published": None}, "Programmed", ("Unknown", "Pending")),
        ({"sync": Sync(error="403")}, "Programmed", ("Unknown", "Pending")),
        ({"sync": Sync(ready=0)}, "Programmed", ("Unknown", "Pending")),
        ({"sync": Sync(ready=2, synced=1)}, "Programmed", ("False", "PartiallySynced")),
        ({"sync": Sync(ready=2, synced=1, rejected=("pod-a",))}, "Programmed", ("False", "Rejected")),
        (
            {"failure": Condition("Programmed", "False", "NameConflict", "Service x is not ours")},
            "Programmed",
            ("False", "NameConflict"),
        ),
        ({"deployment": None}, "DataPlaneAvailable", ("Unknown", "Pending")),
        ({"deployment": deployment(0)}, "DataPlaneAvailable", ("False", "MinimumReplicasUnavailable")),
        ({"deployment": deployment(0, 0)}, "DataPlaneAvailable", ("False", "MinimumReplicasUnavailable")),
        (
            {
                "deployment": deployment(
                    0, Progressing={"status": "False", "reason": "ProgressDeadlineExceeded", "message": "late"}
                )
            },
            "DataPlaneAvailable",
            ("False", "ProgressDeadlineExceeded"),
        ),
        (
            {"deployment": deployment(1, ReplicaFailure={"status": "True", "message": "pods: exceeded quota: small"})},
            "DataPlaneAvailable",
            ("False", "QuotaExceeded"),
        ),
    ],
)
def test_ready_repeats_the_first_thing_that_is_wrong(
    changes: dict[str, Any], kind: str, verdict: tuple[str, str]
) -> None:
    status = summarize(observed(**changes), NOW)
    assert conditions(status)[kind] == verdict
    assert conditions(status)["Ready"] == ("False", verdict[1])


def test_one_gateway_may_be_missing_as_the_disruption_budget_allows() -> None:
    assert conditions(summarize(observed(deployment=deployment(1, 2)), NOW))["DataPlaneAvailable"][0] == "True"
    assert conditions(summarize(observed(deployment=deployment(1, 3)), NOW))["DataPlaneAvailable"][0] == "False"


def test_a_condition_gets_a_new_date_only_when_its_status_changes() -> None:
    before = summarize(observed(sync=Sync(ready=2, synced=1)), THEN)
    after = summarize(observed(previous=before, sync=Sync(ready=2, synced=1, silent=("pod-b",))), NOW)
    dates = {entry["type"]: entry["lastTransitionTime"] for entry in after["conditions"]}
    assert set(dates.values()) == {THEN}
    fixed = summarize(observed(previous=after), NOW)
    dates = {entry["type"]: entry["lastTransitionTime"] for entry in fixed["conditions"]}
    assert dates["Programmed"] == dates["Ready"] == NOW
    assert dates["Accepted"] == THEN


def test_an_unchanged_status_is_not_written() -> None:
    before = summarize(observed(), THEN)
    foreign = {"type": "example.com/Checked", "status": "True", "reason": "Ok", "message": ""}
    with_foreign = {**before, "conditions": [*before["conditions"], foreign]}
    assert same(summarize(observed(previous=with_foreign), NOW), with_foreign)
    assert not same(summarize(observed(previous=before, sync=Sync(ready=2, synced=1)), NOW), before)
    assert not same(summarize(observed(previous=before, generation=4), NOW), before)


def test_a_missing_service_is_reported_and_the_published_endpoints_stay() -> None:
    before = summarize(observed(), THEN)
    lost = Resolution(problem=SourceProblem("ServiceNotFound", 'Service "search" does not exist'))
    status = summarize(observed(previous=before, resolution=lost), NOW)
    assert status["endpoints"] == before["endpoints"]
    assert "the last published ones stay: 2 endpoints" in next(
        entry["message"] for entry in status["conditions"] if entry["type"] == "EndpointsAvailable"
    )


def test_a_suspended_pool_keeps_its_last_observations() -> None:
    before = summarize(observed(), THEN)
    status = summarize(Observed(generation=4, previous=before, suspended=True), NOW)
    assert conditions(status)["Programmed"] == ("True", "Programmed")
    assert conditions(status)["Ready"] == ("False", "Suspended")
    assert status["url"] == before["url"]


def test_a_large_pool_shows_only_a_sample_of_its_unready_endpoints() -> None:
    many = tuple(
        ResolvedEndpoint(f"http://10.0.{number}.1/mcp", State.NOT_READY, target=f"pod-{number}") for number in range(99)
    )
    status = summarize(observed(resolution=Resolution(many)), NOW)
    assert len(status["endpoints"]["notReady"]) == SAMPLE
    assert status["endpoints"]["notReady"][0] == {
        "address": "http://10.0.0.1/mcp",
        "targetName": "pod-0",
        "reason": "NotReady",
    }
    assert status["endpoints"]["summary"] == "0/99"


def test_a_condition_that_is_not_there_is_unknown() -> None:
    assert condition({}, "Ready") == "Unknown"


def rolling(
    wanted: int = 2,
    replicas: int = 3,
    updated: int = 1,
    ready: int = 2,
    generation: int = 2,
    seen: int = 2,
    **more: Any,
) -> dict[str, Any]:
    """A Deployment in the middle of a rollout."""
    found = deployment(ready, wanted, **more)
    found["metadata"] = {"generation": 2}
    found["status"] |= {"replicas": replicas, "updatedReplicas": updated, "observedGeneration": seen}
    return found


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "1 of 2 gateways has the new revision"),
        ({"seen": 1}, "Kubernetes has not taken up the change of the Deployment yet"),
        ({"updated": 2}, "2 of 2 gateways have the new revision"),  # an old one is still there
        (
            {"updated": 2, "replicas": 2, "Progressing": {"status": "True", "reason": "ReplicaSetUpdated"}},
            "the new revision is starting",
        ),
    ],
)
def test_a_pool_is_not_ready_before_its_latest_revision_is_rolled_out(changes: dict[str, Any], words: str) -> None:
    sync = Sync(ready=2, synced=2, waiting=("search-x: ImagePullBackOff (no such image)",))
    status = summarize(observed(deployment=rolling(**changes), sync=sync), NOW)
    found = {entry["type"]: entry for entry in status["conditions"]}
    assert conditions(status)["Ready"] == ("False", "RolloutInProgress")
    assert found["Ready"]["message"] == f"{words}; search-x: ImagePullBackOff (no such image)"
    # The gateways of the previous revision serve meanwhile, and the message says so.
    assert conditions(status)["DataPlaneAvailable"] == ("True", "MinimumReplicasAvailable")
    assert words in found["DataPlaneAvailable"]["message"]
    assert conditions(status)["Reconciling"] == ("True", "RolloutInProgress")
    assert "Stalled" not in found


def test_more_gateways_are_no_rollout() -> None:
    scaling = rolling(
        wanted=4, replicas=4, updated=4, ready=3, Progressing={"status": "True", "reason": "NewReplicaSetAvailable"}
    )
    assert conditions(summarize(observed(deployment=scaling), NOW))["Ready"] == ("True", "Ready")


def test_gateways_that_do_not_start_are_the_nearest_cause_and_after_a_minute_a_reason() -> None:
    waiting = ("search-x: ErrImagePull (no such image)",)
    starting = summarize(observed(sync=Sync(ready=0, waiting=waiting), deployment=deployment(0)), NOW)
    (ready,) = [entry for entry in starting["conditions"] if entry["type"] == "Ready"]
    assert ready["reason"] == "MinimumReplicasUnavailable"
    assert ready["message"] == "0 of 2 gateways are ready; search-x: ErrImagePull (no such image)"
    assert conditions(starting)["Reconciling"][0] == "True"
    stuck = summarize(observed(sync=Sync(ready=0, waiting=waiting, stuck=True), deployment=deployment(0)), NOW)
    assert conditions(stuck)["Ready"] == ("False", "GatewaysNotStarting")
    assert conditions(stuck)["Stalled"] == ("True", "GatewaysNotStarting")
    assert "Reconciling" not in conditions(stuck)


def test_a_missing_optional_child_makes_a_pool_degraded_and_never_unready() -> None:
    failure = Condition("Programmed", "False", "PublishFailed", 'ServiceMonitor "x" could not be written')
    status = summarize(observed(extras=failure), NOW)
    assert conditions(status)["Degraded"] == ("True", "PublishFailed")
    assert conditions(status)["Ready"] == ("True", "Ready")
    assert not same(summarize(observed(previous=status), NOW), status)


def test_a_condition_that_is_true_no_more_is_gone() -> None:
    before = summarize(observed(deployment=rolling()), THEN)
    assert not same(summarize(observed(previous=before), NOW), before)


def test_calls_of_clients_that_fail_degrade_a_pool_before_anything_that_is_missing() -> None:
    extras = Condition("Degraded", "True", "KindNotServed", "no ServiceMonitor")
    failing = Sync(ready=2, synced=2, failing="more than 10% of the calls of clients fail")
    assert conditions(summarize(observed(extras=extras), NOW))["Degraded"] == ("True", "KindNotServed")
    found = conditions(summarize(observed(extras=extras, sync=failing), NOW))
    assert found["Degraded"] == ("True", "CallsFail")
    assert found["Ready"] == ("True", "Ready")


def test_some_conditions_are_there_only_while_they_mean_something() -> None:
    assert not {"Drifted", "Autoscaled"} & conditions(summarize(observed(), NOW)).keys()
    scaled = Condition("Autoscaled", "False", "FailedGetResourceMetric", "no metrics")
    found = conditions(summarize(observed(drift="a sidecar", autoscaled=scaled), NOW))
    assert (found["Drifted"], found["Autoscaled"]) == (("True", "ForeignFields"), ("False", "FailedGetResourceMetric"))
    assert found["Ready"] == ("True", "Ready")


def test_every_condition_and_every_reason_to_act_is_on_the_page() -> None:
    page = (ROOT / "docs/reference/operator.md").read_text()
    conditions_table = page.partition("## Conditions")[2]
    assert [name for name in (*ALWAYS, *SOMETIMES, *HOPELESS) if f"`{name}`" not in conditions_table] == []
