"""Which `Host` and `Origin` may call."""

from __future__ import annotations

import pytest

from mcppool.gateway.hosts import REMEMBERED, HostPolicy, is_loopback


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.0.0.1:80", "[::1]", "[::1]:80", "127.9.9.9"]
)
def test_on_loopback_its_names_are_served(host: str) -> None:
    assert HostPolicy("127.0.0.1", (), ()).host_allowed(host)


STRANGERS = ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "a:80:80", "", "0x7f.1", "2130706433"]


@pytest.mark.parametrize("host", STRANGERS)
def test_on_loopback_no_other_name_is(host: str) -> None:
    assert not HostPolicy("localhost", (), ()).host_allowed(host)


def test_elsewhere_any_name_is_served_until_some_are_listed() -> None:
    assert HostPolicy("0.0.0.0", (), ()).host_allowed("anything.example")
    listed = HostPolicy("0.0.0.0", ("Pool.example", "other.example:8080"), ())
    assert [listed.host_allowed(h) for h in ("pool.EXAMPLE", "pool.example:443", "other.example:8080")] == [True] * 3
    assert [listed.host_allowed(h) for h in ("other.example", "evil.example", "localhost")] == [False] * 3


def test_a_listed_name_is_served_on_loopback_too() -> None:
    assert HostPolicy("127.0.0.1", ("dev.example",), ()).host_allowed("dev.example:8080")


def test_an_origin_is_the_host_itself_or_listed() -> None:
    policy = HostPolicy("127.0.0.1", (), ("https://app.example/",))
    assert policy.origin_allowed(None, "localhost:80")
    assert policy.origin_allowed("http://LOCALHOST:80", "localhost:80")
    assert policy.origin_allowed("https://app.example", "localhost:80")
    for origin in (
        "http://localhost:81",
        "http://app.example",
        "http://evil.example",
        "null",
        "",
        "http://user@localhost:80",
    ):
        assert not policy.origin_allowed(origin, "localhost:80"), origin


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "http://[x]", "//", "http://\xe9"])
def test_an_origin_that_is_none_is_kept_out_and_breaks_nothing(origin: str) -> None:
    assert not HostPolicy("127.0.0.1", (), ()).origin_allowed(origin, "localhost")


def test_a_star_lets_every_origin_in() -> None:
    assert HostPolicy("127.0.0.1", (), ("*",)).origin_allowed("http://anything.example", "localhost")


def test_strangers_cannot_fill_the_memory() -> None:
    policy = HostPolicy("127.0.0.1", (), ())
    for n in range(2 * REMEMBERED):
        assert not policy.host_allowed(f"h{n}.example")
    assert len(policy._verdicts) <= REMEMBERED
    assert policy.host_allowed("localhost")


def test_loopback_is_told_from_other_addresses() -> None:
    assert [is_loopback(h) for h in ("127.0.0.1", "::1", "[::1]", "localhost")] == [True] * 4
    assert [is_loopback(h) for h in ("0.0.0.0", "10.0.0.1", "::", "example.org", "")] == [False] * 5
