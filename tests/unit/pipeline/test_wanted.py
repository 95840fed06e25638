"""The union of all filters stays small, whatever clients request."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcppool.pipeline.subscriptions.filter import Filter, WatchedTask
from mcppool.pipeline.subscriptions.subscriber import MAX_QUEUED_BYTES, Subscriber
from mcppool.pipeline.subscriptions.union import (
    MAX_FILTER,
    MAX_URI,
    MAX_URIS,
    MAX_WANTED,
    MAX_WANTED_PER_CLIENT,
    FilterUnion,
)
from mcppool.policy.memory_budget import MemoryBudget
from tests.unit.pipeline.pools import Heard, call_of, pool_of

FILTERS = st.builds(
    Filter,
    st.frozensets(st.sampled_from(["tools", "prompts"])),
    st.frozensets(st.sampled_from(["a", "bb", "é", "d"])),
    st.frozensets(st.sampled_from([WatchedTask(b"a", "1"), WatchedTask(b"b", "é")])),
)


@given(st.lists(st.tuples(FILTERS, st.sampled_from(["1", "2"]), st.booleans())))
def test_the_union_is_that_of_the_filters_that_are_in(steps: list[tuple[Filter, str, bool]]) -> None:
    wanted = FilterUnion()
    held: list[tuple[Filter, str]] = []
    for filter, address, leaves in steps:
        if leaves and held:
            wanted.remove(*held.pop())
        else:
            assert wanted.add(filter, address) is None
            held.append((filter, address))
        union = Filter()
        for each, _ in held:
            union = union.union(each)
        assert wanted.union == union
    for filter, address in held:
        wanted.remove(filter, address)
    assert wanted.union.empty
    for address in "12":  # and a former client may have its whole share again
        assert not any(wanted.add(filter, address) for filter in filters(MAX_WANTED_PER_CLIENT, address))


def filters(size: int, mark: str = "") -> list[Filter]:
    """Filters with `size` bytes of different URIs."""
    return [
        Filter(frozenset(), frozenset(f"{mark}{n}-{i}".ljust(MAX_URI, "u") for i in range(MAX_FILTER // MAX_URI)))
        for n in range(size // MAX_FILTER)
    ]


def test_one_address_cannot_keep_the_others_from_listening() -> None:
    wanted = FilterUnion()
    refused = [wanted.add(filter, "loud") for filter in filters(2 * MAX_WANTED)]
    assert refused.count(None) == MAX_WANTED_PER_CLIENT // MAX_FILTER
    assert wanted.add(filters(MAX_FILTER, "quiet")[0], "quiet") is None
    assert wanted.add(Filter(frozenset({"tools"})), "loud") is None, "what takes no room is refused to nobody"


def test_all_together_have_a_limit_in_bytes() -> None:
    wanted = FilterUnion()
    refused = [wanted.add(filter, str(n)) for n, filter in enumerate(filters(2 * MAX_WANTED))]
    assert refused.count(None) == MAX_WANTED // MAX_FILTER
    assert sum(map(len, wanted.union.uris)) <= MAX_WANTED
    assert wanted.add(filters(MAX_FILTER)[0], "x") is None, "what is listened for already costs nothing"


async def listen(uris: list[Any]) -> tuple[int, dict[str, Any]]:
    heard = Heard()
    call = call_of("subscriptions/listen", notifications={"resourceSubscriptions": uris})
    async with asyncio.timeout(60):
        await pool_of("", "a").serve(call, heard)
    return heard.status, json.loads(heard.body)["error"]


@pytest.mark.parametrize(
    ("uris", "said"),
    [
        (["u" * 1_000_000], f"a URI of 1000000 bytes; allowed are {MAX_URI}"),
        (["é" * MAX_URI], f"a URI of {2 * MAX_URI} bytes"),
        ([f"x://{n}" for n in range(MAX_URIS + 1)], f"{MAX_URIS + 1} URIs; allowed are {MAX_URIS}"),
        ([f"{n}".ljust(8000, "u") for n in range(20)], f"160000 bytes of URIs; allowed are {MAX_FILTER}"),
    ],
)
async def test_a_too_large_filter_gets_an_error_with_place_and_limit(uris: list[str], said: str) -> None:
    status, error = await listen(uris)
    assert (status, error["code"]) == (400, -32602)
    assert error["message"].startswith("params.notifications.resourceSubscriptions: ")
    assert said in error["message"]


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        (["i" * 1_000_000], f"an id of 1000000 bytes; allowed are {MAX_URI}"),
        ([f"{n}" for n in range(MAX_URIS + 1)], f"{MAX_URIS + 1} ids; allowed are {MAX_URIS}"),
    ],
)
async def test_too_many_tasks_get_an_error_with_place_and_limit(ids: list[str], said: str) -> None:
    heard = Heard()
    await pool_of("", "a").serve(call_of("subscriptions/listen", notifications={"taskIds": ids}), heard)
    assert json.loads(heard.body)["error"]["message"] == f"params.notifications.taskIds: {said}"


@pytest.mark.parametrize("size", [10, 100_000, 1_000_000])
def test_events_that_wait_for_a_slow_client_are_bounded_in_bytes_and_counted(size: int) -> None:
    account = MemoryBudget().account("streams")
    listener = Subscriber(b"1", Filter(), "", account)
    event = b'{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"%b"}}' % (b"u" * size)
    offered = 0
    while not listener.overflown:
        listener.offer(event)
        offered += 1
    assert 1 < offered <= 1001
    assert account.used == listener.queued <= max(MAX_QUEUED_BYTES, 2 * len(event))
    listener.take()
    listener.close()
    assert (account.used, listener.queued) == (0, 0)
