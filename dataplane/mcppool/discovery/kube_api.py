"""The two requests of a gateway to the Kubernetes API, for one ConfigMap: list it, and watch it.

Plain aiohttp: a client library would be most of the gateway's memory. Token and CA are files that Kubernetes replaces
while the gateway runs, so it reads the token for every request and the CA whenever its file has changed.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from mcppool.discovery.file import unreadable
from mcppool.spec.address import with_port

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")

_LINE_LIMIT: Final = 8 * 1024 * 1024
"""Upper bound in bytes on one watch event: a ConfigMap's 1 MiB, escaped as JSON in JSON, with room."""


@dataclass(frozen=True, slots=True)
class ApiServer:
    """Address of the API server, and the files that authenticate client and server."""

    host: str
    port: int
    token: Path = SERVICE_ACCOUNT / "token"
    ca: Path = SERVICE_ACCOUNT / "ca.crt"

    @classmethod
    def in_cluster(cls) -> ApiServer:
        """The API server of the cluster that this pod runs in; raises ConfigError outside of one."""
        try:
            return cls(os.environ["KUBERNETES_SERVICE_HOST"], int(os.environ["KUBERNETES_SERVICE_PORT"]))
        except (KeyError, ValueError) as error:
            message = "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT do not give the address of the API server"
            raise unreadable("environment", message) from error

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"https://{with_port(self.host, self.port)}"


class ApiError(Exception):
    """A request to the API server failed. `retry_after` is in seconds, 0 without `Retry-After`."""

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class GoneError(ApiError):
    """The API server no longer has the version to watch from: list again."""


class ConfigMapApi:
    """List and watch of one ConfigMap by name, the rights to which `resourceNames` can grant.

    `silence` is the seconds that a watch may be silent: the API server sends a bookmark about once a minute, so a
    longer silence is a dead connection. Both methods raise ApiError, aiohttp.ClientError, OSError and TimeoutError.
    """

    def __init__(
        self, session: aiohttp.ClientSession, server: ApiServer, namespace: str, name: str, silence: float
    ) -> None:
        self._session = session
        self._server = server
        self._url = f"{server.url}/api/v1/namespaces/{namespace}/configmaps"
        self._selector = f"metadata.name={name}"
        self._silence = silence
        self._tls: ssl.SSLContext | None = None
        self._tls_of: tuple[int, int] | None = None

    async def list(self, timeout: float = 10.0) -> tuple[dict[str, Any] | None, str]:
        """The ConfigMap, or None if there is none; and the resource version to watch from."""
        async with self._get({}, aiohttp.ClientTimeout(total=timeout)) as response:
            await _raise_for_status(response)
            body = _decode(await response.read())
        items = body.get("items") or []
        return (items[0] if items else None), _version(body)

    async def watch(self, version: str, duration: int) -> AsyncGenerator[tuple[str, dict[str, Any], str]]:
        """Events after `version`, for `duration` seconds: type, object, resource version.

        The first event is `CONNECTED`, made here, when the API server has accepted the watch. Raises GoneError if
        `version` is too old.
        """
        parameters = {
            "watch": "1",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(duration),
        }
        # The silence between events is timed below, a little shorter; this limit is for the head of the answer.
        limits = aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=self._silence + 5.0)
        async with self._get(parameters, limits) as response:
            await _raise_for_status(response)
            try:
                yield "CONNECTED", {}, version
                async for line in _lines(response, self._silence):
                    yield _event(line)
            finally:
                _abort(response)

    def _get(
        self, parameters: Mapping[str, str], limits: aiohttp.ClientTimeout
    ) -> aiohttp.client._RequestContextManager:
        return self._session.get(
            self._url,
            params={"fieldSelector": self._selector, **parameters},
            headers={"Authorization": f"Bearer {self._server.token.read_text().strip()}", "Accept": "application/json"},
            ssl=self._trust(),
            timeout=limits,
            allow_redirects=False,
        )

    def _trust(self) -> ssl.SSLContext:
        status = self._server.ca.stat()
        if self._tls is None or self._tls_of != (status.st_mtime_ns, status.st_ino):
            self._tls = ssl.create_default_context(cafile=str(self._server.ca))
            self._tls_of = (status.st_mtime_ns, status.st_ino)
        return self._tls


def _event(line: bytes) -> tuple[str, dict[str, Any], str]:
    event = _decode(line)
    kind, subject = event.get("type"), event.get("object")
    if not isinstance(kind, str) or not isinstance(subject, dict):
        raise ApiError("a watch event has no type or no object")
    if kind == "ERROR":
        message = str(subject.get("message", "watch failed"))
        raise GoneError(message) if subject.get("code") == 410 else ApiError(message)
    return kind, subject, _version(subject)


def _abort(response: aiohttp.ClientResponse) -> None:
    """End the connection of an incomplete answer without a TLS shutdown.

    A shutdown would hold the socket for half a minute if the other side is silent.
    """
    if response.connection is not None and response.connection.transport is not None:
        response.connection.transport.abort()


async def _raise_for_status(response: aiohttp.ClientResponse) -> None:
    if response.status == 200:
        return
    text = (await response.content.read(4096)).decode("utf-8", "replace")
    message = f"the API server answers {response.status}: {_message(text)}"
    if response.status == 410:
        raise GoneError(message)
    seconds = response.headers.get("Retry-After", "")
    raise ApiError(message, float(seconds) if seconds.isdecimal() else 0.0)


def _message(text: str) -> str:
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return text.strip()[:200]


def _decode(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ApiError(f"the API server's answer is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ApiError("the API server's answer is not a JSON object")
    return value


def _version(subject: Mapping[str, Any]) -> str:
    version = (subject.get("metadata") or {}).get("resourceVersion")
    if not isinstance(version, str):
        raise ApiError("the API server's answer has no resourceVersion")
    return version


async def _lines(response: aiohttp.ClientResponse, silence: float) -> AsyncGenerator[bytes]:
    rest = bytearray()
    while chunk := await _next_chunk(response, silence):
        rest += chunk
        while (end := rest.find(b"\n")) >= 0:
            line, rest = bytes(rest[:end]), rest[end + 1 :]
            if line.strip():
                yield line
        if len(rest) > _LINE_LIMIT:
            raise ApiError(f"a watch event is longer than {_LINE_LIMIT} bytes")


async def _next_chunk(response: aiohttp.ClientResponse, silence: float) -> bytes:
    try:
        async with asyncio.timeout(silence):
            return await response.content.readany()
    except TimeoutError:
        raise TimeoutError(f"the API server was silent for {silence:g} s") from None
