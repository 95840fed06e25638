"""Finds the id of a message too large to read: clients and servers put it first or last."""

from __future__ import annotations

import re
from typing import Final

from mcppool.wire.errors import BadEnvelope
from mcppool.wire.members import spans

_ID: Final = rb'"id"\s*:\s*(?P<id>"(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*|null)'
_VERSION: Final = rb'"jsonrpc"\s*:\s*"2\.0"'
ID_FIRST: Final = re.compile(rb"\s*\{\s*(?:%b\s*,\s*)?%b\s*[,}]" % (_VERSION, _ID))
"""Matches the beginning of a message with its id before all members but the version."""
ID_LAST: Final = re.compile(rb"[,{]\s*(?:%b\s*,\s*)?%b\s*(?:,\s*%b\s*)?\}\s*\Z" % (_VERSION, _ID, _VERSION))
"""Finds, in the end of a message, an id that only the version follows."""
_ID_MEMBER: Final = re.compile(rb'[,{]\s*(?="id"\s*:)')
RESULT_FIRST: Final = re.compile(rb'\s*\{\s*(?:%b\s*,\s*)?"result"\s*:' % _VERSION)
"""Matches the beginning of a response with its result before its id, as TypeScript servers write it."""
RESULT_NEXT: Final = re.compile(rb',\s*"result"\s*:')
"""Matches the result behind an id that `ID_FIRST` found."""
_RESPONSE_MEMBER: Final = re.compile(rb'\s*,\s*"(?:result|error)"\s*:')


def id_at_end(end: bytes) -> tuple[int, int] | None:
    """(start, end) of the id of a message in the end of its JSON, whatever members follow it; None if it is not there.

    A name behind a comma or a brace begins a member. If the rest of the message is an object once a brace is put before
    it, the last brace closes the object of this member, so it is a member of the message itself. Raises BadEnvelope if
    one of these members occurs twice.
    """
    for member in _ID_MEMBER.finditer(end):
        at = member.end() - 1
        try:
            start, stop = spans(b"{" + end[at + 1 :])["id"]
        except BadEnvelope as error:
            if error.reason == "repeated_member":
                raise
        else:
            return at + start, at + stop
    return None


def request_id(ends: bytes) -> bytes | None:
    """The JSON text of a request's id, from the beginning and the end of its body. None if it is not found, or if the
    message is a response."""
    first = ID_FIRST.match(ends)
    if first is not None:
        response = _RESPONSE_MEMBER.match(ends, first.end() - 1) is not None
        return None if response or first["id"] == b"null" else first["id"]
    last = ID_LAST.search(ends)
    return None if last is None or last["id"] == b"null" else last["id"]
