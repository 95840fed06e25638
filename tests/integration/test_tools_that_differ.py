"""Replicas that do not agree on their tools: the gateway reports tool and replica on its admin port."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.servers import Gateway
from tests.servers.faults import FaultServer
from tests.servers.process import get_page, serving
from tests.waiting import until

POOL = """
[[pools]]
name = "search"
endpoints = [{endpoints}]
[pools.connection_pool]
health_check_interval = "100ms"
"""


def tool(name: str, *, reads: bool = True) -> dict[str, Any]:
    return {"name": name, "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": reads}}


async def test_a_tool_that_a_replica_lacks_or_defines_differently_is_reported_until_they_agree(tmp_path: Path) -> None:
    usual = [tool("add"), tool("mul")]
    async with FaultServer(tools=usual) as one, FaultServer(tools=usual) as two, FaultServer(tools=usual) as three:
        servers = (one, two, three)
        gateway = Gateway(tmp_path, POOL.format(endpoints=", ".join(f'"{server.url}"' for server in servers)))

        def report() -> Any:
            return json.loads(get_page(gateway.admin_port, "/load")[1])["tools"]["search"]

        async def reports(*examples: tuple[FaultServer, str, str]) -> None:
            wanted = [{"tool": name, "endpoint": server.url, "kind": kind} for server, name, kind in examples]
            await until(lambda: report() == {"changed": [], "differ": len(wanted), "examples": wanted}, f"{wanted}", 60)

        with serving(gateway):
            await reports()
            two.tools = [tool("mul", reads=False)]
            await reports((two, "add", "missing"), (two, "mul", "definition"))
            two.tools = usual
            await reports()
