"""Real MCP servers and clients for tests, and one fake server for faults; all on free ports of 127.0.0.1."""

from __future__ import annotations

from tests.servers.clients import ClientProcess, mcp1_client, modern_call, modern_request, text_of, typescript_client
from tests.servers.gateway import Gateway, pool_toml, urls_of
from tests.servers.kinds import (
    Replica,
    SwitchedReplica,
    everything_server,
    executions,
    npm_everything_server,
    sdk1_replica,
    sdk1_tasks_replica,
    sdk2_replica,
    tasks_replica,
)
from tests.servers.process import ServerProcess, aserving, free_port, serving

__all__ = [
    "ClientProcess",
    "Gateway",
    "Replica",
    "ServerProcess",
    "SwitchedReplica",
    "aserving",
    "everything_server",
    "executions",
    "free_port",
    "mcp1_client",
    "modern_call",
    "modern_request",
    "npm_everything_server",
    "pool_toml",
    "sdk1_replica",
    "sdk1_tasks_replica",
    "sdk2_replica",
    "serving",
    "tasks_replica",
    "text_of",
    "typescript_client",
    "urls_of",
]
