"""Judges an answer that passes to the client in parts, by its two ends: the gateway never holds it whole."""

from __future__ import annotations

import re
from typing import Final

from mcppool.pipeline.attempt import Attempt
from mcppool.upstream.failures import BadAnswer
from mcppool.upstream.http.connection import HOLD
from mcppool.wire import tasks
from mcppool.wire.errors import BadEnvelope
from mcppool.wire.large_ids import ID_FIRST, ID_LAST, RESULT_FIRST, RESULT_NEXT, id_at_end
from mcppool.wire.members import BOM
from mcppool.wire.message_ids import canonical_id

TAIL: Final = 2048
"""Bytes at either end of a large answer that are searched for its id."""

_ISSUED: Final = re.compile(rb'"(?:taskId|requestState|input_required)"')
"""Members of a large answer that a client returns to the endpoint which issued them: looked for in its first `HOLD`
bytes, because the search takes as long as the way of the bytes."""

_OBJECT: Final = re.compile(rb"\s*+\{")
_TOOL_ERROR: Final = re.compile(rb'[{,]\s*"isError"\s*:\s*true\s*[,}]')


def may_pass_in_parts(attempt: Attempt) -> bool:
    """Whether the gateway needs nothing of the answer but its id: no session, cursor or task, and no copy for the
    cache."""
    if attempt.plan.kept is not None and attempt.outcome.taker is not None:
        return False  # a taker that only looks, for the workload, does without an answer in parts
    method = attempt.call.request.method or ""
    return method != "initialize" and not method.endswith("/list") and method not in tasks.METHODS


class LargeAnswer:
    """One answer in parts: `begin` with its first part, `pass_on` each part, `end` behind the last one.

    `tail` are its last bytes so far. If the client's id must be put in the place of the server's at the end, `pass_on`
    holds them back until `end`.
    """

    __slots__ = ("_attempt", "_held_back", "_known", "_tool_error", "tail")

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._known = False  # the id stands at the beginning
        self._held_back = False  # `tail` has not gone to the client
        self._tool_error = False
        self.tail: bytes = b""  # a part of the answer, which can be a Bulk

    def begin(self, beginning: bytes) -> bytes | None:
        """The first part for the client, with the client's own id. None if the answer must be read whole.

        Raises BadAnswer if it answers another request, or is no JSON object.
        """
        at = len(BOM) if beginning.startswith(BOM) else 0
        if _OBJECT.match(beginning, at) is None:
            raise BadAnswer("a large body that is not a JSON-RPC message")
        if self._issues(beginning):
            return None
        found = ID_FIRST.match(beginning, at, at + TAIL)
        if found is None and self._attempt.reissue is not None and not RESULT_FIRST.match(beginning, at, at + TAIL):
            return None
        return self._with_id(beginning, found)

    def begin_event(self, beginning: bytes, at: int) -> bytes | None:
        """The same for an event whose data begins at `at`. None also for a message that may not be a result: a server's
        notifications and requests, and errors, are read whole.

        Raises BadAnswer if it answers another request.
        """
        most = at + TAIL
        found = ID_FIRST.match(beginning, at, most)
        if found is None:
            result = RESULT_FIRST.match(beginning, at, most)
        else:
            result = RESULT_NEXT.match(beginning, found.end() - 1, most)
        if result is None or len(beginning[at : result.end()].splitlines()) > 1 or self._issues(beginning):
            return None
        return self._with_id(beginning, found)

    @property
    def held_back(self) -> bytes:
        """The bytes that have not gone to the client."""
        return self.tail if self._held_back else b""

    def pass_on(self, part: bytes) -> bytes:
        """Take the next part; return the bytes that go to the client now."""
        tail = self.tail
        if not self._held_back:
            self.tail = part[-TAIL:] if len(part) >= TAIL else (tail + part)[-TAIL:]
            return part
        if len(part) < TAIL:
            part = tail + part
            self.tail = part[-TAIL:]
            return part[:-TAIL]
        self.tail = part[-TAIL:]
        return b"".join((tail, memoryview(part)[:-TAIL]))

    def end(self, text: bytes) -> bytes:
        """Accept the answer; return the rest of it for the client. `text` is `tail` with spaces in the place of bytes
        that are not JSON.

        Raises BadAnswer if it answers another request, or if the id that must be replaced is not among its last bytes.
        """
        attempt, rest = self._attempt, b""
        if self._held_back:
            rest = self._rest(text)
        elif not self._known:
            last = ID_LAST.search(text)
            if last is not None:
                self._demand_id(last["id"])
        tool_error = self._tool_error or _TOOL_ERROR.search(text) is not None
        attempt.outcome.status = "tool_error" if tool_error else "success"
        if attempt.call.session is not None:
            attempt.context.sessions.note(attempt.call.session, attempt.call.request.method, attempt.call.body)
        return rest

    def _issues(self, beginning: bytes) -> bool:
        return self._attempt.call.session is None and _ISSUED.search(beginning, 0, HOLD) is not None

    def _with_id(self, beginning: bytes, found: re.Match[bytes] | None) -> bytes:
        reissue = self._attempt.reissue
        self._known = found is not None
        self._tool_error = _TOOL_ERROR.search(beginning, 0, TAIL) is not None
        if found is None:
            self._held_back = reissue is not None
            return beginning
        self._demand_id(found["id"])
        if reissue is None:
            return beginning
        start, end = found.span("id")
        return b"%b%b%b" % (beginning[:start], reissue.original, beginning[end:])

    def _rest(self, text: bytes) -> bytes:
        """The tail with the client's own id."""
        reissue = self._attempt.reissue
        assert reissue is not None
        try:
            found = id_at_end(text)
        except BadEnvelope as error:
            raise BadAnswer(f"not JSON-RPC: {error.message}") from None
        if found is None:
            raise BadAnswer(f"a large answer without its id in its first or last {TAIL} bytes")
        start, end = found
        self._demand_id(text[start:end])
        return b"%b%b%b" % (self.tail[:start], reissue.original, self.tail[end:])

    def _demand_id(self, raw: bytes) -> None:
        try:
            id = canonical_id(raw)
        except ValueError:
            raise BadAnswer("an id that is not JSON") from None
        reissue = self._attempt.reissue
        if id != (self._attempt.call.request.id if reissue is None else reissue.id):
            raise BadAnswer("the answer to another request")
