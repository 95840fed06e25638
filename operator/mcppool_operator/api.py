"""Plain-dict access to the API server through the official client's transport.

It does not use the client's typed classes: each costs memory, and all objects here are dicts anyway.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from typing import Any
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration

from mcppool_operator import metrics
from mcppool_operator.resources import Kind

Object = dict[str, Any]
"""A Kubernetes object as parsed from JSON."""

MANAGER = "mcppool-operator"
"""The field manager of everything that the operator applies."""


class KubeError(Exception):
    """The API server refused a request: `status` is the HTTP status, the text its message."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message


class KubeApi:
    """Read and write objects as dicts.

    `may_write` is called before each change and raises if this process must not make one (any more): a replica that has
    lost its Lease stops at the very next write.
    """

    def __init__(self, client: ApiClient, *, may_write: Callable[[], None] = lambda: None, timeout: float = 10) -> None:
        self._client = client
        self._may_write = may_write
        self._timeout = timeout

    def guarded(self, may_write: Callable[[], None]) -> KubeApi:
        """Return the same access with another guard before writes."""
        return KubeApi(self._client, may_write=may_write, timeout=self._timeout)

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """Return one object, or None if there is none."""
        try:
            return await self._call("GET", kind.path(namespace, name))
        except KubeError as error:
            if error.status == 404:
                return None
            raise

    async def list(self, kind: Kind, namespace: str | None, *, labels: str = "", limit: int = 500) -> list[Object]:
        """Return all objects of a kind in one namespace, or in all, that have the labels; a consistent read."""
        items: list[Object] = []
        query = {"limit": str(limit)} | ({"labelSelector": labels} if labels else {})
        while True:
            page = await self._call("GET", kind.path(namespace), query=query)
            items += page.get("items") or []
            token = page.get("metadata", {}).get("continue")
            if not token:
                return items
            query["continue"] = token

    async def follow(self, kind: Kind, body: Mapping[str, Any], seconds: int) -> AsyncGenerator[Object, None]:
        """Yield each later version of one object for some time; an object that is deleted is the last one.

        Raises KubeError, or one of `TRANSIENT`.
        """
        metadata = body["metadata"]
        query = {
            "watch": "1",
            "fieldSelector": f"metadata.name={metadata['name']}",
            "resourceVersion": str(metadata["resourceVersion"]),
            "timeoutSeconds": str(seconds),
        }
        patience = aiohttp.ClientTimeout(total=seconds + self._timeout, sock_connect=self._timeout)
        response = await self._send("GET", kind.path(metadata["namespace"]), None, query, "application/json", patience)
        metrics.API_CALLS.labels("WATCH", str(response.status)).inc()
        try:
            if response.status != 200:
                raise _error(response.status, response.reason or "", await response.read())
            async for line in response.response.content:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return  # the version is too old: the reader begins again
                yield event["object"]
                if event["type"] == "DELETED":
                    return
        finally:
            response.response.close()

    async def apply(
        self,
        kind: Kind,
        body: Mapping[str, Any],
        *,
        subresource: str | None = None,
        manager: str = MANAGER,
        force: bool = True,
    ) -> Object:
        """Create or update one object by server-side apply; the fields in `body` become the manager's.

        Without `force`: ApiError 409 if one of them belongs to another manager and differs.
        """
        self._may_write()
        metadata = body["metadata"]
        return await self._call(
            "PATCH",
            kind.path(metadata["namespace"], metadata["name"], subresource),
            body,
            query={"fieldManager": manager, "force": str(force).lower()},
            content_type="application/apply-patch+yaml",
        )

    async def create(self, kind: Kind, body: Mapping[str, Any], *, dry_run: bool = False) -> Object:
        """Create one object, or only test whether that would work; ApiError 409 if the name exists."""
        self._may_write()
        query = {"fieldManager": MANAGER} | ({"dryRun": "All"} if dry_run else {})
        return await self._call("POST", kind.path(body["metadata"]["namespace"]), body, query=query)

    async def replace(self, kind: Kind, body: Mapping[str, Any]) -> Object:
        """Write a whole object; ApiError 409 if it no longer has the resourceVersion in `body`."""
        self._may_write()
        metadata = body["metadata"]
        return await self._call(
            "PUT", kind.path(metadata["namespace"], metadata["name"]), body, query={"fieldManager": MANAGER}
        )

    async def delete(self, kind: Kind, body: Mapping[str, Any]) -> None:
        """Delete exactly this object, by its uid; leave it alone if it is gone, or has been replaced."""
        self._may_write()
        metadata = body["metadata"]
        options = {"propagationPolicy": "Background", "preconditions": {"uid": metadata["uid"]}}
        try:
            await self._call("DELETE", kind.path(metadata["namespace"], metadata["name"]), options)
        except KubeError as error:
            if error.status not in (404, 409):
                raise

    async def served(self, kind: Kind) -> bool:
        """Say whether the API server knows a kind."""
        path = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
        try:
            found = await self._call("GET", path)
        except KubeError as error:
            if error.status == 404:
                return False
            raise
        return any(resource["name"] == kind.plural for resource in found.get("resources", ()))

    async def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Object:
        code = "error"
        try:
            response = await self._send(method, path, body, query, content_type, self._timeout)
            data: bytes = await response.read()
            code = str(response.status)
        finally:
            metrics.API_CALLS.labels(method, code).inc()
        if not 200 <= response.status <= 299:
            raise _error(response.status, response.reason or "", data)
        found: Object = json.loads(data)
        return found

    async def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        query: Mapping[str, str] | None,
        content_type: str,
        timeout: float | aiohttp.ClientTimeout,
    ) -> Any:
        request = await self._client.param_serialize(
            method,
            f"{path}?{urlencode(query)}" if query else path,
            body=body,
            header_params={"Accept": "application/json", "Content-Type": content_type},
            auth_settings=["BearerToken"],
        )
        return await self._client.call_api(*request, _request_timeout=timeout)


TRANSIENT = (aiohttp.ClientError, asyncio.TimeoutError, OSError)
"""Exceptions of a call when the API server cannot be reached or does not answer in time."""


def _error(status: int, reason: str, data: bytes) -> KubeError:
    try:
        answer = json.loads(data)
        return KubeError(status, answer.get("reason") or reason, answer.get("message") or "")
    except (ValueError, AttributeError, RecursionError):
        return KubeError(status, reason, data[:200].decode(errors="replace"))


@contextlib.asynccontextmanager
async def connect(kubeconfig: str | None = None, *, timeout: float = 10) -> AsyncIterator[KubeApi]:
    """Open the API server of a kubeconfig; by default the pod's own, else that of $KUBECONFIG or ~/.kube/config.

    `timeout`: upper bound on the seconds of one request.
    """
    configuration = Configuration()
    if kubeconfig is None and "KUBECONFIG" not in os.environ and "KUBERNETES_SERVICE_HOST" in os.environ:
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    else:
        await config.load_kube_config(kubeconfig, client_configuration=configuration)  # type: ignore[no-untyped-call]
    # With this on, aiohttp reads ~/.netrc in a thread for each request. The watches ignore the environment, too.
    configuration.client_session_kwargs = {"trust_env": False}
    async with ApiClient(configuration) as client:
        yield KubeApi(client, timeout=timeout)
