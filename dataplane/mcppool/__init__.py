"""mcppool: one MCP endpoint in front of many replicas of an MCP server.

This package is lazy: importing it loads none of its parts, so that the operator can import `mcppool.spec` alone.
`mcppool.Pool` and its exceptions are loaded on first access.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcppool.client import CallFailed, InputRequired, Pool, Reason, RpcError, ServerInfo
    from mcppool.spec import ConfigError
    from mcppool.version import __version__

__all__ = ["CallFailed", "ConfigError", "InputRequired", "Pool", "Reason", "RpcError", "ServerInfo", "__version__"]

_HOME = {"ConfigError": "mcppool.spec", "__version__": "mcppool.version"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_HOME.get(name, "mcppool.client")), name)
    return value
