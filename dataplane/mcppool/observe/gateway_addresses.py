"""The addresses of the gateways that `metrics.gateways` names."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

PATIENCE: Final = 2.0
"""Seconds in which a name must have addresses, and a gateway must answer."""


@dataclass(frozen=True, slots=True)
class Address:
    """One address of a gateway: the URL of its admin port there, the `Host` of requests to it, and the name in its
    certificate, None for plain HTTP.

    `of` are the configured URL and the address family. A gateway may have an address in each family.
    """

    url: str
    host: str
    server_hostname: str | None
    of: tuple[str, int]


async def addresses_of(urls: Sequence[str]) -> tuple[list[Address], list[tuple[str, str]]]:
    """Each address of each host name once, and the URLs whose name has no address, with the reason."""
    found: dict[str, Address] = {}
    nameless: list[tuple[str, str]] = []
    for url in urls:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            async with asyncio.timeout(PATIENCE):
                of_name = await look_up(parts.hostname or "", port)
        except (OSError, UnicodeError) as error:  # a name may be none that DNS knows
            why = getattr(error, "strerror", None) or str(error) or f"no answer within {PATIENCE:.0f} s"
            nameless.append((url, f"its name has no address: {why}"))
            continue
        name = parts.hostname if parts.scheme == "https" else None
        for family, ip in of_name:
            at = f"{parts.scheme}://{f'[{ip}]' if family == socket.AF_INET6 else ip}:{port}"
            found.setdefault(at, Address(at, parts.netloc, name, (url, family)))
    return list(found.values()), nameless


async def look_up(name: str, port: int) -> list[tuple[int, str]]:
    """The addresses of a name, with the family of each. Raises OSError or UnicodeError if it has none."""
    infos = await asyncio.get_running_loop().getaddrinfo(name, port, type=socket.SOCK_STREAM)
    return [(family, str(pair[0])) for family, *_, pair in infos]


def of_a_silent_family(address: Address, answering: Collection[Address]) -> bool:
    """Whether only the other family of the name answers. Then no gateway listens in this family, and each one is seen
    at its other address."""
    url, family = address.of
    families = {other.of[1] for other in answering if other.of[0] == url}
    return bool(families) and family not in families
