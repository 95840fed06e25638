"""The filter of `subscriptions/listen`, and its arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from mcppool.wire.members import readable

TOOLS_CHANGED = "notifications/tools/list_changed"

_KINDS = {
    TOOLS_CHANGED: "tools",
    "notifications/prompts/list_changed": "prompts",
    "notifications/resources/list_changed": "resources",
}
TASKS: Final = "io.modelcontextprotocol/tasks"
"""The extension whose tasks a client may follow."""
_UPDATED = "notifications/resources/updated"
_MAX_ABOVE = 512  # URIs above one that are checked


class WatchedTask(NamedTuple):
    """A task whose changes a listener wants: the name of its endpoint (`routing.pins`), and its id there."""

    endpoint: bytes
    id: str


@dataclass(frozen=True, slots=True)
class Filter:
    """Lists (`tools`, `prompts`, `resources`), resources and tasks whose changes a listener wants."""

    lists: frozenset[str] = frozenset()
    uris: frozenset[str] = frozenset()
    tasks: frozenset[WatchedTask] = frozenset()

    @property
    def empty(self) -> bool:
        """Whether it is empty."""
        return not self.lists and not self.uris and not self.tasks

    def at(self, endpoint: bytes) -> Filter:
        """The part for one endpoint, by its name: without the tasks of others."""
        if not self.tasks:
            return self
        return Filter(self.lists, self.uris, frozenset(task for task in self.tasks if task.endpoint == endpoint))

    def without(self, other: Filter) -> Filter:
        """The difference: the part that `other` lacks."""
        return Filter(self.lists - other.lists, self.uris - other.uris, self.tasks - other.tasks)

    def common(self, other: Filter) -> Filter:
        """The intersection."""
        return Filter(self.lists & other.lists, self.uris & other.uris, self.tasks & other.tasks)

    def union(self, other: Filter) -> Filter:
        """The union."""
        return Filter(self.lists | other.lists, self.uris | other.uris, self.tasks | other.tasks)

    def within(self, other: Filter) -> bool:
        """Whether it is a subset of `other`."""
        return self.lists <= other.lists and self.uris <= other.uris and self.tasks <= other.tasks

    def wants(self, method: str, uri: str | None) -> bool:
        """Whether it includes an event; an update of a part of a watched resource counts."""
        if method == _UPDATED:
            return uri is not None and not self.uris.isdisjoint(_at_or_above(uri))
        return _KINDS.get(method) in self.lists

    def wire(self) -> dict[str, object]:
        """As `params.notifications` of a request to the endpoint that has its tasks."""
        wire: dict[str, object] = {f"{name}ListChanged": True for name in sorted(self.lists)}
        if self.uris:
            wire["resourceSubscriptions"] = sorted(self.uris)
        if self.tasks:
            wire["taskIds"] = sorted(task.id for task in self.tasks)
        return wire

    def honoured(self, discover: bytes | None) -> Filter:
        """The part that a server with this `server/discover` result can deliver."""
        if discover is None:
            return self
        offers = _offers(discover)
        lists = frozenset(name for name in self.lists if (name, "listChanged") in offers)
        return Filter(lists, self.uris if ("resources", "subscribe") in offers else frozenset(), self.tasks)


class _Wanted(msgspec.Struct):
    toolsListChanged: bool = False  # noqa: N815 (the wire's spelling, here and below)
    promptsListChanged: bool = False  # noqa: N815
    resourcesListChanged: bool = False  # noqa: N815
    resourceSubscriptions: list[str] = []  # noqa: N815


class _Params(msgspec.Struct):
    notifications: _Wanted = msgspec.field(default_factory=_Wanted)


class _Request(msgspec.Struct):
    params: _Params = msgspec.field(default_factory=_Params)


_request = msgspec.json.Decoder(_Request)
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


def parse_filter(body: bytes) -> Filter:
    """The filter of a listen request. Raises one of `UNREADABLE` if `params.notifications` is malformed."""
    wanted = _request.decode(readable(body)).params.notifications
    kinds = {
        "tools": wanted.toolsListChanged,
        "prompts": wanted.promptsListChanged,
        "resources": wanted.resourcesListChanged,
    }
    return Filter(frozenset(name for name, yes in kinds.items() if yes), frozenset(wanted.resourceSubscriptions))


def _offers(discover: bytes) -> frozenset[tuple[str, str]]:
    """The notifications that a server offers, as (`resources`, `subscribe`). Malformed capabilities offer nothing, and
    each counts for itself."""
    capabilities = _members(_members(discover).get("capabilities", b""))
    return frozenset(
        (name, what)
        for name in ("tools", "prompts", "resources")
        for what, value in _members(capabilities.get(name, b"")).items()
        if bytes(value) == b"true"
    )


def offers_tasks(discover: bytes | None) -> bool:
    """Whether a server with this `server/discover` result has the tasks extension."""
    if discover is None:
        return True
    return TASKS in _members(_members(_members(discover).get("capabilities", b"")).get("extensions", b""))


def _members(raw: bytes | msgspec.Raw) -> dict[str, msgspec.Raw]:
    try:
        return _object.decode(raw)
    except (msgspec.MsgspecError, RecursionError):
        return {}


@lru_cache(maxsize=16)
def _at_or_above(uri: str) -> frozenset[str]:
    """The URI and each URI above it, with and without a slash at the end."""
    above = {uri}
    end = uri.find("/")
    while end >= 0 and len(above) < _MAX_ABOVE:
        above |= {uri[:end], uri[: end + 1]}
        end = uri.find("/", end + 1)
    return frozenset(above)


def list_of(method: str) -> str | None:
    """The list that a notification declares changed."""
    return _KINDS.get(method)


def refetch_notices(filter: Filter) -> list[bytes]:
    """Notifications that make a client fetch again everything that it watches."""
    meta = {"_meta": {"io.modelcontextprotocol/subscriptionId": None}}
    notices: list[dict[str, object]] = [
        {"jsonrpc": "2.0", "method": method, "params": meta} for method, kind in _KINDS.items() if kind in filter.lists
    ]
    notices += [{"jsonrpc": "2.0", "method": _UPDATED, "params": {**meta, "uri": uri}} for uri in sorted(filter.uris)]
    return [msgspec.json.encode(notice) for notice in notices]
