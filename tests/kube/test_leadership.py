"""Two operators: one works, the other is ready to; and there is never a moment at which both write."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import pytest

from mcppool_operator.api import KubeError
from mcppool_operator.resources import CONFIG_MAP, LEASE
from tests.chart.helm import Helm
from tests.kube.administrator import Administrator
from tests.kube.conftest import operators
from tests.kube.control_plane import AUDIT, WRITES, Cluster
from tests.kube.gateway_pods import gateway_pods, loopback_address
from tests.kube.operator_process import IMPATIENT, Operator
from tests.kube.pool_objects import CONFIG
from tests.kube.proxy import way
from tests.requirements import missing
from tests.waiting import until

RECONCILED = 'mcppool_operator_reconcile_total{result="success"}'


def snapshot(config_map: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(config_map["data"]["snapshot.json"])
    return found


def term(config_map: Any) -> int:
    return int(snapshot(config_map)["term"]) if config_map else 0


def is_published(config_map: Any) -> bool:
    """Whether it has the server: a pool may be published before its server is known."""
    return "10.1.0.1" in str(config_map)


def later(config_map: Any, generation: int) -> str:
    """The snapshot of a ConfigMap, as if it had been published as that generation."""
    return json.dumps({**snapshot(config_map), "generation": generation})


async def leader_of(running: list[Operator]) -> tuple[Operator, Operator]:
    """The one that leads, and the other, once exactly one does."""
    await until(lambda: sum(one.leads() for one in running) == 1, "one of them leads")
    first, second = running
    return (first, second) if first.leads() else (second, first)


def reigns(requests: list[dict[str, Any]]) -> list[str]:
    """The writers of changes other than to the Lease, in order: one entry for each change of the writer."""
    writers: list[str] = []
    for request in requests:
        if request["verb"] in WRITES and request["objectRef"]["resource"] != "leases":
            writer = request["user"]["extra"]["authentication.kubernetes.io/credential-id"][0]
            if not writers or writers[-1] != writer:
                writers.append(writer)
    return writers


@pytest.fixture
async def before(installed: Cluster) -> int:
    """How many requests there were before this test."""
    if installed.audit is None:
        missing(*AUDIT)
    return len(installed.requests())


@pytest.fixture
async def pair(installed: Cluster, before: int) -> AsyncIterator[list[Operator]]:
    async with operators(installed, "first", "second", arguments=IMPATIENT) as running:
        yield running


async def published(pair: list[Operator], admin: Administrator) -> tuple[Operator, Operator, dict[str, Any]]:
    """The leader, the standby, and the snapshot that the leader has published of a pool."""
    leader, standby = await leader_of(pair)
    await admin.service()
    await admin.server("10.1.0.1")
    await admin.pool()
    return leader, standby, await admin.until(CONFIG_MAP, CONFIG, is_published, "the snapshot is there")


async def test_a_stopping_leader_hands_over_to_a_ready_standby_and_a_new_term_begins(
    pair: list[Operator], admin: Administrator, installed: Cluster, before: int
) -> None:
    leader, standby, first = await published(pair, admin)
    assert standby.metric("mcppool_operator_term") == 0
    assert leader.stop() == 0
    await until(standby.leads, "the other leads")
    await until(lambda: standby.metric(RECONCILED) > 0, "it has looked at the pool")
    assert (await admin.get(CONFIG_MAP, CONFIG))["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    await admin.server("10.1.0.2")
    second = await admin.until(CONFIG_MAP, CONFIG, lambda found: "10.1.0.2" in str(found), "the other publishes")
    assert term(second) > term(first)
    await until(lambda: len(reigns(installed.requests()[before:])) >= 2, "the audit log has its write")
    assert len(reigns(installed.requests()[before:])) == 2


async def test_a_standby_takes_a_released_lease_at_once_and_not_at_its_next_try(
    installed: Cluster, admin: Administrator, before: int
) -> None:
    patient = ("--lease-duration=3000", "--renew-deadline=2000", "--retry-period=1000")
    try:
        async with operators(installed, "first", "second", arguments=patient) as running:
            leader, standby = await leader_of(running)
            assert leader.stop() == 0
            await until(standby.leads, "the other leads")
    finally:
        with suppress(KubeError):  # of a failed test: nobody else may have to wait for its end
            await admin.call("DELETE", LEASE.path("mcppool-system", "mcppool"))


async def test_a_suspended_leader_writes_nothing_and_its_late_snapshot_reaches_no_gateway(
    pair: list[Operator], admin: Administrator, installed: Cluster, before: int
) -> None:
    leader, standby, first = await published(pair, admin)
    async with gateway_pods(installed, admin) as gateways:
        await admin.pool_says("Programmed", "True", "Programmed")
        leader.process.send_signal(signal.SIGSTOP)
        try:
            await until(standby.leads, "the other leads")
            await admin.server("10.1.0.2")
            second = await admin.until(CONFIG_MAP, CONFIG, lambda found: "10.1.0.2" in str(found), "it publishes")
            await until(lambda: {gateway.config().term for gateway in gateways} == {term(second)}, "gateways have it")
        finally:
            leader.process.send_signal(signal.SIGCONT)
        await until(lambda: leader.process.poll() is not None, "the one that was suspended has ended")
        assert leader.process.returncode == 1
        # (An Event or another write that it had partly sent when it was suspended may finish now.)

        def snapshots() -> list[dict[str, Any]]:
            return [found for found in installed.requests()[before:] if "/configmaps/" in found["requestURI"]]

        await until(lambda: len(reigns(snapshots())) >= 2, "the audit log has the other's write")
        assert len(reigns(snapshots())) == 2
        # If it was in the middle of a write, its snapshot has a past term.
        late = {"data": {"snapshot.json": later(first, snapshot(second)["generation"] + 5)}}
        await admin.merge(CONFIG_MAP, CONFIG, late)
        third = await admin.until(CONFIG_MAP, CONFIG, lambda found: "10.1.0.2" in str(found), "it is put right")
        await until(
            lambda: {gateway.config().hash for gateway in gateways} == {snapshot(third)["hash"]}, "gateways have that"
        )
        assert {gateway.terms[-1] for gateway in gateways} == {term(third)}
        assert all(gateway.terms == sorted(gateway.terms) for gateway in gateways)


async def test_a_leader_that_is_cut_off_ends_before_another_one_writes(
    installed: Cluster, admin: Administrator, before: int
) -> None:
    server = urlsplit(installed.place()["server"])
    assert server.hostname
    assert server.port
    async with way(server.hostname, server.port) as path:
        token = await admin.token("mcppool-system", "mcppool")
        through = installed.kubeconfig("far", token, f"https://127.0.0.1:{path.port}")
        far = Operator("far", through, *IMPATIENT)
        try:
            await far.ready()
            await until(far.leads, "the far one leads")
            await admin.service()
            await admin.server("10.1.0.1")
            await admin.pool()
            first = await admin.until(CONFIG_MAP, CONFIG, bool, "the snapshot is there")
            async with operators(installed, "standby", arguments=IMPATIENT) as (standby,):
                path.cut()
                await until(standby.leads, "the standby leads")
                assert not far.leads(), "two of them led"
                await until(lambda: far.process.poll() is not None, "the one that was cut off has ended")
                await admin.server("10.1.0.2")
                assert far.process.returncode == 1
                assert "the Lease was not renewed" in far.lines()[-1]["message"]
                await admin.until(CONFIG_MAP, CONFIG, lambda found: term(found) > term(first), "a new term")
            await until(lambda: len(reigns(installed.requests()[before:])) >= 2, "the audit log has its write")
            assert len(reigns(installed.requests()[before:])) == 2
        finally:
            await asyncio.to_thread(far.stop)  # its way to the API server is in this very thread


async def test_a_deposed_leader_ends_when_it_sees_another_name_on_the_lease(
    installed: Cluster, admin: Administrator, before: int
) -> None:
    async with operators(installed, "deposed") as (operator,):
        await until(operator.leads, "it leads")
        usurped = {"spec": {"holderIdentity": "somebody-else", "leaseDurationSeconds": 1}}
        path = LEASE.path("mcppool-system", "mcppool")
        await admin.call("PATCH", path, usurped, "application/merge-patch+json")
        await until(lambda: operator.process.poll() is not None, "it has ended")
        assert operator.process.returncode == 1
        assert "is held by somebody-else" in operator.lines()[-1]["message"]


async def test_a_term_is_higher_than_anything_that_was_ever_published_even_without_the_lease(
    installed: Cluster, admin: Administrator, before: int
) -> None:
    async with operators(installed, "early") as (operator,):
        await until(operator.leads, "it leads")
        await admin.service()
        await admin.server("10.1.0.1")
        await admin.pool()
        first = await admin.until(CONFIG_MAP, CONFIG, bool, "the snapshot is there")
    await admin.call("DELETE", LEASE.path("mcppool-system", "mcppool"))
    async with operators(installed, "late"):
        await admin.server("10.1.0.2")
        await admin.until(CONFIG_MAP, CONFIG, lambda found: term(found) > term(first), "a higher term")


async def test_helm_test_passes_with_one_leader_and_names_the_fault_without(installed: Cluster, helm: Helm) -> None:
    (pod,) = [obj for obj in helm.template("--set", "test.call=false") if obj["kind"] == "Pod"]
    program = pod["spec"]["containers"][0]["command"][2].replace("+ 60", "+ 0")
    address = loopback_address()

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", program],
            env={"OPERATOR": address}, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    assert "not ready" in run().stderr
    # In its pod the operator has these ports; the last argument of a name holds.
    arguments = (f"--host={address}", "--metrics-port=8080", "--probe-port=8081")
    async with operators(installed, "tested", arguments=arguments, ready=False) as (operator,):
        await until(lambda: run().returncode == 0, f"helm test passes\n{operator.log()}")
