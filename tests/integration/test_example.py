"""`make run`: the example shows every system at work, and ends all that it started."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import sys

from tests.requirements import CACHE, ROOT, need_path

LIMIT = 240.0  # seconds until it stays up; a fifth of that on an idle machine


async def read_until(output: asyncio.StreamReader, words: str) -> str:
    """The output up to the line with `words`."""
    text = ""
    while words not in text:
        line = await output.readline()
        assert line, f"it ended:\n{text}"
        text += line.decode()
    return text


def refuses(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


async def test_the_example_shows_every_system_and_ends_all_that_it_started() -> None:
    need_path(CACHE / "everything-server", "the SDK's everything server", "`make servers` fetches it")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "examples/production_ready.py"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        shown = await asyncio.wait_for(read_until(process.stdout, "End with Ctrl-C."), LIMIT)
        process.send_signal(signal.SIGINT)
        rest, _ = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.terminate()  # it ends its own children then
            await process.wait()
    assert process.returncode == 0
    assert rest.decode().endswith("All of it has ended.\n")
    assert "\r" not in shown, "no terminal, no live line"

    assert "calls that failed in all this: 0" in shown
    assert "failed " not in re.sub(r"calls that failed|\d+ failed \|", "", shown)
    (retried,) = re.findall(r"retried: (.*)", shown)
    assert all(name in retried for name in ("network", "retryable", "throttled"))
    assert "convert at e open" in shown
    assert re.search(r'mcp_circuit_breaker_transitions_total\{.*server_id="troubled".*tool_name="convert"', shown)
    assert "overall: healthy" in shown
    ((hits, misses),) = re.findall(r"(\d+) hits, (\d+) misses", shown)
    assert int(hits) + int(misses) == 400
    assert 10 <= int(misses) <= 20, "ten symbols; what is first listened for may be asked for once more"

    ports = {int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)/(?:mcp\b|health)", shown)} - {8001, 8002}
    assert len(ports) == 7, "six replicas and the admin port"
    assert all(refuses(port) for port in ports)
