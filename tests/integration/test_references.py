"""A gateway whose arguments and secrets come from the environment and from files."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.servers import ServerProcess, free_port
from tests.servers.faults import FaultServer
from tests.servers.process import HOST, get_page
from tests.waiting import until

FIRST, SECOND, TOKEN = "first-secret-0123456789", "second-secret-0123456789", "token-of-the-team-0123456789"


def keys_seen(server: FaultServer) -> set[str]:
    return {seen.headers.get("x-key", "") for seen in server.requests}


async def test_variables_win_over_the_file_and_secrets_reach_servers_but_no_report(tmp_path: Path) -> None:
    config, secret = tmp_path / "pools.toml", tmp_path / "secret"
    secret.write_text(f"{FIRST}\n")
    port, admin_port = free_port(), free_port()
    async with FaultServer() as server:
        config.write_text(f"""
profile = "test"
listener.listen = "{HOST}:1"
metrics.port = 1
logging.level = "debug"
[[pools]]
name = "a"
endpoints = ["{server.url}"]
headers.send.X-Key = "${{file:{secret}}}"
headers.send.X-Team = "Bearer ${{TEAM_TOKEN}}"
""")
        environment = {
            "MCPPOOL_CONFIG": str(config),
            "MCPPOOL_LISTEN": f"{HOST}:{port}",
            "MCPPOOL_ADMIN_PORT": str(admin_port),
            "TEAM_TOKEN": TOKEN,
        }
        front = ServerProcess("served", [sys.executable, "-m", "mcppool", "serve"], port, env=environment)
        try:
            await asyncio.to_thread(front.start)
            await until(lambda: keys_seen(server) == {FIRST}, "the server has the first secret")
            assert {seen.headers["x-team"] for seen in server.requests} == {f"Bearer {TOKEN}"}
            new = tmp_path / "new"
            new.write_text(SECOND)
            new.replace(secret)
            await until(lambda: SECOND in keys_seen(server), "the server has the second secret")
            await until(lambda: "Status page, health and metrics at" in front.log, "the admin port is open")
            pages = [(await asyncio.to_thread(get_page, admin_port, path))[1] for path in ("/configz", "/status.json")]
        finally:
            assert await asyncio.to_thread(front.terminate) == 0
            log = front.log
            front.close()
    assert f"{HOST}:{port}" in pages[0]
    for text in (*pages, log):
        assert not any(value in text for value in (FIRST, SECOND, TOKEN))
