"""The store in memory: bounded, least recently used out first, with expiry that touches only entries that are due."""

from __future__ import annotations

import sys
import tracemalloc
from collections import OrderedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcppool.cache.memory import ENTRY_OVERHEAD, MemoryStore
from mcppool.cache.store import CachedAnswer
from mcppool.policy.memory_budget import MemoryBudget

BIG = 1 << 30


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def store(max_size: int = 100, max_bytes: int = BIG) -> tuple[MemoryStore, Clock, dict[str, int]]:
    clock, evictions = Clock(), dict[str, int]()
    return MemoryStore(max_size, max_bytes, evictions, clock), clock, evictions


async def put(kept_in: MemoryStore, key: bytes, result: bytes = b"{}", ttl: float = 60.0, **more: object) -> None:
    found = await kept_in.get(key, "t")
    kept_in.put(key, str(more.get("tag", "t")), CachedAnswer(result, ttl, float(str(more.get("stale", 0)))), found.mark)


async def test_an_answer_is_found_with_its_age_until_it_has_expired() -> None:
    memory, clock, evictions = store()
    await put(memory, b"k", b'{"a":1}', ttl=10)
    clock.now += 9
    found = await memory.get(b"k", "t")
    assert (found.kept, found.age, found.fresh) == (CachedAnswer(b'{"a":1}', 10.0), 9.0, True)
    clock.now += 1
    assert (await memory.get(b"k", "t")).kept is None
    assert evictions == {"expired": 1}


async def test_an_expired_answer_is_held_for_its_stale_time_and_is_not_fresh() -> None:
    memory, clock, _ = store()
    await put(memory, b"k", ttl=10, stale=10)
    clock.now += 15
    found = await memory.get(b"k", "t")
    assert found.kept is not None
    assert not found.fresh
    clock.now += 5
    assert (await memory.get(b"k", "t")).kept is None


async def test_the_number_of_entries_is_bounded_and_the_least_recently_used_goes_first() -> None:
    memory, _, evictions = store(max_size=3)
    for key in (b"a", b"b", b"c"):
        await put(memory, key)
    await memory.get(b"a", "t")
    await put(memory, b"d")
    assert [bool((await memory.get(key, "t")).kept) for key in (b"a", b"b", b"c", b"d")] == [True, False, True, True]
    assert evictions == {"size": 1}


async def test_bytes_are_bounded_and_what_is_larger_than_all_of_them_is_not_kept() -> None:
    memory, _, evictions = store(max_bytes=10 * (1001 + ENTRY_OVERHEAD))
    for n in range(30):
        await put(memory, b"%d" % n, b"x" * 1000)
        assert memory.size <= 10 * (1001 + ENTRY_OVERHEAD)
    assert len(memory) == 10
    assert evictions == {"bytes": 20}
    await put(memory, b"large", b"x" * 20_000)
    assert len(memory) == 10


async def steps(memory: MemoryStore, keys: range) -> float:
    """How many functions one look with a miss and a put takes, Python's and C's, on average."""
    count = 0

    def called(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(called)
    try:
        for n in keys:
            await put(memory, b"%d" % n)
    finally:
        sys.setprofile(None)
    return count / len(keys)


async def test_a_full_store_takes_as_many_steps_for_an_answer_however_many_it_holds() -> None:
    found = {}
    for size in (100, 10_000):
        memory, _, _ = store(max_size=size)
        for n in range(size):
            await put(memory, b"%d" % n)
        found[size] = await steps(memory, range(size, size + 200))
        assert len(memory) == size
    assert found[10_000] == pytest.approx(found[100], rel=0.05)


async def test_the_declared_cost_of_an_entry_is_at_least_its_real_size() -> None:
    memory, _, _ = store(max_size=BIG)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for n in range(2000):
            await put(memory, b"%032d" % n, b"x" * 100 + b"%d" % n, tag=f"resources/read file:///{n}")
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert taken <= memory.size <= 3 * taken


async def test_an_invalidated_tag_takes_its_answers_and_those_under_way_along() -> None:
    memory, _, evictions = store()
    await put(memory, b"a", tag="tools")
    await put(memory, b"b", tag="prompts")
    under_way = await memory.get(b"c", "tools")
    memory.invalidate(("tools",))
    memory.put(b"c", "tools", CachedAnswer(b"{}", 60.0), under_way.mark)
    assert [bool((await memory.get(key, "t")).kept) for key in (b"a", b"b", b"c")] == [False, True, False]
    assert evictions == {"invalidated": 1}


async def test_unused_entries_are_removed_when_they_expire() -> None:
    memory, clock, evictions = store(max_size=5000)
    for n in range(2500):
        await put(memory, b"%d" % n, ttl=5)
    await put(memory, b"stays", ttl=500)
    sweeps = 0
    clock.now += 7
    while len(memory) > 1:
        sweeps += 1
        memory.sweep(clock.now)
        assert sweeps < 10
    assert sweeps > 1, "one sweep does not do it all, for calls wait meanwhile"
    assert evictions == {"expired": 2500}
    assert memory.size == ENTRY_OVERHEAD + 3, "its result and its tag"
    clock.now += 500
    memory.sweep(clock.now)
    assert (len(memory), memory.size) == (0, 0)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("put"), st.integers(0, 9), st.integers(1, 20)),
            st.tuples(st.just("get"), st.integers(0, 9), st.just(0)),
            st.tuples(st.just("wait"), st.integers(1, 9), st.just(0)),
            st.tuples(st.just("invalidate"), st.integers(0, 2), st.just(0)),
        ),
        max_size=60,
    ),
    st.integers(1, 6),
)
async def test_it_behaves_like_a_simple_model(steps: list[tuple[str, int, int]], size: int) -> None:
    memory, clock, _ = store(max_size=size)
    model: OrderedDict[int, tuple[float, str]] = OrderedDict()
    for what, number, ttl in steps:
        if what == "put":
            await put(memory, b"%d" % number, ttl=ttl, tag=str(number % 3))
            model.pop(number, None)
            model[number] = (clock.now + ttl, str(number % 3))
            while len(model) > size:
                model.popitem(last=False)
        elif what == "get":
            found = await memory.get(b"%d" % number, "t")
            if number in model and model[number][0] <= clock.now:
                del model[number]
            assert (found.kept is not None) == (number in model)
            if number in model:
                model.move_to_end(number)
        elif what == "wait":
            clock.now += number
            memory.sweep(clock.now)
            model = OrderedDict((k, v) for k, v in model.items() if int(v[0]) + 1 > clock.now)
        else:
            memory.invalidate((str(number),))
            model = OrderedDict((k, v) for k, v in model.items() if v[1] != str(number))
        assert len(memory) == len(model)
        assert memory.size == len(model) * (ENTRY_OVERHEAD + 3)


@pytest.mark.parametrize(("age", "left"), [(0.0, b"5000"), (1.5, b"3500"), (9.0, b"0")])
def test_the_hint_of_an_aged_answer_is_its_remaining_lifetime(age: float, left: bytes) -> None:
    kept = CachedAnswer(b'{"tools":[],"ttlMs":5000,"x":1}', 5.0, 5.0, (20, 24))
    assert kept.aged(age) == b'{"tools":[],"ttlMs":%b,"x":1}' % left


async def test_entries_are_charged_with_their_tags_and_given_back() -> None:
    budget = MemoryBudget(1 << 30)
    memory = MemoryStore(100, BIG, {}, account=budget.account("cache"))
    await put(memory, b"k", b"x" * 1000, tag="resources/read x://" + "\u00e9" * 5000)
    assert memory.size == budget.charged > 11_000
    await put(memory, b"k", b"{}")
    assert memory.size == budget.charged < 2000
    await memory.close()
    assert budget.charged == memory.size == len(memory) == 0


async def test_when_memory_is_short_the_least_recently_used_entries_give_way() -> None:
    budget = MemoryBudget(16 << 20)
    evictions: dict[str, int] = {}
    memory = MemoryStore(100, BIG, evictions, account=budget.account("cache"))
    budget.add_reclaimer(memory.give_way)
    for n in range(20):
        await put(memory, b"%d" % n, b"x" * (1 << 20))
    assert len(memory) == 15, "a MiB each, of 16 MiB"
    assert evictions == {"memory": 5}
    assert (await memory.get(b"5", "t")).kept is not None
    assert budget.account("bodies").reserve(10 << 20), "a call is more than what is kept"
    assert len(memory) == 5
    assert (await memory.get(b"5", "t")).kept is not None, "it was used last"
    budget.watch(17 << 20)
    await put(memory, b"new", b"x")
    assert (await memory.get(b"new", "t")).kept is None, "the process is too large"
