"""The floor: a proxy on uvloop that only passes bytes on. It shows what sockets and the event loop cost. It takes each
piece from a client for a request, and each piece from a server for its answer; for each request it takes an endpoint at
random, and keeps its connections."""

import asyncio
import random
import sys

import uvloop


class Server(asyncio.Protocol):
    """A connection to an endpoint; `idle` are those of the endpoint that no client uses."""

    transport: asyncio.WriteTransport

    def __init__(self, idle: "list[Server]", client: "Client") -> None:
        self.idle, self.client = idle, client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self.idle.append(self)
        self.client.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (the protocol's)
        if self in self.idle:
            self.idle.remove(self)


class Client(asyncio.Protocol):
    transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        port, idle = ENDPOINTS[int(random.random() * len(ENDPOINTS))]
        if not idle:
            task = asyncio.get_running_loop().create_task(self.dial(port, idle, data))
            DIALS.add(task)
            task.add_done_callback(DIALS.discard)
            return
        server = idle.pop()
        server.client = self
        server.transport.write(data)

    async def dial(self, port: int, idle: list[Server], data: bytes) -> None:
        loop = asyncio.get_running_loop()
        _, server = await loop.create_connection(lambda: Server(idle, self), "127.0.0.1", port)
        server.transport.write(data)


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Client, "127.0.0.1", int(sys.argv[1]), backlog=1024)
    await server.serve_forever()


ENDPOINTS: list[tuple[int, list[Server]]] = [(int(port), []) for port in sys.argv[2:]]
DIALS: set[asyncio.Task[None]] = set()
uvloop.run(main())
