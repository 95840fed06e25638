"""Rules of the cache: cacheable answers, keys, lifetimes and scopes (design §9.5; 2026-07-28, "Caching").

A server marks its lists and resources as cacheable with `ttlMs` and `cacheScope`. The protocol has no such marks for
tool results, so they are cached only if the pool gives the tool a `cache_ttl`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from mcppool.spec import CacheSpec, CatalogSpec

STALE_MAX: Final = 3600.0
"""Upper bound in seconds on how long an expired answer is held in case no server can answer; its `ttl` if that is
less."""

LISTS: Final[Mapping[str, str]] = {
    "tools/list": "tools",
    "prompts/list": "prompts",
    "resources/list": "resources",
    "resources/templates/list": "resources",
}
"""Method → the list whose `list_changed` invalidates it."""

MAX_DIGITS: Final = 18
"""Upper bound on the digits of a `ttlMs`; a longer number means forever."""

READ: Final = "resources/read"
TOOL: Final = "tools/call"

NEUTRAL_HEADERS: Final = frozenset(
    {
        b"accept", b"content-type", b"mcp-method", b"mcp-name", b"traceparent", b"tracestate",
    }
)  # fmt: skip
"""Headers of a client on which no answer depends, or which the body repeats. Any other header that goes to the server
is part of the key, because the answer may depend on it."""

NEUTRAL_META: Final = ("progressToken", "traceparent", "tracestate")
"""Members of ``_meta`` that differ with each call and on which no answer depends."""

Shared = Literal["never", "public", "always"]


@dataclass(frozen=True, slots=True)
class Rule:
    """The cache rule for answers of one method, or of one tool.

    `ttl` in seconds is the lifetime of an answer without a hint (0: it is not cached), `cap` the upper bound on hints
    (0: hints are ignored). `shared` between principals: never, if the server says `public`, or always. `stale`: an
    expired answer may be given if no server can answer. `group` is the list whose `list_changed` invalidates it.
    """

    method: str
    ttl: float
    cap: float
    shared: Shared
    stale: bool
    group: str | None


def method_rules(cache: CacheSpec, catalog: CatalogSpec, probe_interval: float) -> dict[str, Rule]:
    """Rules by method, without tools. Lists of a pool that is declared uniform are cached until the next probe, unless
    the server gives a lifetime."""
    if cache.type == "none":
        return {}
    cap = cache.ttl if cache.honor_hints else 0.0
    believed: Shared = "public" if catalog.trusted else "never"
    uniform = min(probe_interval, cache.ttl) if catalog.uniform else 0.0
    rules = {
        method: Rule(method, uniform, cap, "always" if catalog.uniform else believed, True, group)
        for method, group in LISTS.items()
        if cap or uniform
    }
    if cap:
        rules[READ] = Rule(READ, 0.0, cap, believed, True, None)
    return rules


def tool_rule(cache: CacheSpec, cache_ttl: float | None) -> Rule | None:
    """The rule of a tool with this `cache_ttl`. Its results are never shared, and never given once expired."""
    if cache.type == "none" or cache_ttl is None:
        return None
    return Rule(TOOL, cache_ttl, 0.0, "never", False, "tools")


# --- the key ---------------------------------------------------------------------------------------------------------


class _Params(msgspec.Struct, forbid_unknown_fields=True):
    """The only members that `params` of a cacheable request may have: its answer depends on nothing else."""

    name: str | None = None
    uri: str | None = None
    cursor: str | None = None
    arguments: msgspec.Raw = msgspec.Raw()
    meta: msgspec.Raw = msgspec.field(name="_meta", default=msgspec.Raw())


class _Request(msgspec.Struct):
    method: str
    params: _Params = msgspec.field(default_factory=_Params)


@dataclass(frozen=True, slots=True)
class Subject:
    """Identity of a request: `key` without the principal, and `tag`, which invalidates its answer."""

    key: bytes
    tag: str
    cursor: bool


_decode_request = msgspec.json.Decoder(_Request).decode
_decode_any = msgspec.json.Decoder(float_hook=lambda text: msgspec.Raw(text.encode())).decode
_encode = msgspec.json.Encoder().encode
_encode_sorted = msgspec.json.Encoder(order="deterministic").encode


def subject_of(
    body: bytes, rule: Rule, era: str, version: str | None, query: bytes = b"", *, tools: str = ""
) -> Subject | None:
    """The subject of a request that `rule` is for; None if its answer may depend on something unknown. `tools` is the
    fingerprint of the tools: an answer that was stored when these had other definitions is not found.

    The form of an answer depends on era and protocol version, so these are part of the key. So are the `query` of the
    client's URL and `_meta`, on which an answer may depend, unless the pool declares that its answers are the same for
    all.
    """
    try:
        params = _decode_request(body).params
        arguments = canonical(bytes(params.arguments)) if params.arguments else b"null"
        meta = canonical(bytes(params.meta), NEUTRAL_META) if params.meta and rule.shared != "always" else b"{}"
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    if arguments is None or meta is None:
        return None
    asked = [params.name, params.uri, params.cursor, msgspec.Raw(arguments), msgspec.Raw(meta), query.decode("latin-1")]
    key = _encode([rule.method, era, version, *asked, tools if rule.group == "tools" else ""])
    return Subject(key, rule.group or f"{READ} {params.uri}", params.cursor is not None)


def key_of(subject: Subject, principal: str | None, headers: bytes = b"") -> bytes:
    """The key of an answer for `principal`, None for all principals, to a request with these header lines."""
    return hashlib.sha256(_encode([msgspec.Raw(subject.key), principal, vary(headers).decode("latin-1")])).digest()


def vary(lines: bytes) -> bytes:
    """The header lines on which a server's answer may depend, in a fixed order."""
    return b"\r\n".join(
        sorted(line for line in lines.split(b"\r\n") if line and line.partition(b":")[0] not in NEUTRAL_HEADERS)
    )


def canonical(document: bytes, without: Collection[str] = ()) -> bytes | None:
    """The canonical spelling of equal documents, in the manner of RFC 8785: order of names, white space and escapes do
    not matter. Numbers with a fraction or an exponent keep their spelling, so `1` and `1.0` differ. Members of the
    outermost object that are named in `without` are left out.

    None if an object has a name twice, even in another case: two readers might choose different ones. Raises
    msgspec.MsgspecError if it is not JSON.
    """
    value = _decode_any(document)
    # Encoding the parsed value gives the shortest spelling: if the document is no longer, no name was lost.
    if len(_encode(value)) != len(document):
        try:
            json.loads(document, object_pairs_hook=_unique, parse_float=str, parse_int=str)
        except ValueError:
            return None
    if _differs_in_case_only(value):
        return None
    if without and isinstance(value, dict):
        value = {name: inner for name, inner in value.items() if name not in without}
    return _encode_sorted(value)


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name appears twice")
    return members


def _differs_in_case_only(value: Any) -> bool:
    """Whether somewhere two names of one object are equal to a reader that ignores case, such as Go's."""
    if isinstance(value, dict):
        if len(value) > 1 and len({name.casefold() for name in value}) != len(value):
            return True
        return any(map(_differs_in_case_only, value.values()))
    return isinstance(value, list) and any(map(_differs_in_case_only, value))


# --- how long --------------------------------------------------------------------------------------------------------


class _Hints(msgspec.Struct):
    ttl: msgspec.Raw = msgspec.field(name="ttlMs", default=msgspec.Raw())
    scope: msgspec.Raw = msgspec.field(name="cacheScope", default=msgspec.Raw())


@dataclass(frozen=True, slots=True)
class Verdict:
    """Cache it for `ttl` seconds and hold it for `stale` more; `shared`: for all principals."""

    ttl: float
    stale: float
    shared: bool


_decode_hints = msgspec.json.Decoder(_Hints).decode


def verdict(rule: Rule, result: bytes) -> Verdict | None:
    """Whether a complete, successful `result` may be cached. A missing, negative or non-numeric hint allows nothing; a
    scope that is not `public` is private."""
    try:
        hints = _decode_hints(result)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    said = bytes(hints.ttl)
    allowed = 0.0 if not said.isdigit() else int(said) / 1000 if len(said) <= MAX_DIGITS else rule.cap
    ttl = min(allowed, rule.cap) or rule.ttl
    if ttl <= 0:
        return None
    public = bytes(hints.scope) == b'"public"'
    return Verdict(
        ttl,
        min(ttl, STALE_MAX) if rule.stale else 0.0,
        rule.shared == "always" or (rule.shared == "public" and public),
    )
