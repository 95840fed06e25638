"""The requests that access rules decide on, and their decisions.

A request acts on a tool, a prompt or a resource, or on nothing. Requests that only carry a conversation (`PLUMBING`)
and act on nothing are allowed to every client that some allow rule concerns.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, NamedTuple

from mcppool.policy.access_names import Kind, fold

NOT_ALLOWED: Final = "not_allowed"
"""Stands for a rule's name: no allow rule allows the request."""
TOOL_OVERRIDE: Final = "tools.access"
"""Stands for a rule's name: `tools."…".access` denies the tool."""

ACTS_ON: Final[dict[str, Kind]] = {
    "tools/call": "tool",
    "prompts/get": "prompt",
    "resources/read": "resource",
    "resources/subscribe": "resource",
    "resources/unsubscribe": "resource",
}
"""Method → the kind of object in its `params.name` or `params.uri`."""

PRIMARY: Final[dict[Kind, str]] = {"tool": "tools/call", "prompt": "prompts/get", "resource": "resources/read"}
"""Kind → the method that uses the listed objects of this kind."""

COMPLETION: Final = "completion/complete"
SUBSCRIPTION: Final = "subscriptions/listen"

PLUMBING: Final = frozenset(
    {
        "initialize", "ping", "server/discover", "logging/setLevel", "tools/list", "prompts/list", "resources/list",
        "resources/templates/list", "tasks/get", "tasks/result", "tasks/cancel", "tasks/update", SUBSCRIPTION,
        "notifications/initialized", "notifications/cancelled", "notifications/progress",
        "notifications/roots/list_changed", "GET", "DELETE", "response",
    }
)  # fmt: skip
"""Methods that act on no object of the rules. Lists and subscriptions show a client only objects that it may use, and a
task belongs to the client that began it. `tasks/list` is not here: many servers list the tasks of all their clients."""

KNOWN: Final = frozenset(PLUMBING | ACTS_ON.keys() | {COMPLETION, "tasks/list"})
"""Every method that rules know."""

FOLDED: Final = frozenset(map(fold, KNOWN))
"""The same, as a lenient server reads them."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a request is allowed. `rule` is the name of the deciding rule: the deny rule, or one allow rule; if no
    rule concerns the request, it is empty, or `NOT_ALLOWED`. `missing` are the additional scopes that a token would
    need, if more scopes would be enough."""

    allowed: bool
    rule: str = ""
    missing: tuple[str, ...] = ()


ALLOWED: Final = Decision(True)
REFUSED: Final = Decision(False, NOT_ALLOWED)


class Request(NamedTuple):
    """The facts about a request that rules use. `kind` and `name` are those of the object that it acts on. `arguments`
    are the names of its arguments; None if they are unknown."""

    method: str
    kind: Kind | None = None
    name: str | None = None
    arguments: Collection[str] | None = ()
