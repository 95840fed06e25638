"""JSON-RPC messages, decoded only as far as the gateway needs them; the bytes themselves are passed on.

The hot path is one msgspec decode into typed structs, and one encode of them, which proves that the bytes hold nothing
else of importance (`parse_request`). Unusual messages take the slow path, which finds the precise error.
"""

from __future__ import annotations

import json
from math import isfinite
from typing import Final, Literal

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, field

from mcppool.wire import versions
from mcppool.wire.bulk import BULK, outline_of
from mcppool.wire.errors import INVALID_REQUEST, PARSE_ERROR, BadEnvelope
from mcppool.wire.headers import NAME_ATTRIBUTE
from mcppool.wire.lookalikes import ENVELOPE, META, PARAMS, refuse_lookalikes
from mcppool.wire.members import (
    BOM,
    read_first,
    unique_members,
    why_unreadable,
    without_lone_surrogates,
)
from mcppool.wire.places import replace_at
from mcppool.wire.tasks import RELATED

__all__ = [
    "BadEnvelope",
    "RpcRequest",
    "RpcResponse",
    "parse_request",
    "parse_response",
    "replace_id",
    "rewrite_ids",
]

Kind = Literal["request", "notification", "response"]

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


class RpcResponse(Struct, frozen=True, gc=False):
    """One message of a server."""

    kind: Kind
    method: str | None
    id: bytes | None
    """Canonical JSON of the id (`canonical_id`), comparable with `Request.id`; ``b"null"`` for an error without one."""
    is_error: bool
    error_code: int | None
    tool_error: bool
    """``result.isError``: the tool itself failed, which is an answer."""
    result_type: str | None
    request_state: str | None
    task_id: str | None
    """The id of the task in the answer, in the form of either era."""
    next_cursor: str | None


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


class _Error(Struct, gc=False):
    code: int | None
    """None for an unknown error code."""


class _Task(Struct, gc=False):
    task_id: str | None = field(name="taskId", default=None)


class _Result(Struct, gc=False):
    is_error: bool = field(name="isError", default=False)
    result_type: str | None = field(name="resultType", default=None)
    request_state: str | None = field(name="requestState", default=None)
    task_id: str | None = field(name="taskId", default=None)
    next_cursor: str | None = field(name="nextCursor", default=None)
    task: _Task | None = None


class _Answer(Struct, gc=False):
    jsonrpc: str | None = None
    id: Raw | UnsetType = UNSET
    method: str | None = None
    result: _Result | None = None
    error: _Error | None = None


_decode_message = msgspec.json.Decoder(_Message).decode
_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_any = msgspec.json.Decoder().decode
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
        message = read_first(_decode_message, body)
    except msgspec.ValidationError:
        return _parse_carefully(body)
    except (ValueError, RecursionError) as error:
        return _parse_carefully(_readable(body, error))
    method = message.method
    # Encoding the parsed message gives its shortest form. If the body is no longer, it holds no repeated and no unknown
    # member and no white space around members; otherwise the slow path finds the cause.
    if _encoded_size(message, len(body)) != len(body) or method is None or message.jsonrpc != "2.0":
        return _parse_carefully(body)
    if not body.isascii():
        _check_utf8(body)
    params = message.params or _NO_PARAMS
    meta = params.meta or _NO_META
    attribute = _ATTRIBUTE.get(method)
    id = None if message.id is UNSET else bytes(message.id)
    return RpcRequest(
        method,
        id if id is None or id.isdigit() else _request_id(id),
        None if attribute is None else getattr(params, attribute),
        params.cursor,
        params.request_state,
        meta.progress_token or None,
        meta.protocol_version,
        meta.capabilities is not UNSET,
        False,
        params.arguments or None,
    )


def _encoded_size(message: _Message, size: int) -> int:
    """Size of the encoded message in bytes; the arguments of a large one (`size` bytes) are not copied."""
    params = message.params
    if size < _LARGE or params is None or params.arguments is UNSET:
        return len(_encode(message))
    arguments = params.arguments
    params.arguments = _DIGIT
    encoded = len(_encode(message)) - 1 + memoryview(arguments).nbytes
    params.arguments = arguments
    return encoded


def _parse_carefully(body: bytes) -> RpcRequest:
    """The slow path of `parse_request`, for unusual or wrong messages."""
    _check_utf8(body)
    members = _envelope(body)
    refuse_lookalikes(members, ENVELOPE)
    if members.get("jsonrpc") != b'"2.0"' and _text(members.get("jsonrpc")) != "2.0":
        raise BadEnvelope(INVALID_REQUEST, 'jsonrpc must be "2.0"', "not_jsonrpc")
    if "method" not in members:
        return _posted_response(members)
    method = _text(members["method"])
    if method is None:
        raise BadEnvelope(INVALID_REQUEST, "method must be a string", "bad_method")
    id = _request_id(members["id"]) if "id" in members else None
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
        decoded = _text(value)
        if decoded is None and value != b"null":
            malformed.append(path + name)
        return decoded

    name_member = _NAME_MEMBERS.get(method)
    version = meta.get(versions.META_PROTOCOL_VERSION)
    if version is not None and _text(version) is None:
        malformed.append(f"params._meta.{versions.META_PROTOCOL_VERSION}")
    return RpcRequest(
        method,
        id,
        None if name_member is None else text(params, name_member, "params."),
        text(params, "cursor", "params."),
        text(params, "requestState", "params."),
        Raw(meta[versions.META_PROGRESS_TOKEN]) if versions.META_PROGRESS_TOKEN in meta else None,
        None if version is None else _text(version),
        versions.META_CLIENT_CAPABILITIES in meta,
        False,
        Raw(params["arguments"]) if "arguments" in params else None,
        tuple(malformed),
        _task_id(meta.get(RELATED)),
    )


def _posted_response(members: dict[str, bytes]) -> RpcRequest:
    """A client's answer to a server's request (legacy era)."""
    if ("result" in members) == ("error" in members):
        raise BadEnvelope(INVALID_REQUEST, "a message must have a method, a result or an error", "not_a_message")
    if "id" not in members:
        raise BadEnvelope(INVALID_REQUEST, "a response must have an id", "bad_id")
    if members["id"] != b"null" or "error" not in members:
        _request_id(members["id"])
    return RpcRequest(None, None, None, None, None, None, None, False, True, None)


def parse_response(body: bytes) -> RpcResponse:
    """Read one message of a server: a response, or on a stream a notification or (legacy) a request.

    Raises BadEnvelope as `parse_request` does, for a message that no client could take as an answer. The types of
    members inside ``result`` are the client's concern: a member of the wrong type counts as absent.
    """
    if len(body) > BULK:
        body = outline_of(body).text
    try:
        answer = read_first(_decode_answer, body)
    except msgspec.ValidationError:
        answer = _answer_carefully(body)
    except (ValueError, RecursionError) as error:
        answer = _answer_carefully(_readable(body, error))
    if not body.isascii():
        _check_utf8(body)
    if answer.jsonrpc != "2.0":
        raise BadEnvelope(INVALID_REQUEST, 'jsonrpc must be "2.0"', "not_jsonrpc")
    id = None if answer.id is UNSET else bytes(answer.id)
    if id is not None and not id.isdigit():
        id = canonical_id(id)
    result = answer.result
    if answer.method is not None:
        kind: Kind = "notification" if id is None else "request"
        return RpcResponse(kind, answer.method, id, False, None, False, None, None, None, None)
    if answer.error is not None:
        if result is not None:
            raise BadEnvelope(INVALID_REQUEST, "a response must not have both a result and an error", "not_a_message")
        return RpcResponse("response", None, id or b"null", True, answer.error.code, False, None, None, None, None)
    if result is None or id is None:
        raise BadEnvelope(INVALID_REQUEST, "neither a method, nor an id with a result, nor an error", "not_a_message")
    return RpcResponse(
        "response",
        None,
        id,
        False,
        None,
        result.is_error,
        result.result_type,
        result.request_state,
        result.task_id or (None if result.task is None else result.task.task_id),
        result.next_cursor,
    )


def _answer_carefully(body: bytes) -> _Answer:
    """The slow path of `parse_response`, for members of an unexpected type."""
    members = _envelope(body)
    answer = _Answer(
        _text(members.get("jsonrpc")), Raw(members["id"]) if "id" in members else UNSET, _text(members.get("method"))
    )
    if "error" in members and members["error"] != b"null":
        code = unique_members(members["error"]).get("code", b"") if members["error"].startswith(b"{") else b""
        if not _is_number(code):
            raise BadEnvelope(INVALID_REQUEST, "error is not a JSON-RPC error", "not_a_message")
        answer.error = _Error(_code(code))
    if "result" in members:
        if not members["result"].startswith(b"{"):
            raise BadEnvelope(INVALID_REQUEST, "result is not an object", "not_a_message")
        result = unique_members(members["result"])
        answer.result = _Result(
            result.get("isError") == b"true",
            _text(result.get("resultType")),
            _opaque(result.get("requestState")),
            _opaque(result.get("taskId")),
            _opaque(result.get("nextCursor")),
            _task(result.get("task")),
        )
    return answer


def canonical_id(raw: bytes) -> bytes:
    """The canonical JSON of an id, so that ids compare as bytes: ``"a\\/b"`` is ``"a/b"``, ``1.0`` is ``1``.

    Peers may respell an id that they repeat. Raises ValueError if it is no JSON.
    """
    if b"\\" in raw:
        try:
            return _encode(_decode_any(raw))
        except ValueError:  # half a surrogate pair, which only the standard library accepts
            return json.dumps(json.loads(raw)).encode()
    if raw[0] in b"-0123456789" and not _is_integer(raw):
        number = float(raw)
        if number.is_integer() and abs(number) < 2**53:
            return b"%d" % number
        return repr(number).encode() if isfinite(number) else raw
    return b"0" if raw == b"-0" else raw


def replace_id(body: bytes, new_id: bytes) -> bytes:
    """The message with the raw JSON `new_id` as its id; every other byte stays. Raises BadEnvelope."""
    return replace_at(body, ("id",), new_id)


def rewrite_ids(
    body: bytes,
    *,
    id: bytes | None = None,
    progress_token: bytes | None = None,
    subscription_id: bytes | None = None,
) -> bytes:
    """The message with the given values (raw JSON) in all places of the ids; None leaves a place unchanged, and absent
    places stay absent.

    The id: top level. The progress token: ``params._meta`` of requests and ``params`` of ``notifications/progress``.
    The subscription id, which is the listen request's id: ``_meta`` of notifications and of the listen result. Raises
    BadEnvelope.
    """
    if id is not None:
        body = replace_at(body, ("id",), id)
    if progress_token is not None:
        body = replace_at(body, ("params", "_meta", versions.META_PROGRESS_TOKEN), progress_token)
        body = replace_at(body, ("params", "progressToken"), progress_token)
    if subscription_id is not None:
        for part in ("params", "result"):
            body = replace_at(body, (part, "_meta", versions.META_SUBSCRIPTION_ID), subscription_id)
    return body


def _envelope(body: bytes) -> dict[str, bytes]:
    if body.lstrip(b" \t\n\r").startswith(b"["):
        try:
            _decode_any(body)
        except (ValueError, RecursionError) as error:
            raise _not_json(error) from None
        raise BadEnvelope(INVALID_REQUEST, "batches are not supported: send one message at a time", "batch")
    return read_first(unique_members, body)


def _request_id(raw: bytes) -> bytes:
    if raw.isdigit():
        return raw
    if raw.startswith(b'"'):
        return canonical_id(raw) if b"\\" in raw else raw
    if _is_number(raw):
        return canonical_id(raw)
    raise BadEnvelope(INVALID_REQUEST, "id must be a string or a number", "bad_id")


def _is_integer(raw: bytes) -> bool:
    return raw.removeprefix(b"-").isdigit()


def _is_number(raw: bytes) -> bool:
    """Whether raw JSON is a number."""
    return raw[:1] in (b"-", b"0", b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"8", b"9")


def _code(raw: bytes) -> int | None:
    """The code of an error; None for a number that cannot be one."""
    number = float(raw)
    return int(number) if number.is_integer() and abs(number) < 2**53 else None


def _text(raw: bytes | None) -> str | None:
    """The string in raw JSON; None if it is no string, or has half a surrogate pair: readers disagree on that, so no
    decision may depend on it."""
    if raw is None or not raw.startswith(b'"'):
        return None
    try:
        text: str = _decode_any(raw)
    except ValueError:
        return None
    return text


def _task_id(raw: bytes | None) -> str | None:
    """``taskId`` of an object, None if it has none or is no object. Raises BadEnvelope if a name occurs twice."""
    return None if raw is None or not raw.startswith(b"{") else _text(unique_members(raw).get("taskId"))


def _task(raw: bytes | None) -> _Task | None:
    """``task`` of an answer, None if it has none."""
    try:
        return None if raw is None else _Task(_task_id(raw))
    except BadEnvelope:
        return None


def _opaque(raw: bytes | None) -> str | None:
    """A server's string that comes back unchanged later: half a surrogate pair in it becomes U+FFFD."""
    return None if raw is None else _text(without_lone_surrogates(raw))


def _readable(body: bytes, error: Exception) -> bytes:
    """A body that our parser refuses, without a leading byte order mark, for the slow path, which accepts halves of
    surrogate pairs. Raises BadEnvelope if `error` has another cause."""
    bare = body.removeprefix(BOM)
    if len(bare) == len(body) and without_lone_surrogates(body) == body:
        raise _not_json(error) from None
    return bare


def _check_utf8(body: bytes) -> None:
    """Raise BadEnvelope for bytes that are not UTF-8: msgspec does not check skipped values."""
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise _not_json(error) from None


def _not_json(error: Exception) -> BadEnvelope:
    return BadEnvelope(PARSE_ERROR, why_unreadable(error), "not_json")
