"""A real Redis in a process of its own, on a free port and on a socket file."""

from __future__ import annotations

import socket
from pathlib import Path

from tests.requirements import need_program
from tests.servers.process import HOST, ServerProcess, free_port


class RedisServer(ServerProcess):
    """`redis-server` that keeps nothing on disk. `address` is its `redis://`; `socket_address` its `unix://`."""

    def __init__(self, folder: Path, password: str | None = None) -> None:
        program = need_program("redis-server", "install Debian's redis-server (scripts/install-debian-packages does)")
        port = free_port()
        self.address = f"redis://{HOST}:{port}/0"
        self.socket_address = f"unix://{folder}/redis.sock"
        command = [
            program, "--port", str(port), "--bind", HOST, "--save", "", "--appendonly", "no", "--dir", str(folder),
            "--unixsocket", str(folder / "redis.sock"), "--daemonize", "no",
        ]  # fmt: skip
        if password is not None:
            command += ["--requirepass", password]
        super().__init__("redis", command, port)

    def answers(self) -> bool:
        """Whether it answers a PING, with any reply."""
        try:
            with socket.create_connection((HOST, self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(1) in (b"+", b"-")
        except OSError:
            return False
