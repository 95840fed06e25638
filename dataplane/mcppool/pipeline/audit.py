"""The audit trail of a pool: what its audit log says of calls and refusals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from mcppool.observe.audit import audit_logs, now
from mcppool.observe.metrics import PoolMetrics
from mcppool.observe.tracing.span import current
from mcppool.pipeline.call import Call
from mcppool.pipeline.outcome import Outcome
from mcppool.pipeline.settings import Settings
from mcppool.policy.access_names import Glob
from mcppool.policy.access_request import Decision
from mcppool.policy.access_rules import AccessRules
from mcppool.policy.principal import Principal
from mcppool.spec.sections.audit import AuditSpec
from mcppool.upstream.endpoint import Endpoint
from mcppool.wire.bulk import BULK
from mcppool.wire.members import UNREADABLE, readable

MAX_TEXT: Final = 512
"""Maximum characters of a text from a client or server."""
MAX_ARGUMENTS: Final = 8 * 1024
"""Maximum bytes of arguments that are written."""
MAX_DEPTH: Final = 64
"""Levels of nested arguments that are written."""
MAX_KNOWN: Final = 1024
"""Upper bound on the subjects, and on the endpoints, whose encoded form is kept."""
REDACTED: Final = "[redacted]"

_DELIVERED: Final = ("success", "tool_error")
"""Outcomes of calls that a server has executed."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class _Subject(msgspec.Struct, omit_defaults=True):
    """The members of a call's line behind its time that calls of one client to one tool share, in their order. What is
    None is left out."""

    event: str
    pool: str
    principal: dict[str, str]
    client: str | None = None
    method: str | None = None
    name: str | None = None
    allowed: bool | None = None
    rule: str | None = None
    would_be_denied: bool | None = None
    missing_scopes: tuple[str, ...] | None = None
    policy: str | None = None


class _Course(msgspec.Struct, omit_defaults=True):
    """The members behind these."""

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


class _Known(NamedTuple):
    """The encoded members of `_Subject`, and what they were made from."""

    principal: Principal | None
    decision: Decision | None
    rules: AccessRules | None
    members: bytes


_UNKNOWN: Final = _Known(None, None, None, b"")
"""Of no call."""


class AuditTrail:
    """Writes the lines of one pool, by one specification of its audit log. `may_refuse`: a full one refuses calls."""

    def __init__(self, settings: Settings, metrics: PoolMetrics, spec: AuditSpec) -> None:
        self._settings = settings
        self._metrics = metrics
        self.spec = spec
        self._log = audit_logs.take(spec)
        self._redact = [Glob(pattern.casefold()) for pattern in spec.redact]
        self.may_refuse = spec.overflow == "refuse"
        # By the identity of the principal, the address, the method and the name: clients call again and again.
        self._known: dict[tuple[int, str, str | None, str | None], _Known] = {}
        # By endpoint, the members of `_Course` behind `request_id` of a call that has succeeded at once.
        self._successes: dict[str, bytes] = {}

    @property
    def refuses(self) -> bool:
        """Whether calls of tools must not begin, because their record could not be written."""
        return self.may_refuse and self._log.full

    def close(self, *, wait: bool = True) -> None:
        """Write what waits; with `wait`, before it returns."""
        audit_logs.give_back(self.spec, wait=wait)

    def call(self, call: Call, outcome: Outcome, duration: float) -> None:
        """A call has ended, or was refused; `duration` in seconds."""
        request, principal, rules = call.request, call.principal, self._settings.access
        key = id(principal), call.address, request.method, request.name
        # The parts of a tuple are read more slowly by name.
        of, decision, made_by, members = self._known.get(key, _UNKNOWN)
        if of is not principal or decision is not outcome.decision or made_by is not rules:
            members = self._subject(call, outcome.decision, rules)
            self._remember(key, _Known(principal, outcome.decision, rules, members))
        number, endpoint = request.id, outcome.endpoint
        if (
            outcome.status == "success"
            and outcome.attempts == 1
            and outcome.failure is None
            and outcome.cut is None
            and not outcome.id
            and endpoint is not None
            and number is not None
            and number.isdigit()
            and len(number) <= MAX_TEXT
            and not self.spec.arguments
            and current.get() is None
        ):  # almost every call: only three members vary
            course = self._successes.get(endpoint.key) or self._success(endpoint)
            microseconds = int(duration * 1e6 + 0.5)
            line = b'{"time":"%b",%b,"request_id":"%b",%b,"duration_ms":%d.%03d}' % (
                now(), members, number, course, microseconds // 1000, microseconds % 1000,
            )  # fmt: skip
        else:
            line = b'{"time":"%b",%b,%b' % (now(), members, _encode(self._course(call, outcome, duration))[1:])
        self._write(line)

    def _success(self, endpoint: Endpoint) -> bytes:
        """The members of a call that has succeeded at once, but for the request's id and the duration."""
        members = _encode(_Course(endpoint=endpoint.key, attempts=1, status="success", delivered="yes"))[1:-1]
        if len(self._successes) >= MAX_KNOWN:
            self._successes.clear()
        self._successes[endpoint.key] = members
        return members

    def _course(self, call: Call, outcome: Outcome, duration: float) -> _Course:
        failure, span = outcome.failure or outcome.cut, current.get()
        return _Course(
            request_id=(call.request.id or b"")[:MAX_TEXT].decode("utf-8", "replace") or None,
            id=outcome.id or None,
            endpoint=outcome.endpoint.key if outcome.endpoint is not None else None,
            attempts=outcome.attempts,
            status=outcome.status,
            reason=str(failure.reason) if failure is not None else None,
            delivered=outcome.delivered if outcome.status not in _DELIVERED else "yes",
            duration_ms=round(duration * 1000, 3),
            trace_id=span.trace_id if span is not None else None,
            span_id=span.span_id if span is not None else None,
            arguments=self._arguments(call) if self.spec.arguments and call.request.method == "tools/call" else None,
        )

    def _subject(self, call: Call, decision: Decision | None, rules: AccessRules | None) -> bytes:
        request, allowed = call.request, True
        missing: tuple[str, ...] = ()
        if decision is not None:
            allowed, missing = decision.allowed, decision.missing
        enforced = rules is not None and rules.spec.mode == "enforce"
        subject = _Subject(
            "call" if allowed or not enforced else "denied",
            self._settings.name,
            who(call.principal),
            call.address or None,
            _cut(request.method or (request.kind if call.verb == b"POST" else call.verb.decode("latin-1"))),
            _cut(request.name) or None,
            allowed or not enforced,
            (decision.rule or None) if decision is not None else None,
            True if not allowed and not enforced else None,
            missing or None,
            rules.version if rules is not None else None,
        )
        return _encode(subject)[1:-1]

    def _remember(self, key: tuple[int, str, str | None, str | None], known: _Known) -> None:
        """Keep a subject, if it is the usual one for the method: messages without one differ in kind."""
        _, _, method, name = key
        if method is None or len(method) + len(name or "") > MAX_TEXT:
            return
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known[key] = known

    def event(self, event: str, fields: Mapping[str, Any]) -> None:
        """Write one line: time, event, pool, then the fields that are neither None nor empty."""
        said = {key: value for key, value in fields.items() if value not in (None, "")}
        self._write(_encode({"time": now().decode(), "event": event, "pool": self._settings.name, **said}))

    def _write(self, line: bytes) -> None:
        if self._log.write(line, reserve=self.may_refuse):
            self._metrics.audit_lines += 1
        else:
            self._metrics.audit_dropped += 1

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
