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


@pytest.mark.parametrize("modern", [True, False])
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
        "x-forwarded-user",
        "x-original-url",
        "x-api-key",
        "user-agent",
        "mcp-something-new",
        "mcp_session_id",
        "mcp-param_region",
        "mcp-param-user_id",
        "trace_parent",
    ],
)
def test_an_unlisted_header_does_not_reach_servers(name: str, modern: bool) -> None:
    assert not headers.reaches_servers(name, modern=modern, listed=())


@pytest.mark.parametrize("name", ["mcp-protocol-version", "traceparent", "tracestate", "baggage", "accept"])
def test_headers_that_servers_need_reach_them_in_both_eras(name: str) -> None:
    assert headers.reaches_servers(name, modern=True, listed=())
    assert headers.reaches_servers(name, modern=False, listed=())


@pytest.mark.parametrize("name", ["mcp-param-region", "mcp-method", "mcp-name"])
def test_routing_headers_belong_to_the_modern_era(name: str) -> None:
    assert headers.reaches_servers(name, modern=True, listed=())
    assert not headers.reaches_servers(name, modern=False, listed=())


def test_a_listed_header_reaches_servers() -> None:
    assert headers.reaches_servers("x-tenant", modern=False, listed={"x-tenant"})


def test_connection_names_further_hop_by_hop_headers() -> None:
    assert headers.connection_options("close, X-Secret ,,TE") == {"close", "x-secret", "te"}


DATE = "Fri, 31 Dec 1999 23:59:59 GMT"
AT = 946_684_799.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (DATE, 10.0),
        ("Friday, 31-Dec-99 23:59:59 GMT", 10.0),
        ("Fri Dec 31 23:59:59 1999", 10.0),
        ("Fri, 31 Dec 1999 23:59:40 GMT", 0.0),  # over already
        ("1234567890", None),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("Fri, 99 Dec 1999 23:59:59 GMT", None),
    ],
)
def test_retry_after_is_read_in_both_its_forms(value: str, seconds: float | None) -> None:
    assert headers.retry_after(value.encode(), AT - 10) == seconds


def test_a_date_is_measured_by_the_clock_of_its_sender() -> None:
    assert headers.retry_after(DATE.encode(), 0.0, b"Fri, 31 Dec 1999 23:59:00 GMT") == 59.0
    assert headers.retry_after(DATE.encode(), AT - 10, b"today") == 10.0


@given(st.binary(max_size=40), st.binary(max_size=40) | st.none())
def test_any_value_of_a_server_is_seconds_or_none(value: bytes, date: bytes | None) -> None:
    seconds = headers.retry_after(value, AT, date)
    assert seconds is None or seconds >= 0.0
