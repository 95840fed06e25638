"""Messages of clients, decoded only as far as the gateway needs them; the bytes themselves are passed on.

The hot path is one msgspec decode into typed structs, and one encode of them, which proves that the bytes hold nothing
else of importance (`parse_request`). Unusual messages take the slow path, which finds the precise error.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, field

from mcppool.wire import versions
from mcppool.wire.bulk import BULK, outline_of
from mcppool.wire.errors import INVALID_REQUEST, BadEnvelope
from mcppool.wire.headers import NAME_ATTRIBUTE
from mcppool.wire.lookalikes import ENVELOPE, META, PARAMS, refuse_lookalikes
from mcppool.wire.members import SHALLOW, read_first, unique_members
from mcppool.wire.message_ids import request_id
from mcppool.wire.raw_values import Kind, check_utf8, envelope_members, mended, task_id_in, text_in

_NAME_MEMBERS: Final = dict(NAME_ATTRIBUTE) | {
    "resources/subscribe": "uri",
    "resources/unsubscribe": "uri",
    "tasks/result": "taskId",
}


class RpcRequest(Struct, frozen=True, gc=False):
    """One message of a client: a request, a notification (no `id`) or, in the legacy era, a response (no `method`)."""

    method: str | None
    id: bytes | None
    """Canonical JSON of a request's id (`canonical_id`); None for messages without an answer, such as a response."""
    name: str | None
    """``params.name``, ``uri`` or ``taskId``: the object of the method; None if the method has none or the body lacks
    it."""
    cursor: str | None
    request_state: str | None
    progress_token: Raw | None
    protocol_version: str | None
    """``_meta`` of the modern era; None if it is absent or not a string (then it is in `malformed`)."""
    has_capabilities: bool
    is_response: bool
    arguments: Raw | None
    """``params.arguments``, unread; ``bytes()`` of it copies. For a message of more than `BULK` bytes it is an empty
    stand-in."""
    traceparent: Raw | None = None
    """``_meta.traceparent`` (SEP-414), unread."""
    malformed: tuple[str, ...] = ()
    """Members of the wrong type, such as ``params.name``, that a legacy server may judge itself."""
    related_task: str | None = None
    """The id of the task that the message belongs to, by its ``_meta``."""

    @property
    def kind(self) -> Kind:
        """The kind of the message, by its members."""
        if self.is_response:
            return "response"
        return "notification" if self.id is None else "request"


class _Meta(Struct, gc=False, omit_defaults=True):
    protocol_version: str | None = field(name=versions.META_PROTOCOL_VERSION, default=None)
    capabilities: Raw | UnsetType = field(name=versions.META_CLIENT_CAPABILITIES, default=UNSET)
    progress_token: Raw | UnsetType = field(name=versions.META_PROGRESS_TOKEN, default=UNSET)
    # Not read; declared so that usual messages are fully accounted for.
    client_info: Raw | UnsetType = field(name=versions.META_CLIENT_INFO, default=UNSET)
    log_level: Raw | UnsetType = field(name=versions.META_LOG_LEVEL, default=UNSET)
    traceparent: Raw | UnsetType = UNSET
    tracestate: Raw | UnsetType = UNSET
    baggage: Raw | UnsetType = UNSET


class _Params(Struct, gc=False, omit_defaults=True):
    name: str | None = None
    uri: str | None = None
    task_id: str | None = field(name="taskId", default=None)
    cursor: str | None = None
    request_state: str | None = field(name="requestState", default=None)
    arguments: Raw | UnsetType = UNSET
    meta: _Meta | None = field(name="_meta", default=None)
    # Not read, as above.
    input_responses: Raw | UnsetType = field(name="inputResponses", default=UNSET)
    notifications: Raw | UnsetType = UNSET
    ref: Raw | UnsetType = UNSET
    argument: Raw | UnsetType = UNSET


class _Message(Struct, gc=False, omit_defaults=True):
    jsonrpc: str | None = None
    id: Raw | UnsetType = UNSET
    method: str | None = None
    params: _Params | None = None


_decode_message = msgspec.json.Decoder(_Message).decode
_encode = msgspec.json.Encoder().encode

_ATTRIBUTE: Final = {method: "task_id" if name == "taskId" else name for method, name in _NAME_MEMBERS.items()}
_LARGE: Final = 64 * 1024
_DIGIT: Final = Raw(b"0")
_NO_PARAMS: Final = _Params()
_NO_META: Final = _Meta()


def parse_request(body: bytes) -> RpcRequest:
    """Read one message of a client.

    Raises BadEnvelope: -32700 if the body is not JSON in UTF-8, -32600 if it is not one JSON-RPC 2.0 message. A batch
    is none; ids are strings or numbers; ``params`` is an object. No name may occur twice in the envelope, in ``params``
    or in ``_meta``, or differ from a known name in its case only, because two readers might choose different ones.
    Halves of surrogate pairs, a byte order mark and numbers of any size are allowed.
    """
    if len(body) > BULK:
        body = outline_of(body).text
    try:
        message = _decode_message(body) if len(body) <= SHALLOW else read_first(_decode_message, body)
    except msgspec.ValidationError:
        return _parse_carefully(body)
    except (ValueError, RecursionError) as error:
        return _parse_carefully(mended(body, error))
    method = message.method
    # Encoding the parsed message gives its shortest form. If the body is no longer, it holds no repeated and no unknown
    # member and no white space around members; otherwise the slow path finds the cause.
    size = len(body)
    encoded = len(_encode(message)) if size < _LARGE else _encoded_size(message)
    if encoded != size or method is None or message.jsonrpc != "2.0":
        return _parse_carefully(body)
    if not body.isascii():
        check_utf8(body)
    params = message.params or _NO_PARAMS
    meta = params.meta or _NO_META
    attribute = _ATTRIBUTE.get(method)
    id = None if message.id is UNSET else bytes(message.id)
    return RpcRequest(
        method,
        id if id is None or id.isdigit() else request_id(id),
        None if attribute is None else getattr(params, attribute),
        params.cursor,
        params.request_state,
        meta.progress_token or None,
        meta.protocol_version,
        meta.capabilities is not UNSET,
        False,
        params.arguments or None,
        meta.traceparent or None,
    )


def _encoded_size(message: _Message) -> int:
    """Size of the encoded message in bytes; its arguments are not copied."""
    params = message.params
    if params is None or params.arguments is UNSET:
        return len(_encode(message))
    arguments = params.arguments
    params.arguments = _DIGIT
    encoded = len(_encode(message)) - 1 + memoryview(arguments).nbytes
    params.arguments = arguments
    return encoded


def _parse_carefully(body: bytes) -> RpcRequest:
    """The slow path of `parse_request`, for unusual or wrong messages."""
    check_utf8(body)
    members = envelope_members(body)
    refuse_lookalikes(members, ENVELOPE)
    if members.get("jsonrpc") != b'"2.0"' and text_in(members.get("jsonrpc")) != "2.0":
        raise BadEnvelope(INVALID_REQUEST, 'jsonrpc must be "2.0"', "not_jsonrpc")
    if "method" not in members:
        return _posted_response(members)
    method = text_in(members["method"])
    if method is None:
        raise BadEnvelope(INVALID_REQUEST, "method must be a string", "bad_method")
    if any(
        members.get(name, b"null") != b"null" for name in ("result", "error")
    ):  # some readers take it for a response
        raise BadEnvelope(INVALID_REQUEST, "a message with a method has neither a result nor an error", "not_a_message")
    id = request_id(members["id"]) if "id" in members else None
    raw = members.get("params", b"null")
    if raw != b"null" and not raw.startswith(b"{"):
        raise BadEnvelope(INVALID_REQUEST, "params must be an object", "bad_params")
    params = unique_members(raw) if raw != b"null" else {}
    refuse_lookalikes(params, PARAMS)
    malformed: list[str] = []
    raw = params.get("_meta", b"null")
    if raw != b"null" and not raw.startswith(b"{"):
        malformed.append("params._meta")
        raw = b"null"
    meta = unique_members(raw) if raw != b"null" else {}
    refuse_lookalikes(meta, META)

    def text(members: dict[str, bytes], name: str, path: str) -> str | None:
        value = members.get(name, b"null")
        decoded = text_in(value)
        if decoded is None and value != b"null":
            malformed.append(path + name)
        return decoded

    name_member = _NAME_MEMBERS.get(method)
    version = meta.get(versions.META_PROTOCOL_VERSION)
    if version is not None and text_in(version) is None:
        malformed.append(f"params._meta.{versions.META_PROTOCOL_VERSION}")
    return RpcRequest(
        method,
        id,
        None if name_member is None else text(params, name_member, "params."),
        text(params, "cursor", "params."),
        text(params, "requestState", "params."),
        Raw(meta[versions.META_PROGRESS_TOKEN]) if versions.META_PROGRESS_TOKEN in meta else None,
        None if version is None else text_in(version),
        versions.META_CLIENT_CAPABILITIES in meta,
        False,
        Raw(params["arguments"]) if "arguments" in params else None,
        Raw(meta["traceparent"]) if "traceparent" in meta else None,
        tuple(malformed),
        task_id_in(meta.get(versions.META_RELATED_TASK)),
    )


def _posted_response(members: dict[str, bytes]) -> RpcRequest:
    """A client's answer to a server's request (legacy era)."""
    if ("result" in members) == ("error" in members):
        raise BadEnvelope(INVALID_REQUEST, "a message must have a method, a result or an error", "not_a_message")
    if "id" not in members:
        raise BadEnvelope(INVALID_REQUEST, "a response must have an id", "bad_id")
    if members["id"] != b"null" or "error" not in members:
        request_id(members["id"])
    return RpcRequest(None, None, None, None, None, None, None, False, True, None)
