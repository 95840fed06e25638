"""The eras' rules are those of the SDK's functions, on generated input."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from mcp.shared.inbound import ERROR_CODE_HTTP_STATUS, InboundLadderRejection, classify_inbound_request

from mcppool.wire import errors
from mcppool.wire.era import REMOVED_METHODS, Refusal, classify
from mcppool.wire.errors import BadEnvelope
from mcppool.wire.headers import NAME_ATTRIBUTE, encode_value
from mcppool.wire.rpc_request import parse_request
from tests.unit.wire.era_messages import CAPABILITIES, META, VERSION

names = st.sampled_from(["add", "", "größe", " x ", "=?base64?YQ==?=", "a\nb"])
methods = st.sampled_from([*sorted(NAME_ATTRIBUTE), "tools/list", "server/discover", "initialize", "vendor/x"])
modern_versions = st.sampled_from(["2026-07-28", "2026-07-28", "2027-01-01", "", "x"])
body_versions = st.sampled_from(["2026-07-28", "2026-07-28", "2027-01-01", "2025-11-25", "", 5, None, ["2026-07-28"]])


@st.composite
def metas(draw: st.DrawFn) -> object:
    meta: dict[str, object] = {}
    if draw(st.integers(0, 9)):
        meta[VERSION] = draw(body_versions)
    if draw(st.integers(0, 9)):
        meta[CAPABILITIES] = draw(st.sampled_from([{}, {"elicitation": {}}, None, 1]))
    return meta


@st.composite
def exchanges(draw: st.DrawFn) -> tuple[dict[str, str], dict[str, Any]]:
    method = draw(methods)
    message: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": method}
    params: dict[str, Any] = {}
    name = draw(names)
    if draw(st.integers(0, 9)):
        member = draw(st.sampled_from([NAME_ATTRIBUTE.get(method, "name")] * 3 + ["name", "uri"]))
        params[member] = draw(st.sampled_from([name] * 6 + [5, None, []]))
    if draw(st.integers(0, 9)):
        params["_meta"] = draw(metas() | st.sampled_from([None, 1, [], ""])) if not draw(st.booleans()) else dict(META)
    if draw(st.integers(0, 19)):
        message["params"] = params
    sent = {"mcp-protocol-version": draw(modern_versions)}
    if draw(st.integers(0, 9)):
        sent["mcp-method"] = draw(st.sampled_from([method] * 6 + ["tools/list", ""]))
    if draw(st.integers(0, 9)):
        sent["mcp-name"] = draw(
            st.sampled_from([encode_value(name)] * 6 + ["add", "", "=?base64?!!?=", "=?base64?YWRk?="])
        )
    return sent, message


@given(exchanges(), st.booleans())
@settings(max_examples=400)
def test_modern_requests_get_the_verdict_of_the_sdk(
    exchange: tuple[dict[str, str], dict[str, Any]], compact: bool
) -> None:
    sent, message = exchange
    verdict = classify_inbound_request(message, headers=sent)
    expected = (
        (ERROR_CODE_HTTP_STATUS[verdict.code], verdict.code) if isinstance(verdict, InboundLadderRejection) else None
    )

    request = parse_request(json.dumps(message, separators=(",", ":") if compact else (", ", ": ")).encode())
    try:
        classify(sent, request)
        ours = None
    except Refusal as refusal:
        ours = (refusal.http_status, refusal.code)
    if ours == expected:
        return

    # Intended differences. The SDK leaves these to a later stage, which gives the same answer as we do here:
    method = message["method"]
    body_name = message["params"].get(NAME_ATTRIBUTE.get(method, ""))
    if method in REMOVED_METHODS:
        # its dispatcher finds no such method;
        assert (ours, expected) == ((404, errors.METHOD_NOT_FOUND), None)
    elif method in NAME_ATTRIBUTE and body_name is None:
        # its handler misses the parameter (and an unsupported version comes first there);
        assert (ours, expected) in [
            ((400, errors.INVALID_PARAMS), None),
            ((400, errors.INVALID_PARAMS), (400, errors.UNSUPPORTED_VERSION)),
        ]
    else:
        # it does not know the header of the tasks extension, which its clients do send.
        assert method.startswith("tasks/")
        assert ours == (400, errors.HEADER_MISMATCH)
        assert expected in [None, (400, errors.UNSUPPORTED_VERSION)]


envelope_members = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.sampled_from(["2.0", "2.0", "2.0", "1.0", 2.0, None]),
        "id": st.sampled_from([1, "a", "", -3, 2**80, None, True, [], {}]),  # fractions pass here, and not in the SDK
        "method": st.sampled_from(["ping", "ping", "", 5, None, []]),
        "params": st.sampled_from([{}, {"x": 1}, None, [], "x", 1]),
        "x": st.just(1),
    },
)


@given(envelope_members)
def test_envelopes_are_requests_to_us_when_they_are_to_the_sdk(message: dict[str, Any]) -> None:
    from mcp_types.jsonrpc import JSONRPCNotification, JSONRPCRequest
    from pydantic import ValidationError

    model = JSONRPCRequest if "id" in message else JSONRPCNotification
    try:
        model.model_validate(message)
        theirs = True
    except ValidationError:
        theirs = False
    try:
        request = parse_request(json.dumps(message).encode())
        ours = request.kind == ("request" if "id" in message else "notification")
    except BadEnvelope as bad:
        ours = False
        assert bad.code == errors.INVALID_REQUEST  # noqa: PT017 - both ways are right, each in its case
    assert ours == theirs
