"""Servers come and go under load, and clients do not notice."""

from __future__ import annotations

from e2e import names
from e2e.clusters import Cluster
from e2e.lines import Lines, Load, assert_nothing_is_lost
from e2e.page import Script
from e2e.pods import SERVERS, await_ready, ready
from e2e.waiting import until

SECONDS_FROM_READY_TO_FIRST_CALL = 10.0
"""It takes less than one on a machine with nothing else to do."""

READINESS = '{.metadata.name} {.status.conditions[?(@.type=="Ready")].status}{"\\n"}'


def test_nothing_is_lost_when_a_server_pod_is_deleted(pool: Cluster) -> None:
    before = ready(pool, names.SERVER_LABEL)
    with Load(pool, names.CLIENT, names.URL) as load:
        until("calls on all three servers", lambda: set(load.now()["replicas"]) >= before)
        pool.kubectl("delete", "pod", next(iter(before)), "--wait=true")
        (replacement,) = await_ready(pool, names.SERVER_LABEL, SERVERS) - before
        until("calls on the new server", lambda: replacement in load.now()["replicas"])
        report = load.stop()
    print(report)
    assert_nothing_is_lost(report)


def test_no_read_fails_when_a_server_dies_silently(pool: Cluster) -> None:
    before = ready(pool, names.SERVER_LABEL)
    with Load(pool, names.CLIENT, names.URL) as load:
        until("calls on all three servers", lambda: set(load.now()["replicas"]) >= before)
        pool.kubectl("delete", "pod", next(iter(before)), "--grace-period=0", "--force")
        await_ready(pool, names.SERVER_LABEL, SERVERS)
        load.reach(50)
        report = load.stop()
    print(report)
    assert_nothing_is_lost(report, but_unsure_writes=True)


def test_a_new_server_takes_calls_soon_after_it_is_ready(pool: Cluster, script: Script) -> None:
    before = ready(pool, names.SERVER_LABEL)
    watch = pool.start("kubectl", "get", "pods", "-l", names.SERVER_LABEL, "--watch", "-o", f"jsonpath={READINESS}")
    with Load(pool, names.CLIENT, names.URL) as load, Lines(watch) as readiness:
        until("the watch has begun", readiness.seen)
        script.run("more-servers")
        new = until("a fourth server", lambda: ready(pool, names.SERVER_LABEL) - before).pop()
        called: float = until("a call on the new server", lambda: load.first_answer_of(new))
        report = load.stop()
        became_ready = next(when for when, line in readiness.seen() if line.split() == [new, "True"])
    print(f"first call {called - became_ready:.2f} s after ready; {report}")
    assert called - became_ready < SECONDS_FROM_READY_TO_FIRST_CALL
    assert_nothing_is_lost(report)
