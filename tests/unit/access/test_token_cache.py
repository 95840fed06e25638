"""The cache of verified tokens is bounded, in entries and in bytes."""

from __future__ import annotations

import pytest

from mcppool.access import token_cache
from mcppool.access.token_cache import MAX_BYTES, TokenCache
from mcppool.policy.principal import Principal


def name(number: int) -> bytes:
    return number.to_bytes(4, "big")


def test_the_oldest_go_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_cache, "MAX_TOKENS", 3)
    cache = TokenCache(60.0)
    for number in range(5):
        cache.keep(name(number), 100, Principal(str(number)), 0.0)
    assert [cache.get(name(number), 1.0) is not None for number in range(5)] == [False, False, True, True, True]


def test_large_tokens_do_not_fill_the_memory() -> None:
    cache = TokenCache(60.0)
    for number in range(1000):
        cache.keep(name(number), 16_000, Principal(str(number)), 0.0)
    assert len(cache) > 100
    assert cache.size <= MAX_BYTES
    for number in range(1000):
        cache.get(name(number), 61.0)
    assert (len(cache), cache.size) == (0, 0)


def test_a_token_that_is_kept_again_counts_once() -> None:
    cache = TokenCache(60.0)
    for _ in range(5):
        cache.keep(name(1), 100, Principal("a"), 0.0)
    size = cache.size
    cache.clear()
    assert cache.size == 0
    cache.keep(name(1), 100, Principal("a"), 0.0)
    assert cache.size == size


def test_what_has_expired_is_not_kept() -> None:
    cache = TokenCache(60.0)
    cache.keep(name(1), 100, Principal("a", expires_at=10.0), 10.0)
    assert len(cache) == 0
