"""The members of clients' messages that the adapter of local servers reads."""

from __future__ import annotations

import msgspec

from mcppool.upstream.stdio.conversation import Conversation
from mcppool.wire.errors import BadEnvelope
from mcppool.wire.members import UNREADABLE, readable
from mcppool.wire.message_ids import canonical_id
from mcppool.wire.versions import META_LOG_LEVEL


class ClientParams(msgspec.Struct):
    """The parameters of `initialize`."""

    protocolVersion: object = None  # noqa: N815 (the wire's spelling)
    clientInfo: object = None  # noqa: N815
    capabilities: object = None


class _Initialize(msgspec.Struct):
    params: ClientParams = msgspec.field(default_factory=ClientParams)


class _CancelledParams(msgspec.Struct):
    requestId: msgspec.Raw  # noqa: N815 (the wire's spelling)


class _Cancelled(msgspec.Struct):
    params: _CancelledParams


class _Meta(msgspec.Struct):
    log_level: msgspec.Raw | msgspec.UnsetType = msgspec.field(name=META_LOG_LEVEL, default=msgspec.UNSET)


class _MetaParams(msgspec.Struct):
    meta: _Meta | None = msgspec.field(name="_meta", default=None)


class _WithMeta(msgspec.Struct):
    params: _MetaParams | None = None


def initialize_params(body: bytes) -> ClientParams:
    """The parameters of `initialize`, empty if they cannot be read."""
    try:
        return msgspec.json.decode(readable(body), type=_Initialize).params
    except UNREADABLE:
        return ClientParams()


def version_of(body: bytes) -> object:
    """The protocol version that `initialize` asks for."""
    return initialize_params(body).protocolVersion


def client_of(body: bytes) -> object:
    """The `clientInfo` of `initialize`."""
    return initialize_params(body).clientInfo or {"name": "mcppool", "version": "0"}


def asks_for_logs(body: bytes) -> bool:
    """Whether a request of the modern era asks for log messages."""
    try:
        params = msgspec.json.decode(readable(body), type=_WithMeta).params
    except UNREADABLE:
        return False
    return params is not None and params.meta is not None and params.meta.log_level is not msgspec.UNSET


def cancelled_request(conversation: Conversation, body: bytes, session: str) -> bytes | None:
    """The process's id of the request that a session cancels; None if it has no such request in flight."""
    try:
        client_id = canonical_id(bytes(msgspec.json.decode(readable(body), type=_Cancelled).params.requestId))
    except (*UNREADABLE, BadEnvelope):
        return None
    return conversation.id_of(session, client_id)
