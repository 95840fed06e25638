"""Judges an answer that passes to the client in parts, by its two ends: the gateway never holds it whole."""

from __future__ import annotations

import re
from typing import Final

from mcppool.pipeline.attempt import Attempt
from mcppool.upstream.failures import BadAnswer
from mcppool.upstream.http.connection import HOLD
from mcppool.wire import tasks
from mcppool.wire.large_ids import ID_FIRST, ID_LAST, RESULT_FIRST, RESULT_NEXT
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
    """One answer in parts: `begin` with its first part, `end` with its last bytes."""

    __slots__ = ("_attempt", "_known", "_tool_error")

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._known = False  # the id stands at the beginning
        self._tool_error = False

    def begin(self, beginning: bytes) -> bytes | None:
        """The first part for the client, with the client's own id. None if the answer must be read whole.

        Raises BadAnswer if it answers another request, or is no JSON object.
        """
        at = len(BOM) if beginning.startswith(BOM) else 0
        if _OBJECT.match(beginning, at) is None:
            raise BadAnswer("a large body that is not a JSON-RPC message")
        if self._issues(beginning):
            return None
        return self._with_id(beginning, ID_FIRST.match(beginning, at, at + TAIL))

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

    def end(self, tail: bytes) -> None:
        """Accept the answer, whose last bytes are `tail`. Raises BadAnswer if it answers another request."""
        attempt = self._attempt
        if not self._known:
            self._demand_id(ID_LAST.search(tail))
        tool_error = self._tool_error or _TOOL_ERROR.search(tail) is not None
        attempt.outcome.status = "tool_error" if tool_error else "success"
        if attempt.call.session is not None:
            attempt.context.sessions.note(attempt.call.session, attempt.call.request.method, attempt.call.body)

    def _issues(self, beginning: bytes) -> bool:
        return self._attempt.call.session is None and _ISSUED.search(beginning, 0, HOLD) is not None

    def _with_id(self, beginning: bytes, found: re.Match[bytes] | None) -> bytes | None:
        reissue = self._attempt.reissue
        self._known = found is not None
        self._tool_error = _TOOL_ERROR.search(beginning, 0, TAIL) is not None
        if found is None:
            return beginning if reissue is None else None
        self._demand_id(found)
        if reissue is None:
            return beginning
        start, end = found.span("id")
        return b"%b%b%b" % (beginning[:start], reissue.original, beginning[end:])

    def _demand_id(self, found: re.Match[bytes] | None) -> None:
        if found is None:
            return
        try:
            id = canonical_id(found["id"])
        except ValueError:
            raise BadAnswer("an id that is not JSON") from None
        reissue = self._attempt.reissue
        if id != (self._attempt.call.request.id if reissue is None else reissue.id):
            raise BadAnswer("the answer to another request")
