"""One server bare and behind the gateway, with one and three replicas, and what each client sees of the three."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.matrix.clients import Client, Seen, Target
from tests.matrix.servers import Action, Server
from tests.servers.gateway import Gateway, pool_toml, urls_of
from tests.servers.process import HOST, ServerProcess, free_port, serving

REPLICAS = (1, 3)

#: Seconds for servers, and the gateways that wait for them, to start.
START = 180.0


@dataclass
class Pair:
    """What one client saw of one server: bare, and behind so many replicas."""

    server: str
    client: str
    bare: Seen
    through: dict[int, Seen] = field(default_factory=dict)
    actions: Sequence[Action] = ()

    @property
    def differences(self) -> list[str]:
        """A line for each action that was seen otherwise through the gateway, first the number of replicas."""
        return [
            f"{count}: {line}"
            for count, seen in self.through.items()
            for line in compare(self.actions, self.bare, seen)
        ]

    @property
    def fails_bare(self) -> bool:
        """Whether the client does not even connect to the bare server."""
        return not self.bare or "error" in self.bare[0]


def compare(actions: Sequence[Action], bare: Seen, through: Seen) -> list[str]:
    """A line for each action that two runs saw differently."""
    differences = []
    for index in range(max(len(bare), len(through))):
        one, other = (seen[index] if index < len(seen) else None for seen in (bare, through))
        if one != other:
            what = " ".join(str(word) for word in actions[index][:2]) if index < len(actions) else "afterwards"
            differences.append(f"{what}: {_where(one, other)}")
    return differences


def _where(one: Any, other: Any, path: str = "") -> str:
    """The first place in which two values differ, and how."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in [*one, *(key for key in other if key not in one)]:
            if one.get(key) != other.get(key) or (key in one) != (key in other):
                return _where(one.get(key), other.get(key), f"{path}.{key}" if path else key)
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, (mine, theirs) in enumerate(zip(one, other, strict=True)):
            if mine != theirs:
                return _where(mine, theirs, f"{path}[{index}]")
    return f"{path}: bare {_short(one)}, through the gateway {_short(other)}"


def _short(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 160 else f"{text[:157]}…"


@contextlib.contextmanager
def prepared() -> Iterator[Path]:
    """A folder for the server to work in: a git repository with one file."""
    with tempfile.TemporaryDirectory(prefix="mcppool-matrix-") as name:
        folder = Path(name).resolve() / "work"
        folder.mkdir()
        (folder / "text.txt").write_text("a text, äöü €\n")
        for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
            who = ["-c", "user.name=a", "-c", "user.email=a@example.invalid", "-c", "commit.gpgsign=false"]
            subprocess.run(["git", *who, *words], cwd=folder, check=True, stdin=subprocess.DEVNULL)
        yield folder


class Published(ServerProcess):
    """A server that may keep a GET open: it is ready when it accepts connections."""

    start_timeout = START

    def answers(self) -> bool:
        """Whether somebody listens."""
        try:
            socket.create_connection((HOST, self.port), timeout=5).close()
        except OSError:
            return False
        return True


def _process(server: Server, folder: Path, name: str) -> ServerProcess:
    port = free_port()
    environment = {**(server.env or {}), **({server.port_variable: str(port)} if server.port_variable else {})}
    return Published(name, server.command(folder, port), port, env=environment)


def _filled(actions: Sequence[Action], folder: Path) -> list[Action]:
    text = json.dumps(actions).replace("{folder}", str(folder))
    filled: list[Action] = json.loads(text)
    return filled


@contextlib.contextmanager
def _running(server: Server, folder: Path, replicas: Sequence[int]) -> Iterator[tuple[Target, dict[int, str]]]:
    """The bare server (a URL, or a command), and the gateway's URL for each number of replicas."""
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mcppool-matrix-gateway-")))
        bare: Target
        if server.http:
            single = _process(server, folder, "bare")
            behind = {count: [_process(server, folder, f"r{n}") for n in range(count)] for count in replicas}
            stack.enter_context(serving(single, *(replica for group in behind.values() for replica in group)))
            bare = single.url
            pools = {count: pool_toml(*urls_of(group)) for count, group in behind.items()}
        else:
            bare = server.command(folder, None)
            words = json.dumps(list(bare))
            pools = {n: f'[[pools]]\nname = "demo"\ncommand = {words}\nreplicas = {n}\n' for n in replicas}
        gateways = {
            count: Gateway(home, pool, profile="development", level="info", name=f"gateway-{count}")
            for count, pool in pools.items()
        }
        for gateway in gateways.values():
            gateway.start_timeout = START
        stack.enter_context(serving(*gateways.values()))
        yield bare, {count: gateway.url for count, gateway in gateways.items()}


def run(server: Server, clients: Sequence[Client], replicas: Sequence[int] = REPLICAS) -> Iterator[Pair]:
    """What each client sees of the server."""
    with prepared() as folder, _running(server, folder, replicas) as (bare, urls):
        actions = _filled(server.actions(), folder)
        for client in clients:
            seen = client.see([bare, *urls.values()], actions, folder)
            yield Pair(server.name, client.name, seen[0], dict(zip(urls, seen[1:], strict=True)), actions)
