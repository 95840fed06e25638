"""The audit trail of a pool: what its audit log says of calls and refusals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from mcppool.observe.audit import audit_logs, now
from mcppool.observe.metrics import PoolMetrics
from mcppool.observe.tracing.span import current
from mcppool.pipeline.call import Call
from mcppool.pipeline.outcome import Outcome
from mcppool.pipeline.settings import Settings
from mcppool.policy.access_names import Glob
from mcppool.policy.principal import Principal
from mcppool.spec.sections.audit import AuditSpec
from mcppool.wire.bulk import BULK
from mcppool.wire.members import UNREADABLE, readable

MAX_TEXT: Final = 512
"""Maximum characters of a text from a client or server."""
MAX_ARGUMENTS: Final = 8 * 1024
"""Maximum bytes of arguments that are written."""
MAX_DEPTH: Final = 64
"""Levels of nested arguments that are written."""
MAX_PRINCIPALS: Final = 256
"""Upper bound on the principals whose encoded form is kept."""
REDACTED: Final = "[redacted]"

_DELIVERED: Final = ("success", "tool_error")
"""Outcomes of calls that a server has executed."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class _CallLine(msgspec.Struct, omit_defaults=True):
    """The line of a call, in the order of its members. What is None is left out."""

    time: str
    event: str
    pool: str
    principal: msgspec.Raw
    client: str | None = None
    method: str | None = None
    name: str | None = None
    allowed: bool | None = None
    rule: str | None = None
    would_be_denied: bool | None = None
    missing_scopes: tuple[str, ...] | None = None
    policy: str | None = None
    request_id: str | None = None
    id: str | None = None
    endpoint: str | None = None
    attempts: int | None = None
    status: str | None = None
    reason: str | None = None
    delivered: str | None = None
    duration_ms: float | None = None
    trace_id: str | None = None
    span_id: str | None = None
    arguments: Any = None


class AuditTrail:
    """Writes the lines of one pool, by one specification of its audit log."""

    def __init__(self, settings: Settings, metrics: PoolMetrics, spec: AuditSpec) -> None:
        self._settings = settings
        self._metrics = metrics
        self.spec = spec
        self._log = audit_logs.take(spec)
        self._redact = [Glob(pattern.casefold()) for pattern in spec.redact]
        self._refuses = spec.overflow == "refuse"
        self._principals: dict[int, tuple[Principal, msgspec.Raw]] = {}  # by identity: clients call again and again

    @property
    def refuses(self) -> bool:
        """Whether calls of tools must not begin, because their record could not be written."""
        return self._refuses and self._log.full

    def close(self, *, wait: bool = True) -> None:
        """Write what waits; with `wait`, before it returns."""
        audit_logs.give_back(self.spec, wait=wait)

    def call(self, call: Call, outcome: Outcome, duration: float) -> None:
        """A call has ended, or was refused; `duration` in seconds."""
        request, decision, allowed = call.request, outcome.decision, True
        missing: tuple[str, ...] = ()
        if decision is not None:
            allowed, missing = decision.allowed, decision.missing
        rules = self._settings.access
        enforced = rules is not None and rules.spec.mode == "enforce"
        failure, span = outcome.failure or outcome.cut, current.get()
        # By position, in the order of the members: arguments by name cost a class a microsecond.
        line = _CallLine(
            now(),
            "call" if allowed or not enforced else "denied",
            self._settings.name,
            self._principal(call.principal),
            call.address or None,
            _cut(request.method or (request.kind if call.verb == b"POST" else call.verb.decode("latin-1"))),
            _cut(request.name) or None,
            allowed or not enforced,
            (decision.rule or None) if decision is not None else None,
            True if not allowed and not enforced else None,
            missing or None,
            rules.version if rules is not None else None,
            (request.id or b"")[:MAX_TEXT].decode("utf-8", "replace") or None,
            outcome.id or None,
            outcome.endpoint.key if outcome.endpoint is not None else None,
            outcome.attempts,
            outcome.status,
            str(failure.reason) if failure is not None else None,
            outcome.delivered if outcome.status not in _DELIVERED else "yes",
            round(duration * 1000, 3),
            span.trace_id if span is not None else None,
            span.span_id if span is not None else None,
            self._arguments(call) if self.spec.arguments and request.method == "tools/call" else None,
        )
        self._write(_encode(line))

    def event(self, event: str, fields: Mapping[str, Any]) -> None:
        """Write one line: time, event, pool, then the fields that are neither None nor empty."""
        said = {key: value for key, value in fields.items() if value not in (None, "")}
        self._write(_encode({"time": now(), "event": event, "pool": self._settings.name, **said}))

    def _write(self, line: bytes) -> None:
        if self._log.write(line, reserve=self._refuses):
            self._metrics.audit_lines += 1
        else:
            self._metrics.audit_dropped += 1

    def _principal(self, principal: Principal) -> msgspec.Raw:
        """The principal as lines name it, encoded."""
        found = self._principals.get(id(principal))
        if found is None:
            if len(self._principals) >= MAX_PRINCIPALS:
                self._principals.clear()
            found = self._principals[id(principal)] = principal, msgspec.Raw(_encode(who(principal)))
        return found[1]

    def _arguments(self, call: Call) -> Any:
        raw = call.request.arguments
        if len(call.body) > BULK:
            return f"left out: the message has {len(call.body)} bytes"
        if raw is None:
            return None
        document = bytes(raw)
        if len(document) > MAX_ARGUMENTS:
            return f"left out: {len(document)} bytes"
        try:
            return self._redacted(_decode(readable(document)), 0)
        except UNREADABLE:
            return "left out: not readable"

    def _redacted(self, value: Any, depth: int) -> Any:
        if depth > MAX_DEPTH:
            return "left out: nested too deeply"
        if isinstance(value, dict):
            return {
                name: REDACTED if self._is_secret(name) else self._redacted(inner, depth + 1)
                for name, inner in value.items()
            }
        if isinstance(value, list):
            return [self._redacted(inner, depth + 1) for inner in value]
        return value

    def _is_secret(self, name: str) -> bool:
        folded = name.casefold()
        return any(glob.fits(folded) for glob in self._redact)


def who(principal: Principal) -> dict[str, str]:
    """A principal, as lines name it: no credential, and no more of a token than the hash of it."""
    fields = {
        "method": principal.method,
        "name": principal.name,
        "issuer": principal.issuer,
        "subject": principal.subject,
        "client_id": principal.client_id,
        "token": principal.token_hash,
    }
    return {key: _cut(value) or "" for key, value in fields.items() if value}


def _cut(text: str | None) -> str | None:
    """A text without what cannot be written, and no longer than a stranger may make a line."""
    if text is None or (len(text) <= MAX_TEXT and text.isascii()):
        return text
    safe = text.encode("utf-8", "replace").decode()
    return safe if len(safe) <= MAX_TEXT else f"{safe[:MAX_TEXT]}… ({len(safe)} characters)"
