"""Access tokens: valid ones, and the principals that they make."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt as pyjwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mcppool.access import jwks
from mcppool.access.credential import Credential, read_credential
from mcppool.access.denied import Denied
from mcppool.access.jwt import JwtTokens
from mcppool.access.verification_keys import read_key_set
from mcppool.policy.principal import Principal
from mcppool.spec.sections.inbound import IssuerSpec, JwtSpec
from tests.issuer import RESOURCE, Issuer, SigningKey, serving_issuer

OTHERS = SigningKey("k1")  # of another owner, under a name of the issuer's


def shown(token: str, scheme: str = "Bearer") -> Credential:
    credential = read_credential(f"{scheme} {token}", scheme=True)
    assert credential is not None
    return credential


class Gate:
    """The authenticator of one pool, with one issuer, whose keys are in a file."""

    def __init__(self, folder: Path, **spec: Any) -> None:
        self.issuer = Issuer()
        self.file = folder / "jwks.json"
        self.file.write_bytes(self.issuer.jwks)
        self.gone = 0
        entry = IssuerSpec.model_validate({"issuer": self.issuer.url, "jwks_file": str(self.file), **spec})
        self.tokens = JwtTokens(JwtSpec(issuers=(entry,)), [RESOURCE], 300.0, self._gone)

    def _gone(self) -> None:
        self.gone += 1

    async def open(self, token: str, scheme: str = "Bearer") -> Principal:
        return await self.tokens.authenticate(shown(token, scheme), "a", time.time())

    async def refuses(self, token: str, why: str, scheme: str = "Bearer") -> None:
        with pytest.raises(Denied, match=why):
            await self.open(token, scheme)


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[Gate]:
    gate = Gate(tmp_path)
    yield gate
    await gate.tokens.close()


async def test_a_token_makes_a_principal_of_issuer_subject_and_client(gate: Gate) -> None:
    issuer = gate.issuer
    principal = await gate.open(issuer.token(groups=["dev", 1], scope="mcp read", scp=["write"]))
    assert (principal.issuer, principal.subject, principal.client_id) == (issuer.url, "ann", "agent")
    assert principal.groups == {"dev"}
    assert principal.scopes == {"mcp", "read", "write"}
    assert principal.claims["aud"] == RESOURCE
    keys = {
        principal.key,
        (await gate.open(issuer.token("bob"))).key,
        (await gate.open(issuer.token(client_id="other"))).key,
        (await gate.open(issuer.token(client_id=None))).key,
    }
    assert len(keys) == 4
    assert (await gate.open(issuer.token(jti="another token of the same"))).key == principal.key


async def test_a_verified_token_is_recalled_until_it_expires(gate: Gate) -> None:
    now = time.time()
    token = gate.issuer.token(exp=int(now) + 100)
    assert gate.tokens.recall(shown(token), now) is None
    principal = await gate.open(token)
    assert gate.tokens.recall(shown(token), now) is principal
    assert principal.expires_at == int(now) + 130  # with the clock skew
    assert gate.tokens.recall(shown(token), now + 131) is None
    assert gate.tokens.recall(shown(token, "DPoP"), now) is None


async def test_no_token_is_recalled_longer_than_the_revocation_bound(gate: Gate) -> None:
    now = time.time()
    token = gate.issuer.token(exp=int(now) + 10_000)
    await gate.open(token)
    assert gate.tokens.recall(shown(token), now + 290) is not None
    assert gate.tokens.recall(shown(token), now + 301) is None


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another issuer": ({"iss": "https://evil.example"}, "issuer is not trusted"),
    "an issuer that is nearly the same": ({"iss": "https://id.example.com/"}, "issuer is not trusted"),
    "no issuer": ({"iss": None}, "issuer is not trusted"),
    "another audience": ({"aud": "https://other.example/mcp"}, "another audience"),
    "an audience that begins alike": ({"aud": f"{RESOURCE}/more"}, "another audience"),
    "no audience": ({"aud": None}, "does not hold"),
    "the past": ({"exp": 1_000}, "expired"),
    "no end": ({"exp": None}, "does not hold"),
    "an end that is no time": ({"exp": "soon"}, "does not hold"),
    "an end beyond all numbers": ({"exp": 10**400}, "not a time"),
    "the future": ({"nbf": 4_000_000_000}, "does not hold"),
    "nobody": ({"sub": None}, "no sub claim"),
    "an empty name": ({"sub": ""}, "no sub claim"),
    "a binding to a key": ({"cnf": {"jkt": "x"}}, "bound to a key"),
    "an ID token": ({"header": {"typ": "JWT"}}, "not of type"),
    "a header with a type that is no text": ({"header": {"typ": 5}}, "."),
    "an unknown key": ({"header": {"kid": "k9"}}, "does not list"),
    "a stranger's key": ({"key": OTHERS}, "signature"),
    "a key of its own": ({"key": OTHERS, "header": {"jwk": OTHERS.public, "jku": "https://evil.example"}}, "signature"),
    "a demand that is not understood": ({"header": {"crit": ["x"], "x": 1}}, "."),
}


@pytest.mark.parametrize(("changes", "why"), REFUSED.values(), ids=REFUSED)
async def test_a_token_is_refused(gate: Gate, changes: dict[str, Any], why: str) -> None:
    await gate.refuses(gate.issuer.token(**changes), why)
    assert (await gate.open(gate.issuer.token())).subject == "ann"


def encoded(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


async def test_no_algorithm_but_those_of_the_configuration_is_taken(gate: Gate) -> None:
    good = gate.issuer.token()
    _, body, _ = good.split(".")
    header = {"typ": "at+jwt", "kid": "k1"}
    await gate.refuses(f"{encoded(header | {'alg': 'none'})}.{body}.", "algorithm")
    # The public key as a shared secret: what a verifier that believes `alg` would accept.
    pem = gate.issuer.keys[0].private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signing = f"{encoded(header | {'alg': 'HS256'})}.{body}"
    mac = base64.urlsafe_b64encode(hmac.new(pem, signing.encode(), hashlib.sha256).digest()).decode().rstrip("=")
    await gate.refuses(f"{signing}.{mac}", "algorithm")
    await gate.refuses(f"{encoded(header | {'alg': 'RS256'})}.{body}.{good.split('.')[2]}", "does not list")


@pytest.mark.parametrize("token", ["x", "a.b.c", "..", "e30.e30.", "e30.W10.AA", "é" * 3, "." * 100])
async def test_what_is_no_token_is_refused(gate: Gate, token: str) -> None:
    credential = read_credential(f"Bearer {token}", scheme=True)
    if credential is not None:
        with pytest.raises(Denied):
            await gate.tokens.authenticate(credential, "a", time.time())


async def test_a_changed_signature_claim_or_scheme_is_refused(gate: Gate) -> None:
    head, body, signature = gate.issuer.token().split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    await gate.refuses(f"{head}.{encoded(claims | {'sub': 'root'})}.{signature}", "signature")
    await gate.refuses(gate.issuer.token(), "not Bearer", scheme="Basic")
    await gate.refuses("a." + "b" * 20_000 + ".c", "more than")


async def test_a_token_without_a_type_is_a_jwt_where_the_issuer_says_so(tmp_path: Path) -> None:
    gate = Gate(tmp_path, token_types=["JWT"], audiences=["other"], subject_claim="oid", groups_claim="roles")
    principal = await gate.open(gate.issuer.token(header={"typ": None}, aud=["x", "other"], oid="7", roles="admin"))
    assert (principal.subject, principal.groups) == ("7", {"admin"})
    await gate.refuses(gate.issuer.token(aud=RESOURCE, header={"typ": None}, oid="7"), "another audience")
    await gate.tokens.close()


async def test_keys_of_a_file_are_rotated_and_tokens_of_a_key_that_has_gone_hold_no_longer(gate: Gate) -> None:
    old = gate.issuer.token()
    await gate.open(old)
    source = next(iter(gate.tokens._issuers.values())).keys
    assert isinstance(source, jwks.FileKeys)
    gate.issuer.keys.append(SigningKey("k2"))
    gate.file.write_bytes(gate.issuer.jwks)
    source.file.look()
    assert (await gate.open(gate.issuer.token())).subject == "ann"
    assert gate.gone == 0
    gate.file.write_bytes(b"{}")
    source.file.look()
    assert gate.tokens.recall(shown(old), time.time()) is not None
    del gate.issuer.keys[0]
    gate.file.write_bytes(gate.issuer.jwks)
    source.file.look()
    assert gate.gone == 1
    assert gate.tokens.recall(shown(old), time.time()) is None
    await gate.refuses(old, "does not list")


def test_weak_private_and_symmetric_keys_are_left_out() -> None:
    weak = rsa.generate_private_key(65537, 1024)
    private = pyjwt.algorithms.ECAlgorithm.to_jwk(SigningKey("x").private, as_dict=True)
    entries = [
        pyjwt.algorithms.RSAAlgorithm.to_jwk(weak.public_key(), as_dict=True),
        {"kty": "oct", "k": "AAAA"},
        private,
        SigningKey("x").public | {"use": "enc"},
        SigningKey("x").public | {"key_ops": ["encrypt"]},
        {"kty": "EC", "crv": "P-256", "x": "!", "y": 1},
        {"kty": "other"},
        5,
    ]
    with pytest.raises(ValueError, match="no usable key"):
        read_key_set(json.dumps({"keys": entries}).encode())
    good = SigningKey("good")
    assert [key.kid for key in read_key_set(json.dumps({"keys": [*entries, good.public]}).encode())] == ["good"]


@pytest.mark.parametrize(
    "document", [b"", b"[]", b"{}", b'{"keys": 1}', b"[" * 100_000, b'{"keys": [%s1]}' % (b"1," * 200)]
)
def test_what_is_no_key_set_is_refused(document: bytes) -> None:
    with pytest.raises(ValueError, match="is not"):
        read_key_set(document)


# --- keys at a URL ---------------------------------------------------------------------------------------------------


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with serving_issuer() as issuer:
        yield issuer


def remote(issuer: Issuer, **spec: Any) -> JwtTokens:
    entry = IssuerSpec.model_validate({"issuer": issuer.url, **spec})
    return JwtTokens(JwtSpec(issuers=(entry,)), [RESOURCE], 300.0, lambda: None)


async def test_keys_are_found_through_the_issuer_and_fetched_once(issuer: Issuer) -> None:
    tokens = remote(issuer)
    for subject in ("ann", "bob", "cid"):
        assert (await tokens.authenticate(shown(issuer.token(subject)), "a", time.time())).subject == subject
    assert issuer.asked == {"/.well-known/oauth-authorization-server": 1, "/jwks": 1}
    await tokens.close()


async def test_an_unknown_key_id_costs_one_fetch_in_a_while(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = remote(issuer, jwks_uri=f"{issuer.url}/jwks")
    await tokens.authenticate(shown(issuer.token()), "a", time.time())
    for number in range(20):
        with pytest.raises(Denied, match="does not list"):
            await tokens.authenticate(shown(issuer.token(header={"kid": f"x{number}"})), "a", time.time())
    assert issuer.asked == {"/jwks": 1}
    monkeypatch.setattr(jwks, "AGAIN", 0.0)
    issuer.keys = [SigningKey("k2")]
    assert (await tokens.authenticate(shown(issuer.token()), "a", time.time())).subject == "ann"
    assert issuer.asked == {"/jwks": 2}
    await tokens.close()


async def test_a_key_that_is_replaced_under_its_id_is_fetched_with_the_first_token_that_needs_it(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = remote(issuer, jwks_uri=f"{issuer.url}/jwks")
    await tokens.authenticate(shown(issuer.token()), "a", time.time())
    for _ in range(20):
        with pytest.raises(Denied, match="signature does not hold"):
            await tokens.authenticate(shown(issuer.token(key=OTHERS)), "a", time.time())
    assert issuer.asked == {"/jwks": 1}
    monkeypatch.setattr(jwks, "AGAIN", 0.0)
    issuer.keys = [SigningKey("k1")]
    assert (await tokens.authenticate(shown(issuer.token("bob")), "a", time.time())).subject == "bob"
    assert issuer.asked == {"/jwks": 2}
    await tokens.close()


async def test_while_the_issuer_is_away_known_keys_go_on(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwks, "AGAIN", 0.0)
    tokens = remote(issuer, jwks_uri=f"{issuer.url}/jwks")
    await tokens.authenticate(shown(issuer.token()), "a", time.time())
    issuer.away = True
    with pytest.raises(Denied, match="does not list"):
        await tokens.authenticate(shown(issuer.token(header={"kid": "new"})), "a", time.time())
    assert (await tokens.authenticate(shown(issuer.token("bob")), "a", time.time())).subject == "bob"
    await tokens.close()


async def test_without_any_keys_the_answer_is_that_nobody_can_tell(issuer: Issuer) -> None:
    issuer.away = True
    tokens = remote(issuer, jwks_uri=f"{issuer.url}/jwks")
    with pytest.raises(Denied, match="not known yet") as raised:
        await tokens.authenticate(shown(issuer.token()), "a", time.time())
    assert raised.value.failure == "unavailable"
    assert raised.value.retry_after is not None
    await tokens.close()


async def test_metadata_of_another_issuer_is_not_believed(issuer: Issuer) -> None:
    issuer.metadata = {"issuer": "https://other.example"}
    tokens = remote(issuer)
    with pytest.raises(Denied, match="not known yet"):
        await tokens.authenticate(shown(issuer.token()), "a", time.time())
    assert "/jwks" not in issuer.asked
    await tokens.close()
