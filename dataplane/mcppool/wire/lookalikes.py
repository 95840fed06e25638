"""Members that other readers confuse with members that the gateway reads.

Many readers of JSON ignore case: Go's takes ``Name`` for ``name``, and a long s or the Kelvin sign for the letter, and
the last of them wins. Others end a name at a NUL. A member that the gateway decides by must be the same one for the
server, so such a message is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from mcppool.wire import versions
from mcppool.wire.errors import INVALID_REQUEST, BadEnvelope


def fold(name: str) -> str:
    """The name as the most lenient reader sees it."""
    return name.partition("\0")[0].casefold()


def _folded(*names: str) -> Mapping[str, str]:
    return {fold(name): name for name in names}


ENVELOPE: Final = _folded("jsonrpc", "id", "method", "params", "result", "error")
PARAMS: Final = _folded(
    "name", "uri", "taskId", "cursor", "requestState", "arguments", "_meta", "inputResponses", "notifications", "ref",
    "argument", "level", "task", "protocolVersion", "capabilities", "clientInfo", "progressToken", "requestId",
)  # fmt: skip
META: Final = _folded(
    versions.META_PROTOCOL_VERSION, versions.META_CLIENT_CAPABILITIES, versions.META_CLIENT_INFO,
    versions.META_LOG_LEVEL, versions.META_SUBSCRIPTION_ID, versions.META_PROGRESS_TOKEN, "traceparent", "tracestate",
    "baggage",
)  # fmt: skip


def refuse_lookalikes(members: Iterable[str], known: Mapping[str, str]) -> None:
    """Raise BadEnvelope if a name equals a known one, or another one of the same object, except for case."""
    seen: set[str] = set()
    for name in members:
        folded = fold(name)
        exact = known.get(folded, name)
        if exact != name:
            raise BadEnvelope(
                INVALID_REQUEST,
                f"member {name[:64]!r} is not {exact!r}, and some readers take it for that",
                "lookalike",
            )
        if folded in seen:
            message = f"member {name[:64]!r} appears more than once, in different case"
            raise BadEnvelope(INVALID_REQUEST, message, "lookalike")
        seen.add(folded)
