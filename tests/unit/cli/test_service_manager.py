"""The messages to systemd, received as systemd does: as datagrams at the socket in `NOTIFY_SOCKET`."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcppool.cli.service_manager import ServiceManager

Manager = tuple[socket.socket, str]


@pytest.fixture(params=["file", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    """The socket of a service manager, and its address in the environment's form."""
    name = f"@mcppool-test-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(f"\0{name[1:]}" if name.startswith("@") else name)
        receiver.settimeout(60)
        yield receiver, name


def test_it_tells_when_the_gateway_serves_and_when_it_stops(systemd: Manager) -> None:
    receiver, address = systemd
    manager = ServiceManager(address)
    manager.ready("serving at 127.0.0.1:8080")
    assert receiver.recv(1000) == b"READY=1\nSTATUS=serving at 127.0.0.1:8080"
    manager.stopping()
    assert receiver.recv(1000) == b"STOPPING=1\nSTATUS=draining"


async def test_a_reload_begins_with_the_time_and_ends_with_ready(systemd: Manager) -> None:
    receiver, address = systemd
    receiver.setblocking(False)
    manager = ServiceManager(address)
    manager.ready("serving")
    receiver.recv(1000)
    over = False
    manager.reloading(lambda: over)
    assert re.fullmatch(rb"RELOADING=1\nMONOTONIC_USEC=\d+", receiver.recv(1000))
    manager.reloading(lambda: over)  # a second signal meanwhile is the same reload
    with pytest.raises(BlockingIOError):
        receiver.recv(1000)
    over = True
    await manager.until_settled()
    assert receiver.recv(1000) == b"READY=1\nSTATUS=serving"
    with pytest.raises(BlockingIOError):
        receiver.recv(1000)


async def test_without_a_manager_or_with_one_that_is_gone_nothing_happens(tmp_path: Path) -> None:
    for address in ("", str(tmp_path / "gone")):
        manager = ServiceManager(address)
        manager.ready("serving")
        manager.reloading(lambda: True)
        await manager.until_settled()
        manager.stopping()
