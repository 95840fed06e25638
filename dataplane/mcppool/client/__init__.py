"""The pipeline for a program that calls tools itself: `mcppool.Pool`."""

from mcppool.client.errors import CallFailed, InputRequired, RpcError
from mcppool.client.pool import Pool
from mcppool.client.server_info import ServerInfo
from mcppool.wire.errors import Reason

__all__ = ["CallFailed", "InputRequired", "Pool", "Reason", "RpcError", "ServerInfo"]
