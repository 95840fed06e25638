"""A worker in a few lines: serves at once, has counted five calls, and answers on its channel.

Its last argument is the descriptor of the channel.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import Any

from mcppool.workers.channel import Channel

METRICS = [("calls", "Calls.", "counter", [("calls_total", {}, 5.0, None)])]


async def run(descriptor: int) -> None:
    """Serve until the supervisor has gone."""

    def answer(question: str, _arguments: list[Any]) -> Any:
        return METRICS if question == "page" else None

    channel = Channel(answer, lambda *_: None)
    await channel.open(socket.socket(fileno=descriptor))
    channel.tell("serving")
    await channel.closed.wait()


if __name__ == "__main__":
    asyncio.run(run(int(sys.argv[-1])))
