from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mcp.shared import inbound

from mcppool.wire import headers

text = st.text(st.characters(codec="utf-8"))
field_values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E))
payloads = st.text("ABYZabyz0189+/=- ", max_size=12)


@given(text)
@example("=?base64??=")
@example(" x")
@example("x\t")
@example("")
def test_any_text_survives_its_header(value: str) -> None:
    encoded = headers.encode_value(value)
    assert encoded.isascii()
    assert encoded == encoded.strip()
    assert headers.decode_value(encoded) == value


@given(text)
@example("=?base64?x?=")
@example("=?base64?=")
def test_we_encode_as_the_sdk_does(value: str) -> None:
    assert headers.encode_value(value) == inbound.encode_header_value(value)


@given(field_values | payloads.map(lambda payload: f"=?base64?{payload}?="))
@example("=?base64?=")
@example("=?base64??=")
@example("=?BASE64?YQ==?=")
@example("=?base64?YQ?=")
@example("=?base64?YR==?=")
@example("=?base64?/w==?=")
@example("=?base64?YQ==?= ")
def test_we_decode_as_the_sdk_does(value: str) -> None:
    assert headers.decode_value(value) == inbound.decode_header_value(value)


def test_every_name_that_the_sdk_mirrors_we_mirror() -> None:
    assert headers.NAME_ATTRIBUTE.items() >= inbound.NAME_BEARING_METHODS.items()


@pytest.mark.parametrize(
    "name",
    [
        "authorization",
        "cookie",
        "host",
        "origin",
        "connection",
        "transfer-encoding",
        "content-length",
        "mcp-session-id",
        "te",
    ],
)
def test_headers_that_concern_the_gateway_alone_do_not_reach_servers(name: str) -> None:
    assert name in headers.NOT_FORWARDED_UPSTREAM


@pytest.mark.parametrize(
    "name", ["mcp-param-region", "mcp-method", "mcp-name", "mcp-protocol-version", "traceparent", "accept"]
)
def test_headers_that_servers_need_reach_them(name: str) -> None:
    assert name not in headers.NOT_FORWARDED_UPSTREAM


def test_connection_names_further_hop_by_hop_headers() -> None:
    assert headers.connection_options("close, X-Secret ,,TE") == {"close", "x-secret", "te"}
