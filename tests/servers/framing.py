"""Healthy answers in the framings that servers may use: chunks, event streams, ends of connections."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.servers.faults import Behaviour, Exchange


def chunked(*sizes: int) -> Behaviour:
    """Executes and answers in chunks of these sizes (the last one repeats), each written in two pieces."""

    async def behave(exchange: Exchange) -> None:
        exchange.execute()
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        rest, steps = json.dumps(exchange.answer()).encode(), list(sizes)
        while rest:
            size = min(steps.pop(0) if len(steps) > 1 else steps[0], len(rest))
            piece, rest = rest[:size], rest[size:]
            frame = f"{len(piece):x}\r\n".encode() + piece + b"\r\n"
            for part in (frame[: len(frame) // 2], frame[len(frame) // 2 :]):
                await exchange.send(part)
                await asyncio.sleep(0)
        await exchange.send(b"0\r\n\r\n")

    return behave


def event_stream(*, split: int, line_end: bytes = b"\n", notifications: int = 2, ends: bool = True) -> Behaviour:
    """Executes and answers as an event stream, cut every `split` bytes wherever that falls.

    `ends` False: the connection is closed after the notifications, before the answer.
    """

    async def behave(exchange: Exchange) -> None:
        exchange.execute()
        token = exchange.body.get("params", {}).get("_meta", {}).get("progressToken")
        messages: list[Any] = [
            {
                "jsonrpc": "2.0",
                "method": "notifications/progress",
                "params": {"progressToken": token, "progress": n + 1, "total": notifications},
            }
            for n in range(notifications)
        ]
        if ends:
            messages.append(exchange.answer())
        stream = b": ping" + line_end * 2
        for message in messages:
            stream += b"event: message" + line_end + b"data: " + json.dumps(message).encode() + line_end * 2
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for start in range(0, len(stream), split):
            piece = stream[start : start + split]
            await exchange.send(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            await asyncio.sleep(0)
        if ends:
            await exchange.send(b"0\r\n\r\n")
        else:
            exchange.close()

    return behave


async def connection_close(exchange: Exchange) -> None:
    """Executes, answers with `Connection: close` and closes."""
    exchange.execute()
    await exchange.respond(exchange.answer(), headers=[("Connection", "close")])
    exchange.close()


async def http10(exchange: Exchange) -> None:
    """Executes and answers in HTTP/1.0: no Content-Length, the end of the connection ends the body."""
    exchange.execute()
    await exchange.send(b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n")
    await exchange.send(json.dumps(exchange.answer()).encode())
    exchange.close()
