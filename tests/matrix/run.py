"""One server bare and behind the gateway, with one and three replicas, and the results of each client with the
three."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.matrix.clients import Client, Seen, Target
from tests.matrix.servers import Action, Server
from tests.servers.gateway import Gateway, pool_toml, urls_of
from tests.servers.process import HOST, ServerProcess, free_port, serving

REPLICAS = (1, 3)

#: Seconds for servers, and the gateways that wait for them, to start.
START = 180.0


#: Stands for an action, or a member, that one side does not have.
NOTHING: Final = object()


@dataclass
class Pair:
    """The results of one client with one server: bare, and behind so many replicas."""

    server: str
    client: str
    bare: Seen
    through: dict[int, Seen] = field(default_factory=dict)
    actions: Sequence[Action] = ()

    @property
    def differences(self) -> list[str]:
        """A line for each place in which a client saw something else through the gateway, first the number of replicas.

        If the bare server gives no connection and the gateway does, there is nothing to compare the rest with: it is
        compared between the numbers of replicas.
        """
        connects = [index for index, action in enumerate(self.actions) if action[0] == "connect"]
        first = next(iter(self.through.values()), [])
        lines = []
        for count, seen in self.through.items():
            standard = self.bare
            if self.fails_bare and connects and not fails(seen):
                standard = [self.bare[n] if n in connects else first[n] for n in range(min(len(first), len(self.bare)))]
            lines += [f"{count}: {line}" for line in compare(self.actions, standard, seen)]
        return lines

    @property
    def fails_bare(self) -> bool:
        """Whether the client does not even connect to the bare server."""
        return fails(self.bare)


def fails(seen: Seen) -> bool:
    """Whether a client did not connect."""
    return not seen or "error" in seen[0]


def version(seen: Seen) -> str | None:
    """The version of the protocol that a client and its target agreed to; None if they did not."""
    if fails(seen):
        return None
    hello = seen[0].get("result") or {}
    found: str | None = hello.get("protocol") or hello.get("protocolVersion")
    return found


def compare(actions: Sequence[Action], bare: Seen, through: Seen) -> list[str]:
    """A line for each place in which two runs saw an action differently."""
    differences = []
    for index in range(max(len(bare), len(through))):
        one, other = (seen[index] if index < len(seen) else NOTHING for seen in (bare, through))
        what = " ".join(str(word) for word in actions[index][:2]) if index < len(actions) else "afterwards"
        differences += [f"{what}: {place}" for place in _places(one, other)]
    return differences


def _places(one: Any, other: Any, path: str = "") -> Iterator[str]:
    """The places in which two values differ, and how."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in [*one, *(key for key in other if key not in one)]:
            inner = f"{path}.{key}" if path else key
            if (key in one) != (key in other):
                shown = (_short(side.get(key, NOTHING)) for side in (one, other))
                yield "{}: bare {}, through the gateway {}".format(inner, *shown)
            else:
                yield from _places(one[key], other[key], inner)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, (mine, theirs) in enumerate(zip(one, other, strict=True)):
            yield from _places(mine, theirs, f"{path}[{index}]")
    elif one != other:
        yield f"{path}: bare {_short(one)}, through the gateway {_short(other)}"


def _short(value: Any) -> str:
    text = "nothing" if value is NOTHING else json.dumps(value, ensure_ascii=False)
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
        """Whether the port has a listener."""
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
            processes = [_process(server, folder, f"r{n}") for n in range(max(replicas))]
            stack.enter_context(serving(*processes))
            bare = processes[0].url
            pools = {count: pool_toml(*urls_of(processes[:count])) for count in replicas}
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
    """The results of each client with the server."""
    with prepared() as folder, _running(server, folder, replicas) as (bare, urls):
        actions = _filled(server.actions(), folder)
        for client in clients:
            seen = client.see([bare, *urls.values()], actions, folder)
            yield Pair(server.name, client.name, seen[0], dict(zip(urls, seen[1:], strict=True)), actions)
