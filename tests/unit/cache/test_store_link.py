"""The link to a store: how long it waits before it asks a store again that comes and goes."""

from __future__ import annotations

import asyncio

import pytest

from mcppool.cache import store_link
from mcppool.cache.store_link import StoreLink
from mcppool.wire.sealing import Key, KeyRing
from mcppool.wire.vault import Vault
from tests.waiting import until


class Link(StoreLink):
    """To a store that answers checks, unless `refusal` is set, and nothing else."""

    def __init__(self) -> None:
        super().__init__(b"test", {}, KeyRing([Key("k", bytes(32))]), timeout=10.0)
        self.refusal = ""

    def name(self, kind: bytes, key: bytes, vault: Vault | None = None) -> bytes:
        return key

    def kind_of(self, error: Exception) -> str:
        return "timeout" if isinstance(error, TimeoutError) else "other"

    async def check(self) -> None:
        if self.refusal:
            raise OSError(self.refusal)

    async def disconnect(self) -> None:
        pass

    async def fail(self) -> None:
        """One operation that fails, and the time until the store is used again."""

        async def operation() -> None:
            raise OSError("no table")

        await self.attempt(operation)
        await until(lambda: self.trouble is None, "it is used again")


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of the try before each wait; none takes long."""
    seen: list[int] = []

    def wait(tries: int, base: float, most: float) -> float:
        seen.append(tries)
        return 0.0

    monkeypatch.setattr(store_link, "exponential", wait)
    return seen


async def test_the_waits_grow_while_a_store_comes_and_goes_and_begin_anew_after_it_has_worked_for_long(
    waits: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    link = Link()
    for _ in range(4):
        await link.fail()
    assert waits == [1, 2, 3, 4]
    monkeypatch.setattr(store_link, "REVIVE_MAX", 0.0)  # any time is long
    await link.fail()
    assert waits == [1, 2, 3, 4, 1]
    await link.close()


async def test_the_reason_is_that_of_the_latest_check_and_is_reported_once(waits: list[int]) -> None:
    link = Link()
    reported: list[str | None] = []
    link.reports.append(reported.append)
    link.refusal = "wrong password"
    failing = asyncio.create_task(link.fail())
    await until(lambda: link.trouble == "wrong password", "the check says why")
    link.refusal = ""
    await failing
    assert reported == ["no table", None]
    await link.close()
