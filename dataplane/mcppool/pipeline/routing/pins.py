"""Values that are valid only at the endpoint that issued them: `requestState`, cursors, task ids (design §1.8).

Clients return them unchanged. So the gateway seals each on its way out, together with the name of its endpoint, and
opens it on its way in: any gateway of the pool with the key can route it, without a store, and nobody without the key
can make or read one. The server gets its own bytes back. A `requestState` and a task id are valid for their principal
alone; a cursor for all, because a page of a list may be cached for all.

Clients identify tasks by their ids, so equal ids of an endpoint have equal seals. `wire.tasks` knows their places in
messages.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterator
from typing import Final, NamedTuple

from mcppool.upstream.endpoint import Endpoint
from mcppool.wire import tasks
from mcppool.wire.headers import NAME, encode_value
from mcppool.wire.members import without_lone_surrogates
from mcppool.wire.places import map_at, replace_at
from mcppool.wire.raw_values import text_in
from mcppool.wire.rpc_request import RpcRequest
from mcppool.wire.rpc_response import RpcResponse
from mcppool.wire.sealing import KeyRing
from mcppool.wire.vault import Vault, Vaults
from mcppool.wire.versions import META_RELATED_TASK

PREFIX: Final = "mcppool:"
_TASK_METHODS: Final = tasks.METHODS  # a name of this module, because each call uses it
_TASK_ID: Final = ("taskId",)
_NAME: Final = 8  # bytes of an endpoint's name: enough to tell the endpoints of one pool apart


class Unpinned(NamedTuple):
    """A request in the form for the endpoint that issued its pinned values: body and header lines. `endpoint` is None
    if that one is gone, or nothing was pinned."""

    endpoint: Endpoint | None
    body: bytes
    forward: bytes


class UnknownPin(Exception):
    """A value that looks like a pin of this pool and is none: invented, changed, another principal's, or sealed with a
    removed key. `member` is its place."""

    def __init__(self, member: str) -> None:
        super().__init__(f"params.{member} was not issued by this pool, or to this client, or its key is gone")
        self.member = member


def pin_name(key: str) -> bytes:
    """The name under which values of the endpoint `key` are pinned."""
    return hashlib.sha256(key.encode()).digest()[:_NAME]


class Pins:
    """The pins of one pool."""

    def __init__(self, pool: str, ring: KeyRing) -> None:
        self._purpose = b"pins\0" + pool.encode()
        self._by_name: dict[bytes, Endpoint] = {}
        self.renew_ring(ring)

    def renew_ring(self, ring: KeyRing) -> None:
        """Apply changed keys."""
        self._vaults = Vaults(ring, self._purpose)
        self._first = ring.keys[0].id

    def add(self, endpoint: Endpoint) -> None:
        """An endpoint has come."""
        self._by_name[pin_name(endpoint.key)] = endpoint

    def remove(self, endpoint: Endpoint) -> None:
        """Forget a removed endpoint. Its values then go to any other endpoint, which does not know them."""
        self._by_name.pop(pin_name(endpoint.key), None)

    def unpin(self, request: RpcRequest, body: bytes, forward: bytes, principal: str) -> Unpinned:
        """The request with its pins opened. `forward` are its header lines for a server.

        A value without the prefix of pins passes unchanged, except for the id of a task: servers' own ids are never
        shown, so such an id is a guess. Raises UnknownPin.
        """
        endpoint: Endpoint | None = None
        for kind, path, value in _given_back(request):
            opened = self._open(value, _about(kind, principal)) if value.startswith(PREFIX) else None
            if opened is None:
                raise UnknownPin(".".join(path))
            endpoint = self._by_name.get(opened[:_NAME]) or endpoint
            body = replace_at(body, ("params", *path), opened[_NAME:])
            if path == _TASK_ID:
                forward = _renamed(forward, opened[_NAME:])
        return Unpinned(endpoint, body, forward)

    def pin(self, endpoint: Endpoint, request: RpcRequest, message: RpcResponse, body: bytes, principal: str) -> bytes:
        """The answer to `request` with its values sealed. Raises BadEnvelope."""
        name = pin_name(endpoint.key)
        seal = self._sealed
        if message.request_state is not None:
            state = _about("requestState", principal)
            body = map_at(body, ("result", "requestState"), lambda raw: seal(name + raw, state))
        if message.next_cursor is not None:
            body = map_at(body, ("result", "nextCursor"), lambda raw: seal(name + raw, _about("cursor", principal)))
        method = request.method or ""
        if message.task_id is not None or method in tasks.METHODS:
            convert = self._converter(name, principal, request)
            body = tasks.convert_answer(body, method, message.result_type, convert)
        return body

    def pin_event(
        self, endpoint: Endpoint, request: RpcRequest, message: RpcResponse, data: bytes, principal: str
    ) -> bytes:
        """A message on the stream of `request` before its answer, with the ids of tasks sealed; the same object if it
        has none. Raises BadEnvelope."""
        method = message.method or ""
        if not tasks.may_name_task(data, method):
            return data
        return tasks.convert_event(data, method, self._converter(pin_name(endpoint.key), principal, request))

    def open_task(self, value: str, principal: str) -> tuple[bytes, str] | None:
        """The name of the endpoint that has a task, and the task's id there; None if this is no task of the
        principal."""
        opened = self._open(value, _about("task", principal)) if value.startswith(PREFIX) else None
        id = text_in(opened[_NAME:]) if opened is not None else None
        return (opened[:_NAME], id) if opened is not None and id is not None else None

    def _converter(self, name: bytes, principal: str, request: RpcRequest) -> tasks.Convert:
        """Seals the ids of tasks. An id that the client has used keeps the form in which it did, even with an old
        key."""
        about = _about("task", principal)
        given = request.name if request.method in tasks.METHODS else None

        def convert(raw: bytes) -> bytes | None:
            if not raw.startswith(b'"'):
                return None
            if given is not None and self._open(given, about) == name + raw:
                return b'"%b"' % given.encode()
            return self._sealed(name + raw, about, same=True)

        return convert

    def _sealed(self, value: bytes, about: bytes, *, same: bool = False) -> bytes:
        """A value as the raw JSON of its pin."""
        sealed = self._vaults.first.seal(value, about, same=same)
        return f'"{PREFIX}{self._first}:{base64.urlsafe_b64encode(sealed).decode()}"'.encode()

    def _open(self, value: str, about: bytes) -> bytes | None:
        key_id, _, encoded = value.removeprefix(PREFIX).partition(":")
        vault: Vault = self._vaults.of(key_id)
        try:
            return vault.open(base64.b64decode(encoded, altchars=b"-_", validate=True), about)
        except (binascii.Error, ValueError):
            return None


def issues(request: RpcRequest, message: RpcResponse) -> bool:
    """Whether the answer to `request` holds something to pin."""
    return (
        message.request_state is not None
        or message.next_cursor is not None
        or message.task_id is not None
        or request.method in _TASK_METHODS
    )


def gives_back(request: RpcRequest) -> bool:
    """Whether the request holds something that may be pinned."""
    return (
        request.request_state is not None
        or request.cursor is not None
        or request.related_task is not None
        or request.method in _TASK_METHODS
    )


def _given_back(request: RpcRequest) -> Iterator[tuple[str, tuple[str, ...], str]]:
    """Kind, place in ``params`` and value of the pins in a request."""
    for kind, path, value in (
        ("requestState", ("requestState",), request.request_state),
        ("cursor", ("cursor",), request.cursor),
        ("task", ("_meta", META_RELATED_TASK, "taskId"), request.related_task),
    ):
        if value is not None and value.startswith(PREFIX):
            yield kind, path, value
    if request.method in _TASK_METHODS and request.name is not None:
        yield "task", _TASK_ID, request.name


def _renamed(forward: bytes, raw: bytes) -> bytes:
    """The header lines with the text of the JSON string `raw` as `Mcp-Name`."""
    name = NAME.encode()
    lines = forward.split(b"\r\n")
    value = encode_value(json.loads(without_lone_surrogates(raw))).encode()
    return b"\r\n".join([b"%b: %b" % (name, value) if line.partition(b":")[0] == name else line for line in lines])


def _about(kind: str, principal: str) -> bytes:
    """The data besides the pool that a sealed value is bound to."""
    return b"cursor" if kind == "cursor" else f"{kind}\0{principal}".encode("utf-8", "surrogatepass")
