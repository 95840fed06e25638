"""Events about resources: a client gets only those that it may subscribe to."""

from __future__ import annotations

import msgspec

from mcppool.pipeline.settings import Settings
from mcppool.policy.access_request import Request
from mcppool.policy.principal import Principal
from mcppool.wire.members import UNREADABLE, readable

UPDATED = "notifications/resources/updated"


class _Params(msgspec.Struct):
    uri: str


class _Update(msgspec.Struct):
    params: _Params


_update = msgspec.json.Decoder(_Update).decode


def may_hear(settings: Settings, principal: Principal, uri: str) -> bool:
    """Whether the principal may get changes of a resource."""
    rules = settings.access
    if rules is None or rules.spec.mode != "enforce":
        return True
    return rules.grant(principal).decide(Request("resources/subscribe", "resource", uri)).allowed


def shows_event(settings: Settings, principal: Principal, method: str | None, data: bytes) -> bool:
    """Whether the principal may get a server's message."""
    if method != UPDATED or settings.access is None:
        return True
    try:
        return may_hear(settings, principal, _update(readable(data)).params.uri)
    except UNREADABLE:
        return False
