"""The era of a message, and whether it may pass (design §1.1; 2026-07-28, "Request metadata" and "Versioning").

Both the header and the body count. The rules are those of a strict server: every reader of the body, intermediaries
included, must refuse headers that disagree with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from mcppool.wire import errors, versions
from mcppool.wire import headers as names
from mcppool.wire.errors import Refusal
from mcppool.wire.rpc_request import RpcRequest

__all__ = ["REMOVED_METHODS", "Era", "Refusal", "claims_modern", "classify", "inputs_of"]


class Era(StrEnum):
    """Handshake and sessions, or stateless."""

    LEGACY = "legacy"
    MODERN = "modern"


# For the hot path: an attribute of an enumeration costs ten times as much as a name.
LEGACY: Final = Era.LEGACY
MODERN: Final = Era.MODERN


REMOVED_METHODS: Final = frozenset(
    {
        "initialize",
        "ping",
        "logging/setLevel",
        "resources/subscribe",
        "resources/unsubscribe",
        "tasks/list",
        "tasks/result",
    }
)
"""Requests of earlier revisions that the modern era lacks: 404, -32601. (``tasks/get``, ``update`` and ``cancel``
continue in the tasks extension.)"""

_REQUESTS: Final = frozenset({"initialize", "ping"})
_REQUEST_PREFIXES: Final = (
    "tools/", "resources/", "prompts/", "completion/", "logging/", "sampling/", "elicitation/", "roots/", "tasks/",
    "server/", "subscriptions/",
)  # fmt: skip

_MODERN: Final = frozenset(versions.MODERN_VERSIONS)
_META: Final = "params._meta"
_META_VERSION: Final = f"params._meta.{versions.META_PROTOCOL_VERSION}"


def classify(headers: Mapping[str, str], request: RpcRequest) -> Era:
    """Return the era of a message, or raise Refusal with the protocol's answer.

    `headers` has lower-case names and one value each; their reader refuses repeated ones (`headers.is_single_valued`).
    A message is legacy if the version header is absent or names a legacy revision, and the body does not say otherwise;
    the session layer decides whether it needs a session. Every other message must follow the rules of the modern era.
    """
    if request.id is None and request.method is not None and is_request(request.method):
        raise Refusal(400, errors.INVALID_REQUEST, f"{request.method} is a request and must have an id")
    version = headers.get(names.PROTOCOL_VERSION)
    if version is None or not claims_modern(version):
        return _legacy(version, request)
    if request.id is None:
        return _modern_without_id(version, request)
    if request.malformed:
        _refuse_malformed(request)
    if request.protocol_version is None or not request.has_capabilities:
        raise Refusal(400, errors.INVALID_PARAMS, f"params._meta is missing: {', '.join(_missing(request))}")
    if version != request.protocol_version:
        raise _mismatch(
            f"MCP-Protocol-Version header {_shown(version)} differs from the body's {_shown(request.protocol_version)}"
        )
    method = request.method
    if headers.get(names.METHOD) != method:
        raise _mismatch(
            f"Mcp-Method header {_shown(headers.get(names.METHOD))} differs from the body's {_shown(method)}"
        )
    if method in names.NAME_ATTRIBUTE:
        _check_name(headers.get(names.NAME), request)
    if version not in _MODERN:
        raise _unsupported(version)
    if method in REMOVED_METHODS:
        raise Refusal(404, errors.METHOD_NOT_FOUND, f"{method} is not a method of {version}")
    return Era.MODERN


def claims_modern(version: str | None) -> bool:
    """Whether a message with this version header must follow the rules of the modern era; an unknown version must."""
    return version is not None and version not in versions.LEGACY_VERSIONS


def inputs_of(request: RpcRequest) -> tuple[object, ...]:
    """All inputs of `classify` from a message: messages with the same inputs and headers get the same verdict."""
    return (
        request.method,
        request.name,
        request.protocol_version,
        request.has_capabilities,
        request.id is None,
        request.is_response,
        request.malformed,
    )


def is_request(method: str) -> bool:
    """Whether the method is one of the protocol's requests: without an id some servers would still execute it, past all
    decisions about requests."""
    method = method.casefold()
    return method in _REQUESTS or method.startswith(_REQUEST_PREFIXES)


def _modern_without_id(version: str, request: RpcRequest) -> Era:
    if version not in _MODERN:
        raise _unsupported(version)
    if request.is_response:
        raise Refusal(400, errors.INVALID_REQUEST, "responses are not posted in this protocol version")
    return Era.MODERN


def _legacy(version: str | None, request: RpcRequest) -> Era:
    claimed = request.protocol_version
    if claimed is not None and claimed not in versions.LEGACY_VERSIONS:
        raise _mismatch(f"MCP-Protocol-Version header {_shown(version)} differs from the body's {_shown(claimed)}")
    return Era.LEGACY


def _check_name(header: str | None, request: RpcRequest) -> None:
    name = request.name
    member = names.NAME_ATTRIBUTE[request.method or ""]
    if f"params.{member}" in request.malformed:
        raise _mismatch(f"params.{member} is not a string, so the Mcp-Name header cannot equal it")
    if name is None:
        raise Refusal(400, errors.INVALID_PARAMS, f"{request.method} needs params.{member}, a string")
    if header is None or ((header != name or header.startswith("=?")) and names.decode_value(header) != name):
        raise _mismatch(f"Mcp-Name header {_shown(header)} differs from the body's params.{member} {_shown(name)}")


def _refuse_malformed(request: RpcRequest) -> None:
    """Refuse members of the wrong type, in the order of a server: first ``_meta``, then values that a header
    repeats."""
    if _META in request.malformed:
        raise Refusal(400, errors.INVALID_PARAMS, "params._meta must be an object")
    if _META_VERSION in request.malformed:
        if not request.has_capabilities:
            raise Refusal(400, errors.INVALID_PARAMS, f"params._meta is missing: {versions.META_CLIENT_CAPABILITIES}")
        raise _mismatch(f"{_META_VERSION} is not a string, so the MCP-Protocol-Version header cannot equal it")


def _missing(request: RpcRequest) -> list[str]:
    present = {versions.META_PROTOCOL_VERSION: request.protocol_version is not None}
    present[versions.META_CLIENT_CAPABILITIES] = request.has_capabilities
    return [key for key, there in present.items() if not there]


def _unsupported(version: str) -> Refusal:
    data = {"supported": list(versions.MODERN_VERSIONS), "requested": version}
    return Refusal(400, errors.UNSUPPORTED_VERSION, "Unsupported protocol version", data)


def _mismatch(message: str) -> Refusal:
    return Refusal(400, errors.HEADER_MISMATCH, message)


def _shown(value: str | None) -> str:
    """A value for a message: quoted, of bounded length."""
    return "is absent and" if value is None else repr(value if len(value) <= 80 else value[:80] + "…")
