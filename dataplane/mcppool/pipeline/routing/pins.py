"""What one endpoint issued and only that endpoint understands: `requestState`, cursors, task ids (design §1.8).

A `requestState` and a cursor are opaque to clients, who give them back unchanged. So each is sealed on its way out,
together with the name of its endpoint, and opened on its way in: any gateway of the pool with the key can route it,
without a store, and nobody else can make or read one. The server gets its own bytes back. A `requestState` is good for
its principal alone; a cursor for all, because a page of a list may be kept for all.

A task id also stands in places that we do not rewrite; which endpoint issued it is remembered, up to `MAX_TASKS`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from mcppool.wire.envelope import RpcRequest, RpcResponse
from mcppool.wire.places import raw_at, replace_at
from mcppool.wire.sealing import KeyRing
from mcppool.wire.vault import Vault, Vaults

if TYPE_CHECKING:
    from mcppool.upstream.endpoint import Endpoint

PREFIX: Final = "mcppool:"
MAX_TASKS: Final = 10_000
_NAME: Final = 8  # bytes of an endpoint's name: enough to tell the endpoints of one pool apart


class UnknownPin(Exception):
    """A value that looks like one of ours and is not: made up, changed, another's, or sealed with a key that is gone.
    `member` is where it stood."""

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
        self._tasks: OrderedDict[bytes, bytes] = OrderedDict()
        self.renew_ring(ring)

    def renew_ring(self, ring: KeyRing) -> None:
        """Take over changed keys."""
        self._vaults = Vaults(ring, self._purpose)
        self._first = ring.keys[0].id

    def add(self, endpoint: Endpoint) -> None:
        """An endpoint has come."""
        self._by_name[pin_name(endpoint.key)] = endpoint

    def remove(self, endpoint: Endpoint) -> None:
        """An endpoint is gone; what it issued goes to any other, which will say that it does not know it."""
        self._by_name.pop(pin_name(endpoint.key), None)

    def unpin(self, request: RpcRequest, body: bytes, principal: str) -> tuple[Endpoint | None, bytes]:
        """Which endpoint issued what the request gives back, and the body as that endpoint expects it.

        A value without our prefix goes on as it is. Raises UnknownPin.
        """
        endpoint: Endpoint | None = None
        for member, value in (("requestState", request.request_state), ("cursor", request.cursor)):
            if value is None or not value.startswith(PREFIX):
                continue
            opened = self._open(value, _about(member, principal))
            if opened is None:
                raise UnknownPin(member)
            endpoint = self._by_name.get(opened[:_NAME]) or endpoint
            body = replace_at(body, ("params", member), opened[_NAME:])
        if endpoint is None and request.method is not None and request.method.startswith("tasks/"):
            name = self._tasks.get(_task(request.name or "", principal))
            endpoint = self._by_name.get(name) if name is not None else None
        return endpoint, body

    def pin(self, endpoint: Endpoint, message: RpcResponse, body: bytes, principal: str) -> bytes:
        """The answer with what the endpoint issues sealed."""
        name = pin_name(endpoint.key)
        for member, back, value in (
            ("requestState", "requestState", message.request_state),
            ("nextCursor", "cursor", message.next_cursor),
        ):
            raw = raw_at(body, ("result", member)) if value is not None else None
            if raw is not None:
                sealed = self._vaults.first.seal(name + raw, _about(back, principal))
                token = f'"{PREFIX}{self._first}:{base64.urlsafe_b64encode(sealed).decode()}"'
                body = replace_at(body, ("result", member), token.encode())
        if message.task_id is not None:
            task = _task(message.task_id, principal)
            self._tasks[task] = name
            self._tasks.move_to_end(task)
            if len(self._tasks) > MAX_TASKS:
                self._tasks.popitem(last=False)
        return body

    def _open(self, value: str, about: bytes) -> bytes | None:
        key_id, _, encoded = value.removeprefix(PREFIX).partition(":")
        vault: Vault = self._vaults.of(key_id)
        try:
            return vault.open(base64.b64decode(encoded, altchars=b"-_", validate=True), about)
        except (binascii.Error, ValueError):
            return None


def issues(message: RpcResponse) -> bool:
    """Whether the answer holds something to pin."""
    return message.request_state is not None or message.next_cursor is not None or message.task_id is not None


def gives_back(request: RpcRequest) -> bool:
    """Whether the request may hold something pinned."""
    return (
        request.request_state is not None
        or request.cursor is not None
        or (request.method is not None and request.method.startswith("tasks/"))
    )


def _about(member: str, principal: str) -> bytes:
    """What a value is bound to beside its pool."""
    return f"requestState\0{principal}".encode("utf-8", "surrogatepass") if member == "requestState" else b"cursor"


def _task(id: str, principal: str) -> bytes:
    """Under which a task is remembered: as long for every id, and each principal's own."""
    return hashlib.sha256(f"{principal}\0{id}".encode("utf-8", "surrogatepass")).digest()
