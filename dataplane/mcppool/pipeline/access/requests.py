"""The facts about a call that access rules use."""

from __future__ import annotations

from typing import Final

import msgspec

from mcppool.pipeline.call import Call
from mcppool.policy.access_request import ACTS_ON, COMPLETION, Request
from mcppool.wire.bulk import BULK
from mcppool.wire.members import UNREADABLE, readable

MAX_ARGUMENTS: Final = 1000
MAX_ARGUMENT_NAMES: Final = 16 * 1024
"""Upper bound on the arguments whose names are compared, and on the characters of these names."""

VERBS: Final = frozenset({"GET", "DELETE", "response"})
"""Names of calls that are no request: rules treat them like methods."""


class _Ref(msgspec.Struct):
    type: str
    name: str | None = None
    uri: str | None = None


class _Completion(msgspec.Struct):
    ref: _Ref


class _Asked(msgspec.Struct):
    params: _Completion


_asked = msgspec.json.Decoder(_Asked).decode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def requests_of(call: Call, *, arguments: bool) -> tuple[Request, ...]:
    """The requests that a call makes, each of which must be allowed. `arguments`: whether the names of arguments
    matter."""
    message = call.request
    method = message.method
    if call.verb != b"POST":
        return (Request(call.verb.decode("latin-1")),)
    if method is None:
        return (Request("response"),)
    if method in VERBS:  # a request of that name, which no server has
        return (Request(f"request {method}"),)
    if method == COMPLETION:
        return _completed(call)
    kind = ACTS_ON.get(method)
    if not arguments or kind is None or kind == "resource":
        return (Request(method, kind, message.name),)
    return (Request(method, kind, message.name, _names(call)),)


def _completed(call: Call) -> tuple[Request, ...]:
    """The object whose argument a client wants completed. If that is unclear, it must be allowed for all."""
    try:
        ref = _asked(readable(call.body)).params.ref
    except UNREADABLE:
        ref = None
    if ref is not None and ref.type == "ref/prompt" and ref.uri is None:
        return (Request(COMPLETION, "prompt", ref.name),)
    if ref is not None and ref.type == "ref/resource" and ref.name is None:
        return (Request(COMPLETION, "resource", ref.uri),)
    return Request(COMPLETION, "prompt"), Request(COMPLETION, "resource")


def _names(call: Call) -> frozenset[str] | None:
    """The names of the call's arguments; None if they cannot be read, or not in one step."""
    raw = call.request.arguments
    if len(call.body) > BULK:
        return None
    if raw is None:
        return frozenset()
    try:
        names = frozenset(_members(readable(bytes(raw))))
        few = len(names) <= MAX_ARGUMENTS and sum(map(len, names)) <= MAX_ARGUMENT_NAMES
        return names if few else None
    except UNREADABLE:
        return frozenset() if bytes(raw) == b"null" else None
