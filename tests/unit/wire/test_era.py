"""The eras' rules, and the refusals of the SDK's server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import cast

import httpx2
import pytest
from mcp.server import MCPServer
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS

from mcppool.wire.era import REMOVED_METHODS, Era, Refusal, classify, inputs_of
from mcppool.wire.errors import BadEnvelope
from mcppool.wire.headers import NAME_ATTRIBUTE, encode_value
from mcppool.wire.rpc_request import RpcRequest, parse_request
from mcppool.wire.versions import LEGACY_VERSIONS, MODERN_VERSIONS
from tests.unit.wire.era_messages import CALL, CAPABILITIES, VERSION, body, headers, refused


def test_we_know_the_versions_that_the_sdk_knows() -> None:
    assert set(HANDSHAKE_PROTOCOL_VERSIONS) == LEGACY_VERSIONS
    assert tuple(MODERN_PROTOCOL_VERSIONS) == MODERN_VERSIONS


class Recorder:
    """A message that notes which of its members are read."""

    def __init__(self, request: RpcRequest) -> None:
        self._request = request
        self.read: set[str] = set()

    def __getattr__(self, name: str) -> object:
        self.read.add(name)
        return getattr(self._request, name)


@pytest.mark.parametrize("sent", [headers(), headers(version=None), headers(version="2025-11-25"), headers(name=None)])
@pytest.mark.parametrize(
    "message",
    [
        CALL,
        body(name=1),
        body(meta=1),
        body(meta={VERSION: 1}),
        body(meta={VERSION: "2026-07-28"}),
        body("ping"),
        body("notifications/cancelled", id=...),
        b'{"jsonrpc":"2.0","id":1,"result":{}}',
    ],
)
def test_the_inputs_of_a_verdict_are_all_that_it_depends_on(sent: dict[str, str], message: bytes) -> None:
    """The router remembers a verdict by them."""
    request = parse_request(message)
    judged, noted = Recorder(request), Recorder(request)
    with suppress(Refusal):
        classify(sent, cast(RpcRequest, judged))
    inputs_of(cast(RpcRequest, noted))
    assert judged.read
    assert judged.read <= noted.read


# ---- modern


def test_a_modern_call_whose_headers_agree_passes() -> None:
    assert classify(headers(), parse_request(CALL)) is Era.MODERN


@pytest.mark.parametrize(
    ("sent", "message", "status", "code"),
    [
        pytest.param(headers(name="other"), CALL, 400, -32020, id="another name"),
        pytest.param(headers(name=None), CALL, 400, -32020, id="no name"),
        pytest.param(headers(name="Add"), CALL, 400, -32020, id="name in another case"),
        pytest.param(headers(name="=?base64?!?="), CALL, 400, -32020, id="broken sentinel"),
        pytest.param(
            headers(name="=?base64?YWRk?="), body(name="=?base64?YWRk?="), 400, -32020, id="name that needed encoding"
        ),
        pytest.param(headers(method=None), CALL, 400, -32020, id="no method"),
        pytest.param(headers(method="Tools/Call"), CALL, 400, -32020, id="method in another case"),
        pytest.param(headers(version="2027-01-01"), CALL, 400, -32020, id="versions disagree"),
        pytest.param(headers(version=None), CALL, 400, -32020, id="modern body without header"),
        pytest.param(headers(version="2025-11-25"), CALL, 400, -32020, id="modern body under a legacy header"),
        pytest.param(
            headers(), body(meta={VERSION: "2025-11-25", CAPABILITIES: {}}, name="add"), 400, -32020, id="legacy body"
        ),
        pytest.param(
            headers(version="2027-01-01"),
            body(meta={VERSION: "2027-01-01", CAPABILITIES: {}}, name="add"),
            400,
            -32022,
            id="unsupported version",
        ),
        pytest.param(headers(), body(meta={VERSION: "2026-07-28"}, name="add"), 400, -32602, id="no capabilities"),
        pytest.param(headers(), body(meta={CAPABILITIES: {}}, name="add"), 400, -32602, id="no version in the body"),
        pytest.param(headers(), body(meta=None, name="add"), 400, -32602, id="no meta"),
        pytest.param(headers(), body(meta=[], name="add"), 400, -32602, id="meta is a list"),
        pytest.param(headers(), b'{"jsonrpc":"2.0","id":1,"method":"tools/call"}', 400, -32602, id="no params"),
        pytest.param(
            headers(method="initialize"),
            b'{"jsonrpc":"2.0","id":1,"method":"initialize"}',
            400,
            -32602,
            id="initialize",
        ),
        pytest.param(headers(method="initialize"), body("initialize"), 404, -32601, id="initialize with meta"),
        pytest.param(headers(method="ping"), body("ping"), 404, -32601, id="ping"),
        pytest.param(headers(), b'{"jsonrpc":"2.0","id":1,"result":{}}', 400, -32600, id="a response"),
        pytest.param(headers(), body(name=5), 400, -32020, id="name is a number"),
        pytest.param(
            headers(version="1.0"), b'{"jsonrpc":"2.0","id":1,"method":"ping"}', 400, -32602, id="no such version"
        ),
        pytest.param(headers(version=""), CALL, 400, -32020, id="empty version"),
    ],
)
async def test_the_sdks_server_refuses_the_same_with_the_same_words(
    sent: dict[str, str], message: bytes, status: int, code: int
) -> None:
    assert refused(sent, message) == (status, code)
    # The SDK's server asks the header alone, so that it sends these two to its legacy transport.
    if "mcp-protocol-version" in sent and sent["mcp-protocol-version"] not in LEGACY_VERSIONS:
        answer = await ask_sdk(sent, message)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


async def ask_sdk(sent: Mapping[str, str], message: bytes) -> httpx2.Response:
    """The answer of the SDK's own server, in this process, to a POST."""
    server = MCPServer("demo")

    @server.tool()
    def add(a: int, b: int) -> int:
        return a + b

    transport = httpx2.ASGITransport(app=server.streamable_http_app(json_response=True))
    usual = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    async with (
        server.session_manager.run(),
        httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client,
    ):
        return await client.post("/mcp", content=message, headers=usual | dict(sent))


@pytest.mark.parametrize(
    ("sent", "message", "status"),
    [
        pytest.param(headers(), CALL, 200, id="a call"),
        pytest.param(headers(name=f"=?base64?{'YWRk'}?="), CALL, 200, id="a name in base64 without need"),
        pytest.param(headers(method="tools/list", name=None), body("tools/list"), 200, id="a list"),
        pytest.param(
            headers(method="tools/list", name="x"), body("tools/list"), 200, id="a name that nothing asks for"
        ),
        pytest.param(headers(method="server/discover"), body("server/discover"), 200, id="discover"),
        pytest.param(headers(), body("notifications/cancelled", id=...), 202, id="a notification"),
        pytest.param(
            headers(method=None), b'{"jsonrpc":"2.0","method":"notifications/x"}', 202, id="one without headers"
        ),
    ],
)
async def test_messages_that_the_sdks_server_accepts_are_accepted(
    sent: dict[str, str], message: bytes, status: int
) -> None:
    assert (await ask_sdk(sent, message)).status_code == status
    assert classify(sent, parse_request(message)) is Era.MODERN


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"{",
        b"[]",
        b"[" + CALL + b"]",
        b"7",
        body(id=None),
        body(id=True),
        body(id=[]),
        b'{"jsonrpc":"1.0","id":1,"method":"ping"}',
        b'{"jsonrpc":"2.0","id":1,"method":7}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}',
        b'{"jsonrpc":"2.0","id":1}',
        b'{"jsonrpc":"2.0","params":{}}',
        b'{"jsonrpc":"2.0","id":1,"method":"\xff"}',
        b"[" * 100_000,
    ],
)
async def test_the_sdks_server_refuses_the_same_bodies_with_the_same_code(message: bytes) -> None:
    with pytest.raises(BadEnvelope) as bad:
        parse_request(message)
    answer = await ask_sdk(headers(), message)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, bad.value.code)
    assert answer.json()["id"] is None


async def test_the_refusal_of_a_version_lists_the_supported_ones() -> None:
    message = body(meta={VERSION: "2027-01-01", CAPABILITIES: {}}, name="add")
    sent = headers(version="2027-01-01")
    with pytest.raises(Refusal) as refusal:
        classify(sent, parse_request(message))
    assert refusal.value.data == {"supported": ["2026-07-28"], "requested": "2027-01-01"}
    assert (await ask_sdk(sent, message)).json()["error"]["data"] == refusal.value.data


async def test_a_notification_of_an_unsupported_version_is_refused() -> None:
    message = b'{"jsonrpc":"2.0","method":"notifications/x"}'
    sent = headers(version="2027-01-01")
    assert refused(sent, message) == (400, -32022)
    answer = await ask_sdk(sent, message)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32022)


@pytest.mark.parametrize("method", sorted(REMOVED_METHODS))
def test_methods_that_the_modern_era_removed_do_not_exist(method: str) -> None:
    assert refused(headers(method=method), body(method)) == (404, -32601)


@pytest.mark.parametrize("method", sorted(NAME_ATTRIBUTE))
def test_the_name_header_repeats_the_object_of_the_method(method: str) -> None:
    member = NAME_ATTRIBUTE[method]
    message = body(method, **{member: "größe x"})
    assert classify(headers(method=method, name=encode_value("größe x")), parse_request(message)) is Era.MODERN
    assert refused(headers(method=method, name="grosse x"), message) == (400, -32020)
    assert refused(headers(method=method, name=None), message) == (400, -32020)
    assert refused(headers(method=method, name="x"), body(method)) == (400, -32602)


def test_messages_of_refusals_are_short_however_long_the_input() -> None:
    message = body(name="x" * 100_000)
    with pytest.raises(Refusal) as refusal:
        classify(headers(name="y" * 5_000), parse_request(message))
    assert len(refusal.value.message) < 400


# ---- legacy


@pytest.mark.parametrize("version", [None, *sorted(LEGACY_VERSIONS)])
@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (
            b'{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}',
            "request",
        ),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":7}}', "request"),
        (
            b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","_meta":{"progressToken":1}}}',
            "request",
        ),
        (b'{"jsonrpc":"2.0","method":"notifications/initialized"}', "notification"),
        (b'{"jsonrpc":"2.0","id":1,"result":{}}', "response"),
    ],
)
def test_without_a_modern_header_and_body_a_message_is_legacy(version: str | None, message: bytes, kind: str) -> None:
    sent = headers(version=version, method="nothing", name="nothing")
    request = parse_request(message)
    assert (classify(sent, request), request.kind) == (Era.LEGACY, kind)


@pytest.mark.parametrize("version", [None, "2025-11-25", "2026-07-28"])
@pytest.mark.parametrize(
    "method",
    [
        "tools/call",
        "Tools/Call",
        "resources/read",
        "initialize",
        "ping",
        "server/discover",
        "subscriptions/listen",
        "tasks/get",
    ],
)
def test_a_request_without_an_id_is_refused_in_both_eras(method: str, version: str | None) -> None:
    assert refused(headers(version=version, method=method), body(method, id=..., name="add")) == (400, -32600)


@pytest.mark.parametrize("method", ["notifications/progress", "notifications/tools/call", "vendor/said"])
def test_a_notification_passes(method: str) -> None:
    message = json.dumps({"jsonrpc": "2.0", "method": method}).encode()
    assert classify(headers(version="2025-11-25"), parse_request(message)) is Era.LEGACY
    assert classify(headers(), parse_request(message)) is Era.MODERN


def test_a_legacy_version_in_the_body_is_no_contradiction() -> None:
    message = body(meta={VERSION: "2025-11-25"}, name="add")
    assert classify(headers(version="2025-11-25"), parse_request(message)) is Era.LEGACY


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (CALL.decode().encode("utf-16"), "RFC 8259 §8.1: UTF-8"),
        (body(name="add", x=float("nan")), "NaN is not JSON"),
        (CALL[:-1] + b',"method":"tools/call"}', "two readers may each believe another one"),
    ],
)
def test_json_that_only_pythons_reader_accepts_is_refused_with_a_reason(message: bytes, why: str) -> None:
    assert json.loads(message)["method"] == "tools/call"
    with pytest.raises(BadEnvelope):
        parse_request(message)


@pytest.mark.parametrize("version", [None, *sorted(LEGACY_VERSIONS)])
@pytest.mark.parametrize("method", ["tools/call", "server/discover", "x", *sorted(REMOVED_METHODS)])
def test_a_request_with_an_id_that_claims_no_version_is_legacy_under_a_legacy_header(
    version: str | None, method: str
) -> None:
    for meta in ({}, {VERSION: 1}, {CAPABILITIES: {}}):
        assert classify(headers(version, "other", "x"), parse_request(body(method, meta, name="a"))) is Era.LEGACY
