"""One function splits addresses into host and port, and refuses everything else."""

from __future__ import annotations

import pytest

from mcppool.spec.address import address_of, split_address, split_authority, with_port


@pytest.mark.parametrize(
    ("authority", "host", "port"),
    [
        ("example.org", "example.org", None),
        ("example.org:80", "example.org", 80),
        ("[::1]", "[::1]", None),
        ("[::1]:80", "[::1]", 80),
        ("::1", "::1", None),
        ("example.org:", "example.org:", None),
        ("example.org:x", "example.org:x", None),
        ("example.org:²", "example.org:²", None),
        ("", "", None),
        (":80", "", 80),
        ("a:" + "9" * 5000, "a:" + "9" * 5000, None),
    ],
)
def test_an_authority_has_a_host_and_may_have_a_port(authority: str, host: str, port: int | None) -> None:
    assert split_authority(authority) == (host, port)


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 80), ("example.org", 0), ("::1", 65535)])
def test_an_address_that_is_put_together_is_taken_apart_again(host: str, port: int) -> None:
    assert split_address(with_port(host, port)) == (host, port)


@pytest.mark.parametrize("address", ["", "a", ":80", "a:65536", "a b:80", "::1:80", "a:b:80", "[::1]", "a:-1", "a:+1"])
def test_an_invalid_listen_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="address"):
        split_address(address)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://a/mcp", ("a", 80)),
        ("https://a/mcp", ("a", 443)),
        ("https://[::1]:8/mcp", ("::1", 8)),
        ("http://A:8080", ("a", 8080)),
    ],
)
def test_a_url_has_the_port_of_its_scheme_unless_it_names_one(url: str, address: tuple[str, int]) -> None:
    assert address_of(url) == address
