"""A user who may do everything in the cluster, and waits for the results."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

import yaml

from mcppool_operator.api import KubeApi, KubeError
from mcppool_operator.resources import EVENT, POD, POOL, SERVICE, Kind

NAMESPACE = Kind("", "v1", "namespaces", "Namespace")
PATIENCE = 90.0


class Administrator:
    """Requests by plain dicts. `namespace` is the test's own."""

    def __init__(self, api: KubeApi) -> None:
        self.api = api
        self.namespace = f"test-{uuid.uuid4().hex[:8]}"

    async def call(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        """One request."""
        return await self.api._call(method, path, body, content_type=content_type)

    async def put(self, *objects: Mapping[str, Any]) -> None:
        """Apply objects as `kubectl apply --server-side` does, under a field manager of our own."""
        for obj in objects:
            group, _, version = obj["apiVersion"].rpartition("/")
            kind = Kind(group, version, plural(obj["kind"]), obj["kind"])
            path = kind.path(obj["metadata"].get("namespace"), obj["metadata"]["name"])
            await self.call("PATCH", f"{path}?fieldManager=test&force=true", obj, "application/apply-patch+yaml")

    async def merge(self, kind: Kind, name: str, body: Mapping[str, Any], subresource: str | None = None) -> Any:
        """Change parts of an object in our namespace."""
        path = kind.path(self.namespace, name, subresource)
        return await self.call("PATCH", path, body, "application/merge-patch+json")

    async def get(self, kind: Kind, name: str) -> Any:
        """An object in our namespace, or None."""
        return await self.api.get(kind, self.namespace, name)

    async def delete(self, kind: Kind, name: str) -> None:
        """Delete an object in our namespace."""
        await self.call("DELETE", kind.path(self.namespace, name))

    async def leave(self) -> None:
        """Delete our namespace and all in it, at once.

        A namespace goes when its last pod has gone, and everything else in it after that. There is no kubelet to end
        pods: without help the namespace, and its pools, would stay until the cluster ends, and later operators with
        other tests would look after these pools.
        """
        await self.call("DELETE", POOL.path(self.namespace))
        with suppress(KubeError):  # another test has done that before
            await self.call("DELETE", NAMESPACE.path(None, self.namespace))
        # No user can create a pod from here on.
        await self.call("DELETE", POD.path(self.namespace), {"gracePeriodSeconds": 0})

    async def token(self, namespace: str, account: str) -> str:
        """A fresh token of a service account."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": 3600},
        }
        answer = await self.call("POST", path, request)
        return str(answer["status"]["token"])

    async def allowed(self, account: str, verb: str, resource: str, *, group: str = "", name: str = "") -> bool:
        """Whether the API server lets a service account (NAMESPACE:NAME) do this in our namespace.

        It learns of a change of a role a moment after it has stored the change.
        """
        attributes = {"namespace": self.namespace, "verb": verb, "group": group, "resource": resource, "name": name}
        spec = {"user": f"system:serviceaccount:{account}", "resourceAttributes": attributes}
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        answer = await self.call("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
        return bool(answer["status"]["allowed"])

    async def until(
        self, kind: Kind, name: str, condition: Callable[[Any], object], what: str, limit: float = PATIENCE
    ) -> Any:
        """Wait until an object in our namespace (None: there is none) is as it should be; returns it."""
        deadline = time.monotonic() + limit
        while True:
            found = await self.get(kind, name)
            if condition(found):
                return found
            assert time.monotonic() < deadline, f"not within {limit:g} s: {what}\n{yaml.safe_dump(found)}"
            await asyncio.sleep(0.05)

    async def pool(self, name: str = "search", **spec: Any) -> None:
        """Apply a pool in front of the Service `tools`; `spec` holds the differences."""
        source = {"type": "Service", "service": {"name": "tools", "port": "http"}}
        body = {"source": source, "auth": {"inbound": {"type": "None"}}, **spec}
        await self.put(self.here(POOL, name, spec=body))

    async def pool_says(self, condition: str, status: str, reason: str, name: str = "search") -> str:
        """Wait until a pool has a condition; returns its message."""
        found = await self.until(
            POOL,
            name,
            lambda pool: conditions(pool).get(condition, ())[:2] == (status, reason),
            f"{condition} is {reason}",
        )
        return conditions(found)[condition][2]

    async def event(self, kind: str, reason: str) -> None:
        """Wait for an Event in our namespace."""
        deadline = time.monotonic() + PATIENCE
        while (kind, reason) not in {
            (found["type"], found["reason"]) for found in await self.api.list(EVENT, self.namespace)
        }:
            assert time.monotonic() < deadline, f"no Event {reason}"
            await asyncio.sleep(0.05)

    async def service(self, name: str = "tools") -> None:
        """Apply a Service for the pods with the label `app: NAME`."""
        port = {"name": "http", "port": 80, "targetPort": 8000}
        await self.put(self.here(SERVICE, name, spec={"selector": {"app": name}, "ports": [port]}))

    async def server(self, address: str, *others: str, app: str = "tools") -> str:
        """A pod of an MCP server, ready at an address (and one of the other family); returns its name."""
        name = f"{app}-{address.replace('.', '-')}"
        # On a node that is not there, so that its deletion takes as long as a kubelet that is draining it.
        spec = {"nodeName": "elsewhere", "containers": [{"name": "server", "image": "example.com/server:1"}]}
        await self.put(self.here(POD, name, labels={"app": app}, spec=spec))
        await self.become_ready(name, address, *others)
        return name

    async def place(self, pod: str) -> None:
        """Act as the scheduler for a pod: assign it to a node. EndpointSlices leave out pods without a node."""
        target = {"apiVersion": "v1", "kind": "Node", "name": "elsewhere"}
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod}, "target": target}
        await self.call("POST", POD.path(self.namespace, pod, "binding"), body)

    async def become_ready(self, pod: str, address: str, *others: str) -> None:
        """Act as the kubelet for a pod: it runs, and is ready at an address (and one of the other family)."""
        status = {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": ip} for ip in (address, *others)],
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        }
        await self.merge(POD, pod, {"status": status}, "status")

    def here(self, kind: Kind, name: str, labels: Mapping[str, str] | None = None, **content: Any) -> dict[str, Any]:
        """An object in our namespace."""
        metadata = {"namespace": self.namespace, "name": name, "labels": dict(labels or {})}
        return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, **content}


def conditions(pool: Any) -> dict[str, tuple[str, str, str]]:
    """Status, reason and message of each condition of a pool."""
    listed = ((pool or {}).get("status") or {}).get("conditions") or ()
    return {entry["type"]: (entry["status"], entry["reason"], entry["message"]) for entry in listed}


def plural(kind: str) -> str:
    """The name of a kind's collection."""
    name = kind.lower()
    return f"{name[:-1]}ies" if name.endswith("y") else f"{name}es" if name.endswith("ss") else f"{name}s"


async def eventually(condition: Callable[[], Awaitable[object]], what: str) -> None:
    """Wait until `await condition()` is true."""
    deadline = time.monotonic() + PATIENCE
    while not await condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE:g} s: {what}"
        await asyncio.sleep(0.05)


async def refused(request: Awaitable[Any]) -> str:
    """The API server's message against a request that it must refuse."""
    try:
        await request
    except KubeError as error:
        if error.status in (403, 422):
            return error.message
        raise
    raise AssertionError("it was taken")
