"""The history: what it keeps, for how long, and how much of it."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from mcppool.observe.history import history as module
from mcppool.observe.history.history import SLOTS, History
from mcppool.observe.history.history_json import history_body
from mcppool.observe.history.slots import (
    POOL_COUNTS,
    TOOL_COUNTS,
    TOOL_WIDTH,
    EndpointSlot,
    GatewaySlot,
    PoolSlot,
    ToolSlot,
)
from mcppool.observe.labels import OTHER

URL = "http://127.0.0.1:8001/mcp"


def tool(success: int = 0, error: int = 0, *, bucket: int = 2, breaker: int = 0, **reasons: int) -> ToolSlot:
    """A slot with these calls, all of them in one bucket."""
    counts = [0] * TOOL_WIDTH
    counts[TOOL_COUNTS.index("success")] = success
    counts[TOOL_COUNTS.index("error")] = error
    counts[len(TOOL_COUNTS) + bucket] = success + error
    return ToolSlot(counts, breaker, reasons)


def slot(number: int, tools: dict[str, ToolSlot], *endpoints: EndpointSlot, name: str = "search") -> GatewaySlot:
    """A slot of one pool whose calls are those of its tools."""
    totals = [sum(column) for column in zip([0] * TOOL_WIDTH, *(each.counts for each in tools.values()), strict=True)]
    calls = totals[0] + totals[2]
    own = dict.fromkeys(POOL_COUNTS, 0) | {"calls": calls, "failed": totals[2], "modern": calls}
    return GatewaySlot(
        number,
        10.0,
        {name: PoolSlot([*own.values(), *totals], tools, {f"{URL}/{at}": each for at, each in enumerate(endpoints)})},
    )


def body(history: History, after: int | None = None, *, series: bool = True) -> dict[str, Any]:
    """The history as JSON."""
    *_, found = history_body(history, after, series=series)
    assert found is not None
    return found


def test_before_the_first_slot_there_is_nothing() -> None:
    assert body(History()) == {
        "slotSeconds": 10, "newest": None, "first": None, "seconds": [], "covered": 0, "pools": [],
    }  # fmt: skip


def test_a_slot_is_told_with_its_rate_its_errors_and_its_quantiles() -> None:
    history = History()
    history.add(slot(100, {"find": tool(8, 2, timeout=2)}, EndpointSlot("ejected", 10, 2, 0.25)))
    found = body(history)
    assert (found["newest"], found["covered"]) == (100, 10.0)
    (pool,) = found["pools"]
    assert pool["summary"]["calls"] == 10
    assert pool["summary"]["failed"] == 2
    assert pool["summary"]["eras"] == {"modern": 10, "legacy": 0}
    assert pool["series"]["calls"][-1] == 10
    assert pool["series"]["failed"][-1] == 2
    assert 0.005 <= pool["series"]["p99"][-1] <= 0.01
    assert pool["series"]["p50"][-2] is None
    (line,) = pool["tools"]
    assert line["summary"]["reasons"] == {"timeout": 2}
    assert (line["series"]["calls"][-1], line["series"]["failed"][-1]) == (10, 2)
    (endpoint,) = pool["endpoints"]
    assert endpoint["summary"] == {"attempts": 10, "failures": 2, "share": 1.0}
    assert endpoint["series"]["state"][-2:] == [None, "ejected"]
    assert endpoint["series"]["latency"][-1] == 0.25
    assert all(len(values) == SLOTS for values in (*pool["series"].values(), *line["series"].values()))


def test_a_slot_is_forgotten_after_ten_minutes() -> None:
    history = History()
    history.add(slot(100, {"find": tool(3, 1, timeout=1)}, EndpointSlot("available", 4, 1, 0.1)))
    history.add(slot(100 + SLOTS - 1, {"other tool": tool(1)}))
    assert [line["name"] for line in body(history)["pools"][0]["tools"]] == ["find", "other tool"]
    history.add(slot(100 + SLOTS, {"other tool": tool(1)}))
    (pool,) = body(history)["pools"]
    assert [line["name"] for line in pool["tools"]] == ["other tool"]
    assert pool["endpoints"] == []
    assert pool["summary"]["calls"] == 2
    history.add(GatewaySlot(100 + 3 * SLOTS, 10.0, {}))
    assert body(history)["pools"] == []


def test_slots_in_which_the_process_stood_still_are_gaps() -> None:
    history = History()
    history.add(slot(100, {"find": tool(1)}))
    history.add(slot(103, {"find": tool(5)}))
    assert body(history)["seconds"][-4:] == [10.0, 0.0, 0.0, 10.0]


def test_a_slot_of_the_past_is_left_out_and_one_of_a_moment_ago_is_added() -> None:
    history = History()
    history.add(slot(200, {"find": tool(1)}))
    history.add(slot(199, {"find": tool(2)}))
    history.add(slot(200 - SLOTS, {"find": tool(99)}))
    assert body(history)["pools"][0]["series"]["calls"][-3:] == [0, 2, 1]
    assert body(history)["pools"][0]["summary"]["calls"] == 3


def test_the_same_slot_of_several_processes_is_added_up_and_the_worst_state_counts() -> None:
    history = History()
    history.add(slot(100, {"find": tool(3, breaker=0)}, EndpointSlot("available", 3, 0, 0.1)))
    history.add(slot(100, {"find": tool(1, 1, breaker=2, timeout=1)}, EndpointSlot("ejected", 1, 1, 0.5)))
    (pool,) = body(history)["pools"]
    assert pool["series"]["calls"][-1] == 5
    assert pool["tools"][0]["series"]["breaker"][-1] == 2
    assert pool["endpoints"][0]["series"]["state"][-1] == "ejected"
    assert pool["endpoints"][0]["series"]["latency"][-1] == 0.2  # the mean of the attempts


def test_a_reader_gets_only_the_slots_that_it_has_not_seen() -> None:
    history = History()
    for number in range(100, 105):
        history.add(slot(number, {"find": tool(number - 99)}))
    found = body(history, after=102)
    assert (found["first"], found["newest"]) == (103, 104)
    assert found["pools"][0]["series"]["calls"] == [4, 5]
    assert found["pools"][0]["summary"]["calls"] == 15
    none = body(history, after=104)
    assert (none["first"], none["pools"][0]["series"]["calls"]) == (None, [])
    assert body(history, after=10**14)["seconds"] == []
    assert len(body(history, after=0)["seconds"]) == SLOTS
    assert body(history, series=False)["pools"][0]["tools"][0]["series"]["calls"] == []


def test_more_tools_than_the_bound_share_a_row() -> None:
    history = History()
    many = {f"tool{number}": tool(1) for number in range(module.MAX_TOOLS + 50)}
    history.add(slot(100, many))
    history.add(slot(101, many, name="second"))
    first, second = body(history)["pools"]
    assert len(first["tools"]) == module.MAX_TOOLS + 1
    assert {line["name"]: line["summary"]["toolCalls"] for line in first["tools"]}[OTHER] == 50
    assert [line["name"] for line in second["tools"]] == [OTHER]
    assert second["tools"][0]["summary"]["toolCalls"] == module.MAX_TOOLS + 50
    assert first["summary"]["calls"] == module.MAX_TOOLS + 50


def test_more_endpoints_than_the_bound_have_no_row() -> None:
    history = History()
    history.add(slot(100, {}, *[EndpointSlot("available", 1, 0, 0.1)] * (module.MAX_ENDPOINTS + 5)))
    assert len(body(history)["pools"][0]["endpoints"]) == module.MAX_ENDPOINTS


def test_the_row_of_a_tool_takes_a_few_kilobytes_however_busy_it_is() -> None:
    history = History()
    for number in range(100, 100 + 2 * SLOTS):
        history.add(slot(number, {"find": tool(10**9, 10**9, timeout=10**9, upstream_error=1)}))
    row = history.pools["search"].tools["find"]
    cells = [row.counts, *row.reasons.values()]
    assert sum(each.size for each in cells) < 6_000


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 50)), max_size=60))
def test_the_sums_are_those_of_the_slots_that_are_kept(calls: list[tuple[int, int]]) -> None:
    history = History()
    for number, count in calls:
        history.add(slot(1000 + number, {"find": tool(count)}))
    found = body(history)
    for pool in found["pools"]:
        assert sum(pool["series"]["calls"]) == pool["summary"]["calls"]
        for line in pool["tools"]:
            assert sum(line["series"]["calls"]) == line["summary"]["toolCalls"]


def test_a_slot_is_the_same_after_it_went_to_another_process() -> None:
    made = slot(100, {"find": tool(3, 1, breaker=1, timeout=1)}, EndpointSlot("busy", 4, 1, 0.5))
    sent = msgspec.msgpack.decode(msgspec.msgpack.encode(["history", made]))[1]
    assert msgspec.convert(sent, GatewaySlot) == made


def test_the_slots_of_a_history_make_an_equal_history() -> None:
    first, second = History(), History()
    for number in (100, 101, 103):
        tools = {"find": tool(number, 1, breaker=1, timeout=1), "fetch": tool(2)}
        first.add(slot(number, tools, EndpointSlot("busy", 4, 1, 0.5), EndpointSlot("available", 4, 1, 0.0)))
    for each in first.slots():
        second.add(each)
    assert body(second) == body(first)
    assert [each.number for each in first.slots(after=101)] == [103]
