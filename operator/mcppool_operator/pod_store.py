"""The pods of pools from the watch of pods.

The operator lists the pods of a pool only if the watch may be wrong: before its first list is complete, after a missed
event, and if a pod does not answer, because the pod may be gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcppool_operator.api import KubeApi
from mcppool_operator.children import MANAGED_BY, Owner
from mcppool_operator.pods import Pod
from mcppool_operator.resources import POD
from mcppool_operator.triggers import key_of


class PodStore:
    """The newest known version of each pod, by pool."""

    def __init__(self) -> None:
        self._pods: dict[str, dict[str, Pod]] = {}
        self._to_list: set[str] = set()
        self._complete = False

    def observe(self, key: str, pod: Mapping[str, Any], *, deleted: bool) -> None:
        """Take a pod from the watch."""
        known = self._pods.setdefault(key, {})
        found = Pod.of(pod)
        if not deleted:
            known[found.name] = found
        elif found.name in known and known[found.name].uid == found.uid:
            del known[found.name]
        if not known:
            del self._pods[key]

    def listed(self) -> None:
        """Note that the watch has shown every existing pod."""
        self._complete = True

    def unsure(self) -> None:
        """Note that the watch begins again: it does not report deletions in between."""
        self._complete = False
        self._to_list |= self._pods.keys()

    def ask(self, key: str) -> None:
        """List the pods of a pool at the next read."""
        self._to_list.add(key)

    def expect(self, key: str) -> None:
        """List the pods at the next read, unless the watch has shown them. For a pool that has pods."""
        if not self._complete and key not in self._pods:
            self.ask(key)

    def forget(self, key: str) -> None:
        """Drop a pool that is gone; the events of its pods drop the pods."""
        self._to_list.discard(key)

    async def read(self, api: KubeApi, owner: Owner) -> tuple[Pod, ...]:
        """Return the pods of a pool. Raises KubeError, or one of `TRANSIENT`."""
        key = key_of(owner.namespace, owner.name)
        if key in self._to_list:
            self._to_list.discard(key)
            labels = f"app.kubernetes.io/instance={owner.name},{MANAGED_BY}"
            try:
                found = await api.list(POD, owner.namespace, labels=labels)
            except BaseException:
                self._to_list.add(key)
                raise
            self._pods[key] = {pod.name: pod for pod in map(Pod.of, found)}
            if not found:
                del self._pods[key]
        return tuple(self._pods.get(key, {}).values())
