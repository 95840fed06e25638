"""Tokens in exchange for those of clients, and the identity header."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from mcppool.policy.principal import ANONYMOUS, Principal
from mcppool.spec.sections.outbound import IdentitySpec
from mcppool.upstream.failures import NoCredentials
from mcppool.upstream.oauth import exchanged_tokens
from mcppool.upstream.oauth.exchanged_tokens import ExchangedTokens
from mcppool.upstream.oauth.identity import Identity
from mcppool.upstream.oauth.token_response import Token, TokenUnavailable

ALICE = Principal("alice-key", "jwt", issuer="https://idp", subject="alice", client_id="agent", scopes=frozenset("ba"))
BOB = Principal("bob-key", "jwt", issuer="https://idp", subject="bob")


class Issuer:
    """Gives each subject token a token of its own."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.refusal: str | None = None
        self.expires_in = 3600.0

    async def ask(self, form: dict[str, str]) -> Token:
        self.asked.append(dict(form))
        await self.gate.wait()
        if self.refusal is not None:
            raise TokenUnavailable(self.refusal)
        return Token(f"for-{form['subject_token']}-{len(self.asked)}", self.expires_in)


async def test_a_token_is_exchanged_once_and_never_for_another_client() -> None:
    issuer = Issuer()
    tokens = ExchangedTokens(issuer.ask)
    issuer.gate.clear()
    asking = [asyncio.create_task(tokens.line(ALICE, "a")) for _ in range(10)]
    asking.append(asyncio.create_task(tokens.line(BOB, "b")))
    await asyncio.sleep(0)
    issuer.gate.set()
    lines = await asyncio.gather(*asking)
    assert set(lines[:10]) == {b"authorization: Bearer for-a-1\r\n"}
    assert b"for-b" in lines[10]
    assert len(issuer.asked) == 2
    assert issuer.asked[0] == {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": "a",
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
    }
    assert await tokens.line(ALICE, "a") == lines[0]
    # Another token of the same client may say less: it has its own.
    assert await tokens.line(ALICE, "weaker") != lines[0]
    assert await tokens.line(BOB, "a") != lines[0], "a token of another principal is not shared, whatever was shown"


async def test_one_that_a_server_refused_or_that_ends_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    issuer = Issuer()
    tokens = ExchangedTokens(issuer.ask)
    first = await tokens.line(ALICE, "a")
    tokens.forget(ALICE)
    assert await tokens.line(ALICE, "a") != first
    issuer.expires_in = 0
    tokens.forget(ALICE)
    assert await tokens.line(ALICE, "a") != await tokens.line(ALICE, "a")
    issuer.expires_in = 3600
    tokens.forget(ALICE)
    over = Principal("alice-key", "jwt", expires_at=1.0)
    assert await tokens.line(over, "a") != await tokens.line(over, "a"), "it does not outlive the client's own"


async def test_a_refusal_is_told_without_the_clients_token_and_not_asked_for_again_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    issuer = Issuer()
    issuer.refusal = "HTTP 400 invalid_grant: s3cret is no token"
    tokens = ExchangedTokens(issuer.ask)
    for _ in range(3):
        with pytest.raises(NoCredentials, match="invalid_grant") as caught:
            await tokens.line(ALICE, "s3cret")
        assert "s3cret" not in caught.value.detail
    assert len(issuer.asked) == 1
    monkeypatch.setattr(exchanged_tokens, "PAUSE", 0.0)
    await asyncio.gather(tokens.line(BOB, "b"), return_exceptions=True)
    issuer.refusal = None
    assert b"for-b" in await tokens.line(BOB, "b")
    with pytest.raises(NoCredentials, match="no token"):
        await tokens.line(ANONYMOUS, "")


async def test_the_actors_token_goes_with_it_and_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    async def own() -> str:
        return "of-the-gateway"

    monkeypatch.setattr(exchanged_tokens, "MAX_REMEMBERED", 2)
    issuer = Issuer()
    tokens = ExchangedTokens(issuer.ask, own)
    for token in ("1", "2", "3", "3", "1"):
        await tokens.line(ALICE, token)
    assert [form["subject_token"] for form in issuer.asked] == ["1", "2", "3", "1"]
    assert {form["actor_token"] for form in issuer.asked} == {"of-the-gateway"}


def key_file(path: Path, key: Any) -> Path:
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.with_suffix(".new").write_bytes(pem)
    return path.with_suffix(".new").replace(path)


def verified(identity: Identity, line: bytes, now: float) -> dict[str, Any]:
    """The claims in a header line, verified as a server does it: with the published keys alone."""
    name, _, token = line.decode().strip().partition(": ")
    assert name == "x-mcppool-identity"
    keys = {key["kid"]: key for key in identity.public_keys(now)}
    assert all("d" not in key for key in keys.values()), "the private half stays here"
    head = jwt.get_unverified_header(token)
    assert head["typ"] == "mcppool-identity+jwt"
    options: Any = {"verify_exp": False, "verify_iat": False}
    public = jwt.PyJWK(keys[head["kid"]])
    claims: dict[str, Any] = jwt.decode(token, public, [head["alg"]], audience="pool", options=options)
    return claims


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP256R1()),
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(65537, 2048),
    ],
    ids=["P-256", "Ed25519", "RSA"],
)
def test_the_identity_header_says_who_the_client_is(tmp_path: Path, key: Any) -> None:
    spec = IdentitySpec(key_file=str(key_file(tmp_path / "key", key)), claims=("email", "secret"))
    identity = Identity(spec, "pool")
    principal = Principal(
        "k", "jwt", issuer="https://idp", subject="alice", client_id="agent", groups=frozenset({"dev"}),
        scopes=frozenset({"b", "a"}), claims={"email": "a@example", "other": 1},
    )  # fmt: skip
    claims = verified(identity, identity.line(principal, 1000.0), 1000.0)
    assert claims == {
        "iss": "mcppool", "aud": "pool", "iat": 1000, "exp": 1300, "sub": "alice", "method": "jwt",
        "idp": "https://idp", "client_id": "agent", "scope": "a b", "groups": ["dev"], "claims": {"email": "a@example"},
    }  # fmt: skip
    assert verified(identity, identity.line(ANONYMOUS, 1000.0), 1000.0)["sub"] == "anonymous"
    assert verified(identity, identity.line(None, 1000.0), 1000.0)["sub"] == "mcppool"


def test_a_header_is_signed_again_before_it_ends(tmp_path: Path) -> None:
    path = key_file(tmp_path / "key", ec.generate_private_key(ec.SECP256R1()))
    identity = Identity(IdentitySpec(key_file=str(path), lifetime=100.0), "pool")
    first = identity.line(ALICE, 1000.0)
    assert identity.line(ALICE, 1049.0) is first
    assert identity.line(ALICE, 1050.0) != first
    assert identity.line(BOB, 1000.0) != first


def test_a_new_key_signs_at_once_and_the_old_one_is_published_until_its_last_header_ends(tmp_path: Path) -> None:
    path = key_file(tmp_path / "key", ec.generate_private_key(ec.SECP256R1()))
    identity = Identity(IdentitySpec(key_file=str(path), lifetime=100.0), "pool")
    old = identity.line(ALICE, 1000.0)
    path.write_text("half a")
    assert identity.line(ALICE, 1010.0) == old
    key_file(path, ec.generate_private_key(ec.SECP256R1()))
    new = identity.line(ALICE, 1020.0)
    assert new != old
    for line in (old, new):
        assert verified(identity, line, 1100.0)["sub"] == "alice"
    assert len(identity.public_keys(1121.0)) == 1
    assert verified(identity, new, 1121.0)["sub"] == "alice"
