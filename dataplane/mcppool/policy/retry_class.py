"""The delivery class of a request: whether the gateway may repeat it (design §4.1)."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class RetryClass(IntEnum):
    """The risk of a repetition, lowest first."""

    SAFE = 0
    """Reads by their method: repeated whenever no valid answer came."""
    IDEMPOTENT = 1
    """Tools that the pool lists as such, or that declare it if annotations are trusted: repeated like safe ones."""
    UNSAFE = 2
    """Everything else: repeated only while the request provably never reached a server."""


# For the hot path: an attribute of an enumeration costs ten times as much as a name.
SAFE: Final = RetryClass.SAFE
UNSAFE: Final = RetryClass.UNSAFE

SAFE_METHODS = frozenset(
    {
        "initialize",  # it creates a session, and nothing else; an unused session expires
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
    """The class by the method alone; a `tools/call` is unsafe until its tool is known to be otherwise, and so is a
    message without a method (the answer to a server's question)."""
    if method in SAFE_METHODS:
        return RetryClass.SAFE
    return RetryClass.IDEMPOTENT if method in IDEMPOTENT_METHODS else RetryClass.UNSAFE


def class_of_tool(*, listed: bool | None, read_only: bool | None, idempotent: bool | None, trusted: bool) -> RetryClass:
    """The class of a `tools/call`.

    `listed` is the pool's own `tools.NAME.idempotent` (None: not set) and wins; `read_only` and `idempotent` are the
    tool's annotations, which count only if the pool trusts them.
    """
    if listed is not None:
        return RetryClass.IDEMPOTENT if listed else RetryClass.UNSAFE
    if trusted and (read_only or idempotent):
        return RetryClass.IDEMPOTENT
    return RetryClass.UNSAFE
