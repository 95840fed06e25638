"""The version that a client offers in `initialize`."""

from __future__ import annotations

import json

import pytest

from mcppool.wire.handshake import offer_handshake_version


def opening(version: object) -> bytes:
    params = {"capabilities": {"roots": {}}, "protocolVersion": version, "clientInfo": {"name": "ä", "version": "1"}}
    return json.dumps(
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}, ensure_ascii=False
    ).encode()


def test_a_modern_version_becomes_the_newest_with_a_handshake_and_every_other_byte_stays() -> None:
    assert offer_handshake_version(opening("2026-07-28")) == opening("2025-11-25")


def test_an_escaped_modern_version_is_one() -> None:
    escaped = opening("2026-07-28").replace(b"2026-", rb"2026\u002d")
    assert offer_handshake_version(escaped) == opening("2025-11-25")


@pytest.mark.parametrize(
    "version", ["2025-11-25", "2024-11-05", "2099-01-01", "nonsense", "", 7, None, {}, ["2026-07-28"]]
)
def test_any_other_version_goes_on_as_it_is(version: object) -> None:
    assert offer_handshake_version(opening(version)) == opening(version)


@pytest.mark.parametrize(
    "body",
    [
        b'{"method":"initialize"}',
        b'{"method":"initialize","params":[]}',
        b'{"method":"initialize","params":{}}',
        b'{"method":"initialize","params":{"protocolVersion":"2026-07-28","protocolVersion":"2026-07-28"}}',
        b"",
        b"[]",
    ],
)
def test_an_unreadable_handshake_passes_unchanged(body: bytes) -> None:
    assert offer_handshake_version(body) == body
