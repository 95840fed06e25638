"""One message of a server, decoded only as far as the gateway needs it."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, field

from mcppool.wire.bulk import BULK, outline_of
from mcppool.wire.errors import INVALID_REQUEST, BadEnvelope
from mcppool.wire.members import SHALLOW, read_first, unique_members, without_lone_surrogates
from mcppool.wire.message_ids import canonical_id
from mcppool.wire.raw_values import Kind, check_utf8, envelope_members, is_number, mended, task_id_in, text_in


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


_QUOTE = 0x22
_BACKSLASH = 0x5C
_decode_answer = msgspec.json.Decoder(_Answer).decode


def parse_response(body: bytes) -> RpcResponse:
    """Read one message of a server: a response, or on a stream a notification or (legacy) a request.

    Raises BadEnvelope as `parse_request` does, for a message that no client could take as an answer. The types of
    members inside ``result`` are the client's concern: a member of the wrong type counts as absent.
    """
    if len(body) > BULK:
        body = outline_of(body).text
    try:
        answer = _decode_answer(body) if len(body) <= SHALLOW else read_first(_decode_answer, body)
    except msgspec.ValidationError:
        answer = _answer_carefully(body)
    except (ValueError, RecursionError) as error:
        answer = _answer_carefully(mended(body, error))
    if not body.isascii():
        check_utf8(body)
    if answer.jsonrpc != "2.0":
        raise BadEnvelope(INVALID_REQUEST, 'jsonrpc must be "2.0"', "not_jsonrpc")
    id = None if answer.id is UNSET else bytes(answer.id)
    if id is not None and not id.isdigit() and (id[0] != _QUOTE or _BACKSLASH in id):
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
    members = envelope_members(body)
    answer = _Answer(
        text_in(members.get("jsonrpc")),
        Raw(members["id"]) if "id" in members else UNSET,
        text_in(members.get("method")),
    )
    if "error" in members and members["error"] != b"null":
        code = unique_members(members["error"]).get("code", b"") if members["error"].startswith(b"{") else b""
        if not is_number(code):
            raise BadEnvelope(INVALID_REQUEST, "error is not a JSON-RPC error", "not_a_message")
        answer.error = _Error(_code(code))
    if "result" in members:
        if not members["result"].startswith(b"{"):
            raise BadEnvelope(INVALID_REQUEST, "result is not an object", "not_a_message")
        result = unique_members(members["result"])
        answer.result = _Result(
            result.get("isError") == b"true",
            text_in(result.get("resultType")),
            _opaque(result.get("requestState")),
            _opaque(result.get("taskId")),
            _opaque(result.get("nextCursor")),
            _task(result.get("task")),
        )
    return answer


def _code(raw: bytes) -> int | None:
    """The code of an error; None for a number that cannot be one."""
    number = float(raw)
    return int(number) if number.is_integer() and abs(number) < 2**53 else None


def _task(raw: bytes | None) -> _Task | None:
    """``task`` of an answer, None if it has none."""
    try:
        return None if raw is None else _Task(task_id_in(raw))
    except BadEnvelope:
        return None


def _opaque(raw: bytes | None) -> str | None:
    """A server's string that comes back unchanged later: half a surrogate pair in it becomes U+FFFD."""
    return None if raw is None else text_in(without_lone_surrogates(raw))
