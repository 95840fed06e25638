"""Sealing keys rotate on real nodes, where kubelets bring them to the pods: sessions and calls go on."""

from __future__ import annotations

from typing import Any

import pytest

from e2e import names
from e2e.clusters import Cluster
from e2e.lines import Load, Sessions, assert_nothing_is_lost
from e2e.waiting import until

pytestmark = pytest.mark.thorough

ROTATE = "mcppool.dev/rotate-sealing-keys"
SESSIONS = 8
PATIENCE = 600.0  # seconds: a kubelet takes a minute or two to bring a key to a pod


def keys(pool: Cluster) -> dict[str, Any]:
    """The keys as the pool's status tells them."""
    found: dict[str, Any] = pool.get("mcppool", names.POOL)["status"].get("sealingKeys", {})
    return found


def test_sessions_go_on_through_a_rotation_and_the_next_one_seals_with_the_new_key(pool: Cluster) -> None:
    before = keys(pool).get("id")
    with Sessions(pool, names.CLIENT, names.URL, SESSIONS) as sessions, Load(pool, names.CLIENT, names.URL) as load:
        pool.kubectl("annotate", "mcppool", names.POOL, f"{ROTATE}=e2e", "--overwrite")
        after = until(
            "another key seals",
            lambda: now if (now := keys(pool).get("id")) and now != before else None,
            PATIENCE,
        )
        told = until(
            "an Event tells it",
            lambda: [
                event["message"]
                for event in pool.get("events")["items"]
                if event["reason"] == "SealingKeysRotated" and event["involvedObject"]["name"] == names.POOL
            ],
        )
        calls = {name: each["calls"] for name, each in sessions.now().items()}
        until(
            "every session has called with the new key in force",
            lambda: all(each["calls"] > calls[name] + 2 for name, each in sessions.now().items()),
        )
        report = load.stop()
        record = sessions.now()
    print(before, after, told, report)
    assert after in " ".join(told)
    assert_nothing_is_lost(report)
    assert {name: each["errors"] for name, each in record.items() if each["errors"]} == {}
    assert all(len(each["replicas"]) == 1 for each in record.values()), "no session has moved"
