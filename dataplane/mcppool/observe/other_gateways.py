"""Asks the other gateways of the same pools for their pages (`metrics.gateways`), for one page of all."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from typing import Any, Final

import aiohttp
import msgspec

from mcppool.observe.bearer_token import read_token
from mcppool.observe.gateway_addresses import PATIENCE, Address, addresses_of, of_a_silent_family
from mcppool.observe.history.history import History
from mcppool.observe.history.slots import GatewaySlot
from mcppool.observe.problems import DEGRADED, problems
from mcppool.tls_failure import tls_failure

Body = dict[str, Any]
Merge = Callable[[Sequence[tuple[str, Body]]], Body]

MAX_GATEWAYS: Final = 64
"""Upper bound on the addresses that are asked."""

MAX_BODY: Final = 32 << 20
"""Upper bound on the bytes of an answer."""

OWN: Final = "this gateway"


class OtherGateways:
    """The gateways at the addresses that `urls` gives: every address of a host name; the own ones may be among them.
    Each gateway counts once, by the `instance` that it names, whatever addresses it has. `merge` makes one status page
    of several."""

    def __init__(
        self, urls: Callable[[], Sequence[str]], merge: Merge, instance: str, token_file: str | None = None
    ) -> None:
        self._urls = urls
        self._merge = merge
        self._instance = instance
        self._token_file = token_file
        self._history = History()
        self._trust: ssl.SSLContext | None = None  # made for the first address of HTTPS
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
        """The answers of the other gateways with their addresses, and the addresses without one, with the reason."""
        addresses, nameless = await addresses_of(self._urls())
        addresses = addresses[:MAX_GATEWAYS]
        headers = {}
        if self._token_file is not None:
            try:
                headers = {"Authorization": f"Bearer {read_token(self._token_file).decode()}"}
            except (OSError, ValueError):
                pass  # the answers tell
        trust: ssl.SSLContext | bool = True
        if any(address.server_hostname is not None for address in addresses):
            if self._trust is None:
                self._trust = await asyncio.to_thread(ssl.create_default_context)
            trust = self._trust
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE), headers=headers) as session:
            answers = await asyncio.gather(
                *(_answer(session, address, path(address.url), trust) for address in addresses)
            )
        answering = {address for address, answer in zip(addresses, answers, strict=True) if isinstance(answer, dict)}
        return [
            *nameless,
            *(
                (address.url, answer)
                for address, answer in zip(addresses, answers, strict=True)
                if not (isinstance(answer, dict) and answer["instance"] == self._instance)
                and (address in answering or not of_a_silent_family(address, answering))
            ),
        ]


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


async def _answer(
    session: aiohttp.ClientSession, address: Address, path: str, trust: ssl.SSLContext | bool
) -> Body | str:
    try:
        async with session.get(
            address.url + path, headers={"Host": address.host}, server_hostname=address.server_hostname, ssl=trust
        ) as response:
            if response.status != 200:
                return f"HTTP {response.status}"
            data = await response.content.readexactly(response.content_length or 0) if _small(response) else b""
            body = msgspec.json.decode(data)
    except TimeoutError:
        return f"no answer within {PATIENCE:.0f} s"
    except (aiohttp.ClientError, OSError, ValueError, asyncio.IncompleteReadError) as error:
        return tls_failure(error) or str(error) or type(error).__name__
    return body if isinstance(body, dict) and "instance" in body else "this is not a gateway of this version"


def _small(response: aiohttp.ClientResponse) -> bool:
    return response.content_length is not None and response.content_length <= MAX_BODY
