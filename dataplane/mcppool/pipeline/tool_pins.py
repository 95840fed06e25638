"""Pinning of tool definitions (`catalog.pin`): a definition that changes is reported, or its tool withheld."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from typing import Final

import msgspec

from mcppool.observe.limited_log import LimitedLog
from mcppool.observe.metrics import PoolMetrics
from mcppool.policy.tool_pins import Change, ToolPins
from mcppool.small_file import file_version, read_small_file
from mcppool.spec import CatalogSpec
from mcppool.upstream.endpoint import Endpoint
from mcppool.wire.members import UNREADABLE
from mcppool.wire.tool_digest import PREFIX, tool_digest, with_tools

MAX_LOCK_FILE: Final = 16 << 20  # bytes
MAX_REMEMBERED: Final = 10_000  # upper bound on the definitions in answers with remembered digests
NONE: Final[Mapping[str, str]] = {}


AuditEvent = Callable[[str, Mapping[str, object]], None]
"""Writes one line of the audit log: the event and its fields."""


class _Named(msgspec.Struct):
    name: str


class _Lock(msgspec.Struct):
    tools: dict[str, str]


_named = msgspec.json.Decoder(_Named)
_lock = msgspec.json.Decoder(_Lock)


class PinnedTools:
    """The pins of one pool. `changed` has the tools whose definition differs from its pin, by name; `withheld` those
    that clients may not use."""

    def __init__(self, spec: CatalogSpec, metrics: PoolMetrics, log: LimitedLog, audit: AuditEvent) -> None:
        self.changed: dict[str, Change] = {}
        self._spec = spec
        self._metrics = metrics
        self._log = log
        self._audit = audit
        self._seen: object = None
        self._digests: dict[bytes, str] = {}  # by the SHA-256 of a definition's bytes
        self._pins = ToolPins()
        if spec.lock_file is not None:
            self._pins = ToolPins(NONE)
            self.read_again()

    @property
    def withheld(self) -> Mapping[str, Change]:
        """The tools that clients may not use."""
        return self.changed if self._spec.pin == "deny" else {}

    def observe(self, endpoints: Iterable[Endpoint]) -> bool:
        """Compare the tools of the endpoints with the pins; returns whether the result has changed."""
        offers = [
            (endpoint.key, {tool.name: tool.digest for tool in endpoint.catalog.tools.values()})
            for endpoint in endpoints
            if endpoint.catalog is not None
        ]
        before, self.changed = self.changed, self._pins.changes(offers)
        for name in self.changed.keys() - before.keys():
            self._tell(name, self.changed[name])
        for name in before.keys() - self.changed.keys():
            self._log.event("tool_as_pinned", tool=name)
        return before != self.changed

    def visible(self, endpoint: Endpoint, body: bytes) -> bytes:
        """The `tools/list` answer of an endpoint, without tools whose definition differs from its pin if these are
        withheld. Raises BadEnvelope."""
        differs: list[str] = []

        def keep(raw: bytes) -> bool:
            try:
                name = _named.decode(raw).name
            except UNREADABLE:
                return False
            if self._pins.fits(name, self._digest(raw)):
                return name not in self.withheld
            differs.append(name)
            return self._spec.pin != "deny"

        shown = with_tools(body, keep)
        if any(name not in self.changed for name in differs):
            endpoint.wake_prober()  # which finds it, too, and withholds the tool from calls
        return shown

    def read_again(self) -> bool:
        """Read the lock file if it has changed; returns whether there are new pins. If it cannot be read, the pins
        stay; without any pins, every tool differs."""
        path = self._spec.lock_file
        if path is None or (seen := file_version(path)) == self._seen:
            return False
        self._seen = seen
        try:
            self._pins = ToolPins(read_lock(path))
        except (OSError, ValueError) as error:
            self._log.warning("lock_file_refused", file=path, cause=str(error))
            return False
        return True

    def _digest(self, raw: bytes) -> str:
        key = sha256(raw).digest()
        digest = self._digests.get(key)
        if digest is None:
            digest = tool_digest(raw)
            if len(self._digests) >= MAX_REMEMBERED:
                self._digests.clear()
            self._digests[key] = digest
        return digest

    def _tell(self, name: str, change: Change) -> None:
        self._metrics.tool_changes += 1
        fields = {
            "endpoint": change.endpoint,
            "expected": change.expected or "none",
            "seen": change.seen,
            "withheld": self._spec.pin == "deny",
        }
        self._log.warning("tool_changed", tool=name, **fields)
        self._audit("tool_changed", {"name": name, **fields})


def read_lock(path: str) -> dict[str, str]:
    """The pins in a lock file, by tool. Raises OSError, or ValueError if it is none."""
    data = read_small_file(path, MAX_LOCK_FILE + 1)
    if len(data) > MAX_LOCK_FILE:
        raise ValueError(f"it has more than {MAX_LOCK_FILE} bytes")
    try:
        tools = _lock.decode(data).tools
    except UNREADABLE as error:
        raise ValueError(f"it is no lock file, as `mcppool pin URL` writes one: {error}") from error
    for name, digest in tools.items():
        if not digest.startswith(PREFIX):
            raise ValueError(f"the digest of {name!r} does not begin with {PREFIX}")
    return tools
