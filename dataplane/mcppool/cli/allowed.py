"""`mcppool check --as CLIENT FILE`: the permissions of a client in each pool, and the deciding rules."""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple

from mcppool.access.access_tokens import principal_of
from mcppool.access.denied import Denied
from mcppool.access.key_file import parse_keys, read_key_file
from mcppool.policy.access_request import PRIMARY, Decision, Request
from mcppool.policy.access_rules import AccessRules, has_rules
from mcppool.policy.principal import ANONYMOUS, Principal
from mcppool.spec import PoolSpec, Snapshot

STDIN: Final = "-"
MAX_CLAIMS: Final = 1 << 20
"""Upper bound in bytes on a document of claims."""
_OTHER: Final = "(any other)"
_UNHEARD_OF: Final = "\ue000 a name that no pattern but * fits"


class BadClaims(Exception):
    """The argument is neither a token, nor claims, nor the name of a key."""


class Row(NamedTuple):
    """One tool, prompt or resource of a pool: whether the client may use it."""

    kind: str
    name: str
    decision: Decision


def read_claims(given: str) -> Mapping[str, Any] | None:
    """The claims in a file, on standard input (`-`) or in a token, which is decoded but not verified; None if `given`
    is a name. Raises BadClaims."""
    if given == STDIN:
        text = sys.stdin.read(MAX_CLAIMS)
    elif os.path.isfile(given):
        with open(given, encoding="utf-8", errors="replace") as file:
            text = file.read(MAX_CLAIMS)
    else:
        text = given
    text = text.strip()
    if text.count(".") == 2 and text.startswith("ey"):
        payload = text.split(".")[1]
        try:
            text = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).decode()
        except ValueError:
            raise BadClaims("the token is not a JWT") from None
    elif text is given or text == given:
        return None
    try:
        claims = json.loads(text)
    except (ValueError, RecursionError):
        raise BadClaims("there is neither a token nor a JSON object with claims") from None
    if not isinstance(claims, dict):
        raise BadClaims("the claims are not a JSON object")
    return claims


def principal_in(pool: PoolSpec, given: str, claims: Mapping[str, Any] | None) -> Principal:
    """The principal of the client in this pool. Raises BadClaims."""
    inbound = pool.auth.inbound
    if inbound.type in ("none", "passthrough"):
        return ANONYMOUS
    if claims is None:
        return _key_principal(pool, given)
    if inbound.introspection is not None:
        subject_claim, groups_claim = inbound.introspection.subject_claim, inbound.introspection.groups_claim
    elif inbound.jwt is not None:
        issuers = inbound.jwt.issuers
        issuer = next((issuer for issuer in issuers if issuer.issuer == claims.get("iss")), issuers[0])
        subject_claim, groups_claim = issuer.subject_claim, issuer.groups_claim
    else:
        subject_claim, groups_claim = "sub", "groups"
    principal = principal_of(
        {subject_claim: "claims", **claims}, "jwt", subject_claim=subject_claim, groups_claim=groups_claim, skew=0.0,
        token_hash="",
    )  # fmt: skip
    if inbound.type in ("api_keys", "mtls"):  # whose clients have a name, and no claims
        principal = replace(principal, method=inbound.type, name=str(claims.get("name", "")), claims={})
    return principal


def _key_principal(pool: PoolSpec, name: str) -> Principal:
    spec = pool.auth.inbound.api_keys
    if spec is None:
        raise BadClaims(f"{name!r} is neither a file nor a token")
    try:
        keys = [key for key in parse_keys(read_key_file(spec.keys_file)) if key.name == name]
    except (OSError, ValueError) as error:
        raise BadClaims(f"{spec.keys_file}: {error}") from None
    if not keys:
        raise BadClaims(f"{name!r} is neither a file nor a token, nor the name of a key in {spec.keys_file}")
    key = keys[0]
    return Principal(
        "key", "api_keys", name=name, groups=frozenset(key.groups), scopes=frozenset(key.scopes), expires_at=key.expires
    )


def rows(pool: PoolSpec, principal: Principal) -> Iterator[Row]:
    """The client's permissions for everything that the rules of the pool name, and for everything else."""
    rules = AccessRules(pool.access, pool.tools)
    grant = rules.grant(principal)
    if principal is not ANONYMOUS and (lacking := set(pool.auth.inbound.required_scopes) - principal.scopes):
        yield Row("conversation", "(all)", Decision(False, "auth.inbound.required_scopes", tuple(sorted(lacking))))
        return
    yield Row("conversation", "initialize, lists", grant.decide(Request("initialize")))
    named = {"tool": [*pool.tools], "prompt": [], "resource": []}
    for rule in (*pool.access.allow, *pool.access.deny):
        for kind in named:
            named[kind] += [pattern.removeprefix("!") for pattern in getattr(rule, f"{kind}s")]
    for kind, method in PRIMARY.items():
        for name in sorted({name for name in named[kind] if name.strip("*")}):
            yield Row(kind, name, grant.decide(Request(method, kind, name)))
        yield Row(kind, _OTHER, grant.decide(Request(method, kind, _UNHEARD_OF)))


def why(decision: Decision) -> str:
    """The rule behind a decision, in words."""
    if decision.missing:
        return f"needs the scope{'s' if len(decision.missing) > 1 else ''} {' '.join(decision.missing)}"
    if decision.rule == "not_allowed":
        return "no rule allows it"
    return decision.rule or "no rule concerns it"


def report(snapshot: Snapshot, given: str) -> list[dict[str, Any]]:
    """The client's permissions in each pool. Raises BadClaims."""
    claims = read_claims(given)
    found = []
    for pool in snapshot.pools:
        try:
            principal = principal_in(pool, given, claims)
        except Denied as denied:
            raise BadClaims(f"pool {pool.name}: {denied.detail}") from None
        found.append(
            {
                "pool": pool.name,
                "authentication": pool.auth.inbound.type,
                "mode": pool.access.mode if has_rules(pool.access, pool.tools) else "no rules",
                "client": principal.name or principal.subject or principal.key,
                "groups": sorted(principal.groups),
                "scopes": sorted(principal.scopes),
                "may": [
                    {"kind": kind, "name": name, "allowed": decision.allowed, "why": why(decision)}
                    for kind, name, decision in rows(pool, principal)
                ],
            }
        )
    return found


def render(report: list[dict[str, Any]]) -> str:
    """The report for people."""
    lines: list[str] = []
    for pool in report:
        about = [pool["client"], *(f"{what} {' '.join(pool[what])}" for what in ("groups", "scopes") if pool[what])]
        lines.append(f"{pool['pool']} ({pool['mode']}): {', '.join(about)}")
        width = max(len(row["name"]) for row in pool["may"])
        for row in pool["may"]:
            word = "allowed" if row["allowed"] else "refused"
            lines.append(f"  {row['kind']:<12}  {row['name']:<{width}}  {word}  {row['why']}")
    return "\n".join(lines)
