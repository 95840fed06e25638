"""The common parts of the spans of a pool, made once for all calls with one method, tool and version."""

from __future__ import annotations

from typing import Final

from mcppool.observe.tracing.span import MAX_TEXT, Operation
from mcppool.pipeline.call import Call
from mcppool.pipeline.tracing.conventions import client_attributes, server_attributes, span_name, version_of
from mcppool.upstream.endpoint import Endpoint

MAX_OPERATIONS: Final = 512
"""Upper bound on the operations that are remembered for each side: clients choose the names of tools and resources."""

_Key = tuple[str, ...]


class Operations:
    """The operations of one pool: of its clients' calls, and of attempts at its endpoints."""

    def __init__(self, pool: str) -> None:
        self._pool = pool
        self._calls: dict[_Key, Operation] = {}
        self._attempts: dict[_Key, Operation] = {}

    def of_call(self, call: Call) -> Operation:
        """The operation of a client's call."""
        method, name, version = what = _what(call)
        found = self._calls.get(what)
        if found is None:
            found = Operation(span_name(method, name), "server", server_attributes(method, name, version, self._pool))
            _remember(self._calls, what, found)
        return found

    def of_attempt(self, call: Call, endpoint: Endpoint) -> Operation:
        """The operation of an attempt of the call at `endpoint`."""
        method, name, version = what = _what(call)
        found = self._attempts.get((*what, endpoint.key))
        if found is None:
            attributes = client_attributes(method, name, version, self._pool, endpoint)
            found = Operation(span_name(method, name), "client", attributes)
            _remember(self._attempts, (*what, endpoint.key), found)
        return found


def _what(call: Call) -> tuple[str, str, str]:
    """Method, name and version of a call, as spans show them."""
    request = call.request
    return (request.method or "")[:MAX_TEXT], (request.name or "")[:MAX_TEXT], version_of(call)[:MAX_TEXT]


def _remember(operations: dict[_Key, Operation], key: _Key, operation: Operation) -> None:
    if len(operations) >= MAX_OPERATIONS:
        operations.clear()
    operations[key] = operation
