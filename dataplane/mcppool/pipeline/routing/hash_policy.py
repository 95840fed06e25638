"""`load_balancer.hash_key`: the part of a call that `consistent_hash` hashes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mcppool.pipeline.call import Call
from mcppool.spec import LoadBalancerSpec
from mcppool.upstream.catalog import ToolInfo
from mcppool.wire.era import MODERN
from mcppool.wire.headers import METHOD, NAME, PARAM_PREFIX, decode_value
from mcppool.wire.param_headers import argument_at

HashKey = Callable[[Call], bytes | None]
"""The key of a call; None if it has none, for example without that header: then it may go anywhere."""

Tools = Callable[[], Mapping[str, ToolInfo]]
"""Returns the current catalog of the pool."""


def hash_key(spec: LoadBalancerSpec, tools: Tools) -> HashKey | None:
    """The function that finds a call's key; None for strategies without keys, which then pay nothing for it."""
    if spec.strategy != "consistent_hash":
        return None
    kind, _, name = spec.hash_key.partition(":")
    if kind == "header":
        return _header_of(name.lower(), tools)
    return _tool if kind == "tool" else _principal


def _principal(call: Call) -> bytes:
    return call.principal.key.encode()


def _tool(call: Call) -> bytes | None:
    request = call.request
    return request.name.encode() if request.method == "tools/call" and request.name is not None else None


def _header_of(name: str, tools: Tools) -> HashKey:
    find = _header(name.encode())
    if name.startswith(PARAM_PREFIX):
        return _argument(name, find, tools)
    if name in (METHOD, NAME):  # headers of the modern era: in the legacy era they are not compared with the body
        return lambda call: find(call) if call.era is MODERN else None
    return find


def _header(name: bytes) -> HashKey:
    """The value of a header as the client sent it, whether it goes on to a server or not. A repeated header has none:
    the server might read another value."""

    def find(call: Call) -> bytes | None:
        values = call.values_of(name)
        return values[0] if len(values) == 1 else None

    return find


def _argument(name: str, find: HashKey, tools: Tools) -> HashKey:
    """The value of an `Mcp-Param-*` header, if it equals the argument that the tool's schema names for it."""

    def agreed(call: Call) -> bytes | None:
        request, value = call.request, find(call)
        if value is None or call.era is not MODERN or request.method != "tools/call" or request.arguments is None:
            return None
        tool = tools().get(request.name or "")
        path = tool.params.get(name) if tool is not None else None
        text = argument_at(bytes(request.arguments), path) if path is not None else None
        return value if text is not None and decode_value(value.decode("latin-1")) == text else None

    return agreed
