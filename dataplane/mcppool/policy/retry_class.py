"""The delivery class of a request: which calls may be repeated (design §4.1)."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class RetryClass(IntEnum):
    """How much risk a repetition carries, least first."""

    SAFE = 0
    """Reads by their very method: repeated whenever no valid answer came."""
    IDEMPOTENT = 1
    """Tools that the pool lists as such, or that say so where annotations are trusted: repeated like safe ones."""
    UNSAFE = 2
    """Everything else: repeated only while the request provably never reached a server."""


# For the hot path: an attribute of an enumeration costs ten times what a name costs.
SAFE: Final = RetryClass.SAFE
UNSAFE: Final = RetryClass.UNSAFE

SAFE_METHODS = frozenset(
    {
        "initialize",  # makes a session, and nothing else; one that nobody uses expires
        "server/discover",
        "tools/list",
        "prompts/list",
        "resources/list",
        "resources/templates/list",
        "resources/read",
        "prompts/get",
        "completion/complete",
        "tasks/get",
        "tasks/list",
        "tasks/result",
        "ping",
    }
)


IDEMPOTENT_METHODS = frozenset(
    {
        "logging/setLevel",
        "resources/subscribe",
        "resources/unsubscribe",
        "tasks/cancel",
        "notifications/initialized",
        "notifications/cancelled",
        "notifications/progress",
        "notifications/roots/list_changed",
    }
)


def class_of_method(method: str | None) -> RetryClass:
    """The class that the method alone gives; a `tools/call` is unsafe until its tool is known to be otherwise, and so
    is whatever has no method (the answer to a server's question)."""
    if method in SAFE_METHODS:
        return RetryClass.SAFE
    return RetryClass.IDEMPOTENT if method in IDEMPOTENT_METHODS else RetryClass.UNSAFE


def class_of_tool(*, listed: bool | None, read_only: bool | None, idempotent: bool | None, trusted: bool) -> RetryClass:
    """The class of a `tools/call`.

    `listed` is what the pool's own `tools.NAME.idempotent` says (None: nothing) and wins; `read_only` and `idempotent`
    are the tool's annotations, which count only where the pool trusts them.
    """
    if listed is not None:
        return RetryClass.IDEMPOTENT if listed else RetryClass.UNSAFE
    if trusted and (read_only or idempotent):
        return RetryClass.IDEMPOTENT
    return RetryClass.UNSAFE
