"""The ConfigMap source against a real API server, with no more rights than a gateway's pod has."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from mcppool.discovery import kubernetes as module
from mcppool.discovery.file import Identity, identity_of
from mcppool.discovery.kube_api import ApiServer, ConfigMapApi
from mcppool.discovery.kubernetes import KubernetesSource, Timing
from tests.integration.kube_fixture import KubeApiServer, assets
from tests.unit.discovery.recorder import Events, Recorder, port, text, until, watched

NAMESPACE = "/api/v1/namespaces/default"
REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
IMPATIENT = Timing(stale_after=0.5, mount_interval=0.1, backoff_cap=0.5)
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeApiServer]:
    folder = tmp_path_factory.mktemp("kube")
    running = KubeApiServer(assets(), folder)
    try:
        running.start()
        yield running
    finally:
        running.stop()


@dataclass
class Pod:
    """The files of a gateway's pod: a token that may read one ConfigMap, and that ConfigMap's mount."""

    server: KubeApiServer
    api: ApiServer
    name: str
    mount: Path
    log: Events = field(default_factory=Events)

    def source(self, timing: Timing = IMPATIENT) -> KubernetesSource:
        return KubernetesSource("default", self.name, log=self.log, mount=self.mount, api=self.api, timing=timing)

    async def apply(self, snapshot: str, key: str = "snapshot.json") -> None:
        """Publish as the operator does."""
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": self.name},
            "data": {key: snapshot},
        }
        path = f"{NAMESPACE}/configmaps/{self.name}?fieldManager=test&force=true"
        await self.server.call("PATCH", path, body, "application/apply-patch+yaml")

    async def delete(self) -> None:
        await self.server.call("DELETE", f"{NAMESPACE}/configmaps/{self.name}")

    def mounted(self, snapshot: str) -> None:
        """The kubelet's part."""
        (self.mount / "snapshot.json").write_text(snapshot)

    async def renew_token(self) -> str:
        """The kubelet's part before a token expires; returns the new one."""
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
        path = f"{NAMESPACE}/serviceaccounts/{self.name}/token"
        token: str = (await self.server.call("POST", path, review))["status"]["token"]
        self.api.token.write_text(token)
        return token


@pytest.fixture
async def pod(server: KubeApiServer, tmp_path: Path) -> Pod:
    server.start()
    name = f"pool-{next(NUMBERS)}"
    await server.call("POST", f"{NAMESPACE}/serviceaccounts", {"metadata": {"name": name}})
    roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/default"
    rule = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [name], "verbs": ["get", "list", "watch"]}
    await server.call("POST", f"{roles}/roles", {"metadata": {"name": name}, "rules": [rule]})
    binding: dict[str, Any] = {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": "default"}],
    }
    await server.call("POST", f"{roles}/rolebindings", binding)
    access = {"namespace": "default", "verb": "watch", "resource": "configmaps", "name": name}
    spec = {"user": f"system:serviceaccount:default:{name}", "resourceAttributes": access}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    async with asyncio.timeout(60):  # it learns of a role a moment after it has stored it
        while not (await server.call("POST", REVIEWS, review))["status"]["allowed"]:
            await asyncio.sleep(0.02)
    (tmp_path / "mount").mkdir()
    made = Pod(server, ApiServer("127.0.0.1", server.port, tmp_path / "token", server.ca), name, tmp_path / "mount")
    await made.renew_token()
    return made


def last_port(recorder: Recorder) -> int:
    return port(recorder.published[-1])


async def test_a_change_arrives_within_a_second(pod: Pod) -> None:
    await pod.apply(text(1))
    loop, took = asyncio.get_running_loop(), list[float]()
    async with watched(pod.source(Timing())) as recorder:
        await recorder.until(1)
        for number in range(2, 9):
            began = loop.time()
            await pod.apply(text(number))
            await recorder.until(number)
            took.append(loop.time() - began)
    assert [port(snapshot) for snapshot in recorder.published] == list(range(1, 9))
    assert min(took) < 1.0, "a busy machine makes it longer, and nothing makes it shorter"


async def test_a_config_map_that_comes_later_is_taken(pod: Pod) -> None:
    async with watched(pod.source()) as recorder:
        await until(lambda: bool(recorder.refused))  # The mount is empty too.
        await pod.apply(text(1))
        await until(lambda: bool(recorder.published))


async def test_garbage_is_refused_and_the_last_good_one_stays_until_it_is_mended(pod: Pod) -> None:
    await pod.apply(text(1))
    async with watched(pod.source()) as recorder:
        await recorder.until(1)
        await pod.apply("{garbage")
        await recorder.until(1, 1)
        assert f"ConfigMap default/{pod.name}" in str(recorder.refused[0])
        await pod.apply(text(2))
        await recorder.until(2, 1)


async def test_a_config_map_without_the_key_is_refused(pod: Pod) -> None:
    await pod.apply(text(1))
    async with watched(pod.source()) as recorder:
        await recorder.until(1)
        await pod.apply(text(2), key="other.json")
        await recorder.until(1, 1)
        assert "has no key snapshot.json" in str(recorder.refused[0])


async def test_a_deleted_config_map_changes_nothing_and_its_successor_is_taken(pod: Pod) -> None:
    await pod.apply(text(1))
    async with watched(pod.source()) as recorder:
        await recorder.until(1)
        await pod.delete()
        await pod.apply(text(2))
        await recorder.until(2)


async def test_the_snapshot_of_a_former_leader_is_ignored(pod: Pod) -> None:
    await pod.apply(text(1, term=5))
    async with watched(pod.source()) as recorder:
        await recorder.until(1)
        await pod.apply(text(2, term=4, generation=9))
        await pod.apply(text(3, term=5, generation=2))
        await recorder.until(2)
        assert last_port(recorder) == 3


async def test_with_the_api_away_a_gateway_starts_from_the_mount_at_once(pod: Pod) -> None:
    pod.mounted(text(1))
    pod.server.stop_api()
    async with watched(pod.source(Timing(boot_patience=3600))) as recorder:
        await recorder.until(1)


async def test_with_an_api_that_does_not_answer_a_gateway_starts_from_the_mount_in_a_second(pod: Pod) -> None:
    pod.mounted(text(1))
    with pod.server.frozen():
        async with watched(pod.source(Timing())) as recorder:
            await recorder.until(1, seconds=8)  # A list is given up after ten: it is the patience that has ended.
            assert Timing().boot_patience == 1.0
            pod.server.thaw()
            await pod.apply(text(2))
            await recorder.until(2)


async def test_the_watch_is_taken_up_again_after_an_outage(pod: Pod) -> None:
    await pod.apply(text(1))
    async with watched(pod.source()) as recorder:
        await recorder.until(1)
        pod.server.stop_api()
        await asyncio.to_thread(pod.server.start)
        await pod.apply(text(2))
        await recorder.until(2)


async def test_in_a_long_outage_changes_of_the_mount_come_into_force(pod: Pod) -> None:
    pod.mounted(text(1))
    await pod.apply(text(1))
    async with watched(pod.source()) as recorder:
        await recorder.until(1)
        await pod.apply(text(2))
        await recorder.until(2)
        pod.server.stop_api()
        pod.mounted(text(3))
        await recorder.until(3)
        assert last_port(recorder) == 3


async def test_in_a_long_outage_a_mount_that_lags_behind_does_not_undo_a_change(
    pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, looks = asyncio.get_running_loop(), list[float]()

    def look(file: Path) -> Identity | None:
        looks.append(loop.time())
        return identity_of(file)

    monkeypatch.setattr(module, "identity_of", look)
    pod.mounted(text(1))
    await pod.apply(text(1))
    async with watched(pod.source()) as recorder:
        await recorder.until(1)
        await pod.apply(text(2))
        await recorder.until(2)
        pod.server.stop_api()
        long = loop.time() + IMPATIENT.stale_after
        await until(lambda: sum(at > long for at in looks) >= 3)
        assert recorder.said == (2, 0)


async def test_a_silent_watch_is_noticed_and_taken_up_again(pod: Pod) -> None:
    await pod.apply(text(1))
    async with watched(pod.source(replace(IMPATIENT, silence=1.5))) as recorder:
        await recorder.until(1)
        await pod.apply(text(2))
        await recorder.until(2)  # It came by the watch, so there is one.
        with pod.server.frozen():
            await until(lambda: "the API server was silent for 1.5 s" in pod.log.text)
        await pod.apply(text(3))
        await recorder.until(3)


async def test_a_renewed_token_is_used_and_a_wrong_one_leaves_the_last_good_one(pod: Pod) -> None:
    await pod.apply(text(1))
    async with watched(pod.source(replace(IMPATIENT, watch_duration=(3, 3)))) as recorder:
        await recorder.until(1)
        pod.api.token.write_text("expired")
        await pod.apply(text(2))
        await recorder.until(2)  # the open watch keeps its token
        await until(lambda: "the API server answers 401" in pod.log.text)  # It has ended, and the next one is denied.
        assert recorder.said == (2, 0)
        await pod.apply(text(3))
        await pod.renew_token()
        await recorder.until(3)


async def test_a_watch_is_renewed_without_a_gap(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Counted(ConfigMapApi):
        async def list(self, timeout: float = 10.0) -> tuple[dict[str, Any] | None, str]:
            asked.append("list")
            return await super().list(timeout)

        def watch(self, version: str, duration: int) -> AsyncGenerator[tuple[str, dict[str, Any], str]]:
            asked.append("watch")
            return super().watch(version, duration)

    monkeypatch.setattr(module, "ConfigMapApi", Counted)
    await pod.apply(text(1))
    async with watched(pod.source(replace(IMPATIENT, watch_duration=(1, 1)))) as recorder:
        await recorder.until(1)
        for number in range(2, 2000):
            await pod.apply(text(number))
            await recorder.until(number)
            if asked.count("watch") >= 4:
                break
    assert asked == ["list", *["watch"] * (len(asked) - 1)]
    assert [port(snapshot) for snapshot in recorder.published] == list(range(1, number + 1))
