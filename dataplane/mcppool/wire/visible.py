"""Answers reduced to the objects that a client may use: lists, and the offer of a server."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Final, Literal

import msgspec

from mcppool.wire.errors import INVALID_REQUEST, BadEnvelope
from mcppool.wire.members import UNREADABLE, unique_members, without_lone_surrogates
from mcppool.wire.places import place_of

Kind = Literal["tool", "prompt", "resource"]
Keep = Callable[[Kind, str], bool]
"""Whether the client may use the object of this kind and name."""

LISTS: Final[Mapping[str, tuple[str, str, Kind]]] = {
    "tools/list": ("tools", "name", "tool"),
    "prompts/list": ("prompts", "name", "prompt"),
    "resources/list": ("resources", "uri", "resource"),
    "resources/templates/list": ("resourceTemplates", "uriTemplate", "resource"),
}
"""Method → the member of the result with the list, the member with the name of each item, and the kind of the items."""
OFFERS: Final = frozenset({"server/discover", "initialize"})
"""Methods whose result describes the offer of a server."""

MAX_FILTERED: Final = 4 << 20
"""Bytes of a result above which it is not filtered, because that would take too long in one step."""

_CAPABILITY: Final[Mapping[str, Kind]] = {"tools": "tool", "prompts": "prompt", "resources": "resource"}
_WORDS: Final = re.compile(r"[\w./\-]+")


class _Item(msgspec.Struct):
    name: str | None = None
    uri: str | None = None
    uriTemplate: str | None = None  # noqa: N815 (the wire's spelling)


_item = msgspec.json.Decoder(_Item).decode
_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
_text = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode


def visible_list(body: bytes, method: str, keep: Keep) -> bytes:
    """The answer to a list request with only the items that `keep` accepts, marked as private for caches. The same
    object if nothing changes. An item without a readable name is left out. Raises BadEnvelope."""
    return _with_result(body, lambda members: _shorten(members, method, keep))


def visible_offer(body: bytes, offered: Callable[[Kind], bool], hidden: Iterable[str]) -> bytes:
    """The answer to a request in `OFFERS`, without the capabilities for which `offered` says that the client may use
    nothing, and without `instructions` that contain one of the names in `hidden`. Raises BadEnvelope."""
    return _with_result(body, lambda members: _narrow(members, offered, hidden))


def _with_result(body: bytes, change: Callable[[dict[str, bytes]], bool]) -> bytes:
    place = place_of(body, ("result",))
    if place is None:
        return body
    if place[1] - place[0] > MAX_FILTERED:
        text = f"a list of more than {MAX_FILTERED} bytes, which cannot be shortened"
        raise BadEnvelope(INVALID_REQUEST, text, "too_large")
    result = without_lone_surrogates(bytes(body[place[0] : place[1]]))
    members = unique_members(result)
    changed = change(members)
    if members.get("cacheScope") == b'"public"':
        members["cacheScope"] = b'"private"'
        changed = True
    if not changed:
        return body
    return b"%b%b%b" % (bytes(body[: place[0]]), _object(members), bytes(body[place[1] :]))


def _shorten(members: dict[str, bytes], method: str, keep: Keep) -> bool:
    member, key, kind = LISTS[method]
    if member not in members:
        return False
    try:
        items = _items(members[member])
    except UNREADABLE:
        members[member] = b"[]"
        return True
    read = attrgetter(key)
    kept = [item for item in items if (name := _name(item, read)) is not None and keep(kind, name)]
    if len(kept) == len(items):
        return False
    members[member] = b"[%b]" % b",".join(kept)
    return True


def _name(item: msgspec.Raw, read: Callable[[_Item], str | None]) -> str | None:
    """The name of an item; None if it is unclear."""
    try:
        return read(_item(item))
    except UNREADABLE:
        return None


def _narrow(members: dict[str, bytes], offered: Callable[[Kind], bool], hidden: Iterable[str]) -> bool:
    changed = False
    raw = members.get("capabilities", b"")
    if raw.startswith(b"{"):
        capabilities = unique_members(raw)
        gone = [name for name, kind in _CAPABILITY.items() if name in capabilities and not offered(kind)]
        for name in gone:
            del capabilities[name]
        if gone:
            members["capabilities"] = _object(capabilities)
            changed = True
    if "instructions" in members and _speaks_of(members["instructions"], hidden):
        del members["instructions"]
        changed = True
    return changed


def _speaks_of(raw: bytes, names: Iterable[str]) -> bool:
    try:
        text = _text(raw).casefold()
    except UNREADABLE:
        return True
    words = {part for word in _WORDS.findall(text) for part in (word, word.strip("./-"))}
    return any(
        name in words if _WORDS.fullmatch(name) else name in text for name in (name.casefold() for name in names)
    )


def _object(members: Mapping[str, bytes]) -> bytes:
    return b"{%b}" % b",".join(b"%b:%b" % (_encode(name), value) for name, value in members.items())
