"""`make bench-cache`: hit rate of the memory cache, and the cost of a hit in each store.

A trace of calls over `--keys` keys, with popularities by Zipf's law, goes through the store of the gateway and through
an ideal LRU of the same size, which knows only the order of the calls. Both rates come from this run.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from bisect import bisect
from collections import OrderedDict
from itertools import accumulate

from bench import stores
from mcppool.cache.memory import MemoryStore
from mcppool.cache.store import CachedAnswer
from mcppool.policy.cache_rules import canonical, key_of, subject_of, tool_rule
from mcppool.spec import CacheSpec

ALLOWED_GAP = 0.02  # between our hit rate and that of the ideal LRU
ALL_FITS = 0.95  # the lowest hit rate if every key has room

ANSWER = b'{"content":[{"type":"text","text":"%b"}],"isError":false,"resultType":"complete"}' % (b"x" * 300)


def zipf(keys: int, calls: int, exponent: float, rng: random.Random) -> list[int]:
    """That many draws of 0 … keys - 1, number k with a probability in proportion to 1 / (k + 1) ** exponent."""
    weights = list(accumulate((k + 1) ** -exponent for k in range(keys)))
    return [bisect(weights, rng.random() * weights[-1]) for _ in range(calls)]


def ideal(trace: list[int], size: int) -> float:
    """The hit rate of a least-recently-used cache of `size` entries."""
    kept: OrderedDict[int, None] = OrderedDict()
    hits = 0
    for key in trace:
        if key in kept:
            hits += 1
            kept.move_to_end(key)
        else:
            kept[key] = None
            if len(kept) > size:
                kept.popitem(last=False)
    return hits / len(trace)


async def ours(trace: list[int], size: int) -> tuple[float, float, float]:
    """Our hit rate; average nanoseconds for making a key, and for a look-up with a put after a miss."""
    rule = tool_rule(CacheSpec(), 3600.0)
    assert rule is not None
    store = MemoryStore(size, 1 << 30, {})
    hits = 0
    keying = looking = 0
    clock = time.perf_counter_ns
    for number in trace:
        body = (
            b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search",'
            b'"arguments":{"query":"words %d","limit":10,"filters":{"language":"en"}}}}' % number
        )
        began = clock()
        subject = subject_of(body, rule, "modern", "2026-07-28")
        assert subject is not None
        key = key_of(subject, "anonymous", b"accept: application/json\r\nmcp-method: tools/call\r\n")
        keyed = clock()
        found = await store.get(key, subject.tag)
        if found.fresh:
            hits += 1
        else:
            store.put(key, subject.tag, CachedAnswer(ANSWER, rule.ttl), found.mark)
        keying += keyed - began
        looking += clock() - keyed
    return hits / len(trace), keying / len(trace), looking / len(trace)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=1000, help="different calls")
    parser.add_argument("--size", type=int, default=300, help="entries that the cache may hold")
    parser.add_argument("--calls", type=int, default=100_000, help="length of the trace")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--memory-only", action="store_true", help="without Redis, SQLite and PostgreSQL")
    options = parser.parse_args()
    print(f"{options.calls:,} calls over {options.keys:,} keys\n")
    print("| Zipf exponent | entries | ideal LRU | mcppool | gap, points | key, µs | look and put, µs |")
    print("|---|---|---|---|---|---|---|")
    passed = True
    for exponent in (0.8, 1.0, 1.2):
        trace = zipf(options.keys, options.calls, exponent, random.Random(options.seed))
        for size in (options.size, options.keys):
            best = ideal(trace, size)
            rate, keying, looking = asyncio.run(ours(trace, size))
            passed = passed and best - rate <= ALLOWED_GAP and (size < options.keys or rate >= ALL_FITS)
            cells = [f"{exponent}", f"{size:,}", f"{best:.1%}", f"{rate:.1%}", f"{100 * (best - rate):.2f}"]
            print("| " + " | ".join([*cells, f"{keying / 1e3:.1f}", f"{looking / 1e3:.1f}"]) + " |")
    arguments = b'{"query":"words","limit":10,"filters":{"language":"en","since":"2026-01-01"}}'
    began = time.perf_counter_ns()
    for _ in range(10_000):
        canonical(arguments)
    print(f"\nOne spelling of {len(arguments)} bytes of arguments: {(time.perf_counter_ns() - began) / 1e7:.1f} µs")
    if not options.memory_only:
        stores.report()
    if not passed:
        print(
            f"bench: more than {ALLOWED_GAP:.0%} behind the ideal LRU, or under {ALL_FITS:.0%} where all fits",
            file=sys.stderr,
        )
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
