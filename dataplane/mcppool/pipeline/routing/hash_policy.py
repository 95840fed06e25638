"""`load_balancer.hash_key`: what `consistent_hash` hashes of a call."""

from __future__ import annotations

from collections.abc import Callable

from mcppool.pipeline.call import Call
from mcppool.spec import LoadBalancerSpec

HashKey = Callable[[Call], bytes | None]
"""The key of a call; None where it has none, as a call without that header, and may go anywhere."""


def hash_key(spec: LoadBalancerSpec) -> HashKey | None:
    """How a call's key is found; None for the strategies that ask for none, so that they do not pay for it."""
    if spec.strategy != "consistent_hash":
        return None
    kind, _, name = spec.hash_key.partition(":")
    if kind == "header":
        return _header(name.lower().encode())
    return _tool if kind == "tool" else _principal


def _principal(call: Call) -> bytes:
    return call.principal.encode()


def _tool(call: Call) -> bytes | None:
    request = call.request
    return request.name.encode() if request.method == "tools/call" and request.name is not None else None


def _header(name: bytes) -> HashKey:
    """The value of a header as the client sent it, whether it goes on to a server or not."""
    return lambda call: next((value for header, value in call.lines if header == name), None)
