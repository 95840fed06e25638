"""The query of a client's URL beside the endpoint's own."""

from __future__ import annotations

import pytest

from mcppool.wire.query import merged_query


@pytest.mark.parametrize(
    ("own", "client", "merged"),
    [
        (b"", b"read_only=true&x", b"read_only=true&x"),
        (b"key=1", b"", b"key=1"),
        (b"key=1", b"read_only=true", b"key=1&read_only=true"),
        (b"key=1", b"a=%20+b&c=&d", b"key=1&a=%20+b&c=&d"),
        (b"key=1&team=a", b"x=1&team=b&y=2", b"key=1&team=a&x=1&y=2"),
        (b"key=1", b"x=key", b"key=1&x=key"),
    ],
)
def test_a_clients_query_follows_the_endpoints_own(own: bytes, client: bytes, merged: bytes) -> None:
    assert merged_query(own, client) == merged


@pytest.mark.parametrize(
    "client",
    [b"team=b", b"team", b"Team=b", b"%74eam=b", b"te%61m=b", b"+team=b", b"team[]=b", b"team%5B0%5D=b", b"x=1;team=b"],
)
def test_no_spelling_of_a_parameter_overrides_the_endpoints_own(client: bytes) -> None:
    assert merged_query(b"team=a", client) == b"team=a"
