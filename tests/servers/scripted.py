"""A server that gives every request the same bytes, in a thread of its own."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Self

HOST = "127.0.0.1"


class ScriptedServer:
    """`with ScriptedServer() as server`: sends `script` after each request head, and ends the connection."""

    def __init__(self) -> None:
        self.script = b""
        self._listener = socket.create_server((HOST, 0))
        self.url = f"http://{HOST}:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # it was closed
                return
            with connection:
                connection.settimeout(30)
                try:
                    head = b""
                    while b"\r\n\r\n" not in head and (part := connection.recv(65536)):
                        head += part
                    connection.sendall(self.script)
                    connection.shutdown(socket.SHUT_WR)
                    connection.settimeout(0.5)  # others wait for their turn
                    while connection.recv(65536):  # it ends once the client has its answer
                        pass
                except OSError:
                    pass  # the client has seen enough
