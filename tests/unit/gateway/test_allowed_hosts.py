"""The `Host` and `Origin` values that are served."""

from __future__ import annotations

import pytest

from mcppool.gateway.allowed_hosts import REMEMBERED, AllowedHosts, refused_host
from mcppool.spec.address import is_loopback
from tests.unit.footprint import footprint


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.0.0.1:80", "[::1]", "[::1]:80", "127.9.9.9"]
)
def test_on_loopback_its_names_are_served(host: str) -> None:
    assert AllowedHosts("127.0.0.1", (), ()).host_allowed(host)


STRANGERS = ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "a:80:80", "", "0x7f.1", "2130706433"]


@pytest.mark.parametrize("host", STRANGERS)
def test_on_loopback_no_other_name_is(host: str) -> None:
    assert not AllowedHosts("localhost", (), ()).host_allowed(host)


@pytest.mark.parametrize(
    "host", ["10.0.0.7", "10.0.0.7:8080", "[2001:db8::1]:80", "[::1]", "localhost:8080", "127.0.0.1"]
)
def test_elsewhere_ip_addresses_are_served(host: str) -> None:
    assert AllowedHosts("0.0.0.0", (), ()).host_allowed(host)


@pytest.mark.parametrize("host", ["host.docker.internal:8080", "gateway", "[::1", "[evil.example]", *STRANGERS])
def test_elsewhere_names_are_served_only_where_they_are_listed(host: str) -> None:
    assert not AllowedHosts("0.0.0.0", (), ()).host_allowed(host)
    assert not AllowedHosts("0.0.0.0", ("pool.example",), ()).host_allowed(host)
    assert AllowedHosts("0.0.0.0", ("*",), ()).host_allowed(host)


def test_names_are_listed_with_their_port_or_without_or_with_all_below_them() -> None:
    listed = AllowedHosts("0.0.0.0", ("Pool.example", "other.example:8080", "*.apps.example"), ())
    served = ("pool.EXAMPLE", "pool.example:443", "other.example:8080", "a.apps.example", "a.b.apps.example:80")
    assert [listed.host_allowed(host) for host in served] == [True] * len(served)
    refused = ("other.example", "evil.example", "apps.example", "evilapps.example", "pool.example.evil.example")
    assert [listed.host_allowed(host) for host in refused] == [False] * len(refused)


def test_the_name_that_we_listen_on_is_ours() -> None:
    assert AllowedHosts("mcp.example", (), ()).host_allowed("mcp.example:8080")


def test_the_refusal_of_a_host_names_the_configuration_key() -> None:
    said = refused_host("host.docker.internal:8080", "listener.allowed_hosts")
    assert "host.docker.internal:8080" in said
    assert "listener.allowed_hosts" in said
    assert len(refused_host("x" * 10_000, "listener.allowed_hosts")) < 500


def test_a_listed_name_is_served_on_loopback_too() -> None:
    assert AllowedHosts("127.0.0.1", ("dev.example",), ()).host_allowed("dev.example:8080")


def test_an_origin_is_the_host_itself_or_listed() -> None:
    policy = AllowedHosts("127.0.0.1", (), ("https://app.example/",))
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
def test_an_invalid_origin_is_refused_without_harm(origin: str) -> None:
    assert not AllowedHosts("127.0.0.1", (), ()).origin_allowed(origin, "localhost")


def test_a_star_lets_every_origin_in() -> None:
    assert AllowedHosts("127.0.0.1", (), ("*",)).origin_allowed("http://anything.example", "localhost")


def test_strangers_cannot_fill_the_memory() -> None:
    policy = AllowedHosts("127.0.0.1", (), ())
    for n in range(REMEMBERED):
        assert not policy.host_allowed(f"h{n}.example")
    full = footprint(policy)
    for n in range(REMEMBERED):
        assert not policy.host_allowed(f"more-{n}.example")
    assert footprint(policy) == full
    assert policy.host_allowed("localhost")


def test_loopback_addresses_are_distinguished_from_others() -> None:
    assert [is_loopback(h) for h in ("127.0.0.1", "::1", "[::1]", "localhost")] == [True] * 4
    assert [is_loopback(h) for h in ("0.0.0.0", "10.0.0.1", "::", "example.org", "")] == [False] * 5
