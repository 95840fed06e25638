"""Asks the other gateways of the same pools for their pages (`metrics.gateways`), for one page of all."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import msgspec

from mcppool.observe.bearer_token import read_token
from mcppool.observe.history.history import History
from mcppool.observe.history.slots import GatewaySlot
from mcppool.observe.problems import DEGRADED, problems

Body = dict[str, Any]
Merge = Callable[[Sequence[tuple[str, Body]]], Body]

PATIENCE: Final = 2.0
"""Seconds in which a gateway must answer."""

MAX_GATEWAYS: Final = 64
"""Upper bound on the gateways that are asked."""

MAX_BODY: Final = 32 << 20
"""Upper bound on the bytes of an answer."""

OWN: Final = "this gateway"


@dataclass(frozen=True, slots=True)
class Address:
    """One gateway: the URL of its admin port, and the `Host` of requests to it."""

    url: str
    host: str


class OtherGateways:
    """The gateways at the addresses that `urls` gives. Every address of a host name is one; the own one may be among
    them, and `instance` tells it. `merge` makes one status page of several."""

    def __init__(
        self, urls: Callable[[], Sequence[str]], merge: Merge, instance: str, token_file: str | None = None
    ) -> None:
        self._urls = urls
        self._merge = merge
        self._instance = instance
        self._token_file = token_file
        self._history = History()
        self._mine: set[str] = set()  # addresses of this gateway
        self._taken: dict[str, int] = {}  # by instance: the newest slot that the history has
        self._asked: dict[str, int] = {}  # by address: the newest slot that came from there

    @property
    def configured(self) -> bool:
        """Whether there are addresses."""
        return bool(self._urls())

    async def status(self, own: Body) -> Body:
        """The status page of all. `own` is that of this gateway. `gateways` tells about each one."""
        answers = await self._ask(lambda _: "/status.json")
        lines, pages, seen = [_line(OWN, own)], [(OWN, own)], {self._instance}
        for address, page in answers:
            if isinstance(page, str):
                lines.append({"address": address, "answers": False, "why": page})
            elif page["instance"] not in seen:
                seen.add(page["instance"])
                lines.append(_line(address, page))
                pages.append((address, page))
        whole = {**self._merge(pages), "instance": self._instance, "gateways": lines}
        silent = [
            {"severity": DEGRADED, "pool": None, "name": line["address"], "since": None, "what": line["why"]}
            for line in lines
            if not line["answers"]
        ]
        return {**whole, "problems": problems(whole) + silent}

    async def history(self, own: Sequence[GatewaySlot]) -> History:
        """The history of all. `own` are the slots of this gateway."""
        self._take(self._instance, own)
        for address, page in await self._ask(lambda address: f"/slots.json?after={self._asked.get(address, 0)}"):
            if isinstance(page, str):
                continue
            try:
                slots = msgspec.convert(page["slots"], list[GatewaySlot])
            except (LookupError, msgspec.ValidationError):
                continue  # a gateway of another version
            self._take(str(page["instance"]), slots)
            if slots:
                self._remember(self._asked, address, slots[-1].number)
        return self._history

    def _take(self, instance: str, slots: Sequence[GatewaySlot]) -> None:
        known = self._taken.get(instance, -1)
        for slot in slots:
            if slot.number > known:
                self._history.add(slot)
                known = slot.number
        self._remember(self._taken, instance, known)

    def _remember(self, numbers: dict[str, int], key: str, number: int) -> None:
        numbers.pop(key, None)
        numbers[key] = number
        if len(numbers) > 4 * MAX_GATEWAYS:  # pods come and go
            del numbers[next(iter(numbers))]

    async def _ask(self, path: Callable[[str], str]) -> list[tuple[str, Body | str]]:
        """The answer of each gateway, or the reason why there is none, with its address."""
        addresses, found = await self._addresses()
        headers = {}
        if self._token_file is not None:
            try:
                headers = {"Authorization": f"Bearer {read_token(self._token_file).decode()}"}
            except (OSError, ValueError):
                pass  # the answers tell
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE), headers=headers) as session:
            answers = await asyncio.gather(*(_answer(session, address, path(address.url)) for address in addresses))
        for address, answer in zip(addresses, answers, strict=True):
            if isinstance(answer, dict) and answer["instance"] == self._instance:
                self._mine.add(address.url)
            else:
                found.append((address.url, answer))
        return found

    async def _addresses(self) -> tuple[list[Address], list[tuple[str, Body | str]]]:
        """The gateways, and the host names without an address."""
        addresses: dict[str, Address] = {}
        failed: list[tuple[str, Body | str]] = []
        loop = asyncio.get_running_loop()
        for url in self._urls():
            parts = urlsplit(url)
            port = parts.port or (443 if parts.scheme == "https" else 80)
            if parts.scheme == "https":  # the certificate has the name
                addresses[url] = Address(url, parts.netloc)
                continue
            try:
                async with asyncio.timeout(PATIENCE):
                    infos = await loop.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
            except (OSError, UnicodeError) as error:  # a name may be none that DNS knows
                why = getattr(error, "strerror", None) or str(error) or f"no answer within {PATIENCE:.0f} s"
                failed.append((url, f"its name has no address: {why}"))
                continue
            for *_, pair in infos:
                host = f"[{pair[0]}]" if ":" in str(pair[0]) else pair[0]
                addresses.setdefault(f"http://{host}:{port}", Address(f"http://{host}:{port}", parts.netloc))
        others = [address for url, address in addresses.items() if url not in self._mine]
        return others[:MAX_GATEWAYS], failed


def _line(address: str, page: Body) -> Body:
    """A gateway that answers, in a few words."""
    return {
        "address": address,
        "answers": True,
        "overall": page["health"]["overall"],
        "zone": page["zone"],
        "version": page["version"],
        "hash": page["config"]["hash"],
        "startedAt": page["startedAt"],
        "callsPerSecond": round(sum(pool["callsPerSecond"] for pool in page["pools"]), 2),
    }


async def _answer(session: aiohttp.ClientSession, address: Address, path: str) -> Body | str:
    try:
        async with session.get(address.url + path, headers={"Host": address.host}) as response:
            if response.status != 200:
                return f"HTTP {response.status}"
            data = await response.content.readexactly(response.content_length or 0) if _small(response) else b""
            body = msgspec.json.decode(data)
    except TimeoutError:
        return f"no answer within {PATIENCE:.0f} s"
    except (aiohttp.ClientError, OSError, ValueError, asyncio.IncompleteReadError) as error:
        return str(error) or type(error).__name__
    return body if isinstance(body, dict) and "instance" in body else "this is not a gateway of this version"


def _small(response: aiohttp.ClientResponse) -> bool:
    return response.content_length is not None and response.content_length <= MAX_BODY
