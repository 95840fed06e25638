"""DPoP proofs: one wrong thing at a time, nonces, and proofs that come twice."""

from __future__ import annotations

import base64
import hashlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from mcppool.access.credential import Credential
from mcppool.access.denied import Denied
from mcppool.access.dpop import MAX_AGE, MAX_PROOF, Proofs
from mcppool.access.dpop_header import ALGORITHMS, ShownProof
from mcppool.access.dpop_nonces import PERIOD, Nonces
from mcppool.access.dpop_replays import SHARE, UsedProofs
from mcppool.access.inbound import InboundAuth
from mcppool.policy.principal import Principal
from mcppool.spec.sections.inbound import InboundAuthSpec
from tests.dpop import KeyHolder, binding_of
from tests.issuer import RESOURCE, Issuer
from tests.unit.access.peer import NO_CERTIFICATE

URLS = {b"/mcp": RESOURCE, b"/demo/mcp": "https://mcp.example.com/demo/mcp"}
HOLDER, THIEF = KeyHolder(), KeyHolder()


class Door:
    """The authentication of a pool with DPoP, and a token that is bound to the key of `HOLDER`."""

    def __init__(self, folder: Path, dpop: str = "accepted", *, nonces: Nonces | None = None) -> None:
        self.issuer = Issuer()
        (folder / "jwks").write_bytes(self.issuer.jwks)
        issuers = [{"issuer": self.issuer.url, "audiences": [RESOURCE], "jwks_file": str(folder / "jwks")}]
        spec = InboundAuthSpec.model_validate({"type": "jwt", "jwt": {"issuers": issuers}, "dpop": dpop})
        self.failures: Counter[str] = Counter()
        self.used = UsedProofs()
        proofs = Proofs(self.used, nonces) if dpop != "off" else None
        self.auth = InboundAuth(spec, "demo", URLS, self.failures, lambda: None, proofs)
        self.token = self.issuer.token(cnf=HOLDER.binding)

    def credential(self, token: str, scheme: str = "DPoP") -> Credential | None:
        return self.auth.read({"authorization": f"{scheme} {token}"}, NO_CERTIFICATE)

    async def open(self, proof: str | None, token: str = "", method: str = "POST", url: str = RESOURCE) -> Principal:
        credential = self.credential(token or self.token)
        assert self.auth.admit(credential) is None, "no proof, no admission"
        shown = ShownProof(proof, method, url)
        return await self.auth.authenticate(credential, "a", shown=True, proof=shown)

    async def refuses(self, why: str, proof: str | None, failure: str = "proof", **request: Any) -> None:
        with pytest.raises(Denied, match=why) as caught:
            await self.open(proof, **request)
        assert caught.value.failure == failure

    def challenges(self, denied: Denied, scheme: str = "DPoP") -> str:
        return self.auth.refuse(denied, b"/mcp", self.credential(self.token, scheme)).headers.decode()


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    door = Door(tmp_path)
    yield door
    await door.auth.close()


async def test_each_request_needs_a_proof_of_its_own(door: Door) -> None:
    proof = HOLDER.proof(RESOURCE, door.token)
    found = await door.open(proof)
    assert found.subject == "ann"
    assert door.auth.recall(door.credential(door.token)) is found, "a stream may stay"
    await door.refuses("used before", proof)
    await door.refuses("no DPoP header", None)
    assert await door.open(HOLDER.proof(RESOURCE, door.token)) is found
    now = int(time.time())
    await door.open(HOLDER.proof(RESOURCE, door.token, jti="one", iat=now))
    await door.refuses("used before", HOLDER.proof(RESOURCE, door.token, jti="one", iat=now - 1))
    assert door.failures == {"proof": 3}


async def test_a_proof_is_for_one_method_one_url_one_token_and_now(door: Door) -> None:
    now, token = int(time.time()), door.token
    other = base64.urlsafe_b64encode(hashlib.sha256(b"other").digest()).decode().rstrip("=")
    for why, claims in (
        ("htm", {"htm": "GET"}), ("htm", {"htm": "post"}), ("htm", {"htm": 1}),
        ("htu", {"htu": "https://evil.example.com/mcp"}), ("htu", {"htu": "http://mcp.example.com/mcp"}),
        ("htu", {"htu": "https://mcp.example.com/demo/mcp"}), ("htu", {"htu": "https://mcp.example.com:8443/mcp"}),
        ("htu", {"htu": "https://u@mcp.example.com/mcp"}), ("htu", {"htu": "https://[/mcp"}), ("htu", {"htu": 5}),
        ("ath", {"ath": None}), ("ath", {"ath": other}), ("ath", {"ath": 5}),
        ("iat", {"iat": now - MAX_AGE - 60}), ("iat", {"iat": now + MAX_AGE + 60}), ("iat", {"iat": "now"}),
        ("iat", {"iat": True}), ("iat", {"iat": 10**400}), ("iat", {"iat": float("nan")}),
        ("claims", {"iat": None}), ("claims", {"jti": None}), ("claims", {"htm": None}), ("claims", {"htu": None}),
        ("jti", {"jti": ""}), ("claims", {"jti": 5}), ("claims", {"exp": now - 600}),
    ):  # fmt: skip
        await door.refuses(why, HOLDER.proof(RESOURCE, token, **claims))
    assert not len(door.used), "only valid proofs are remembered"


@pytest.mark.parametrize("url", ["HTTPS://MCP.example.com:443/mcp?x=1#y", "https://mcp.example.com/mcp/"])
async def test_forms_of_the_url_that_mean_the_same_are_the_same(door: Door, url: str) -> None:
    await door.open(HOLDER.proof(url, door.token))


async def test_a_proof_is_signed_with_the_key_of_the_token(door: Door) -> None:
    token, public = door.token, HOLDER.public
    await door.refuses("another key", THIEF.proof(RESOURCE, token), "invalid")
    await door.refuses("signature", HOLDER.proof(RESOURCE, token, signed_by=THIEF.private))
    secret = jwt.algorithms.ECAlgorithm.to_jwk(HOLDER.private, as_dict=True)
    for why, header in (
        ("type", {"typ": "JWT"}), ("type", {"typ": "at+jwt"}), ("type", {"typ": None}),
        ("private", {"jwk": secret}), ("public key", {"jwk": {"kty": "oct", "k": "c2VjcmV0"}}),
        ("public key", {"jwk": None}), ("public key", {"jwk": "x"}), ("public key", {"jwk": {"kty": ["EC"]}}),
        ("lacks", {"jwk": {**public, "y": None}}),
        ("not allowed", {"jku": "https://evil.example.com/jwks"}), ("not allowed", {"x5u": "https://evil.example.com"}),
        ("not allowed", {"x5c": ["x"]}),
    ):  # fmt: skip
        await door.refuses(why, HOLDER.proof(RESOURCE, token, header=header))
    for proof in ("", "x", "a.b.c", HOLDER.proof(RESOURCE, token) + "x"):
        await door.refuses("signed JWT|signature", proof)
    await door.refuses("bytes", "x" * (MAX_PROOF + 1))


async def test_algorithms_with_a_shared_secret_or_none_are_refused(door: Door) -> None:
    claims = {"jti": "j", "htm": "POST", "htu": RESOURCE, "iat": int(time.time())}
    head = {"typ": "dpop+jwt", "jwk": HOLDER.public}
    algorithm: str
    key: Any
    for algorithm, key in (("HS256", "x" * 32), ("none", None)):
        await door.refuses("algorithm", jwt.encode(claims, key, algorithm, head))


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("EdDSA", ed25519.Ed25519PrivateKey.generate()),
        ("RS256", rsa.generate_private_key(65537, 2048)),
        ("PS256", rsa.generate_private_key(65537, 2048)),
        ("ES384", ec.generate_private_key(ec.SECP384R1())),
    ],
)
async def test_other_kinds_of_keys_prove_as_well(door: Door, algorithm: str, key: Any) -> None:
    holder = KeyHolder(key, algorithm)
    token = door.issuer.token(cnf=holder.binding)
    await door.open(holder.proof(RESOURCE, token), token)
    await door.refuses("suit", holder.proof(RESOURCE, door.token, header={"jwk": HOLDER.public}))


async def test_keys_that_are_weak_or_large_or_no_keys_are_refused_though_a_token_is_bound_to_them(door: Door) -> None:
    strong = rsa.generate_private_key(65537, 2048)
    modulus = base64.urlsafe_b64encode(b"\xff" * 1024).decode().rstrip("=")
    for algorithm, signer, public in (
        ("RS256", strong, KeyHolder(rsa.generate_private_key(65537, 1024), "RS256").public),
        ("RS256", strong, {**KeyHolder(strong, "RS256").public, "n": modulus}),
        ("ES256", HOLDER.private, {**HOLDER.public, "y": HOLDER.public["x"]}),
        ("ES256", HOLDER.private, {**HOLDER.public, "x": "\ud800"}),
        ("ES256", HOLDER.private, {**HOLDER.public, "crv": "secp256k1"}),
    ):
        token = door.issuer.token(cnf=binding_of(public))
        proof = KeyHolder(signer, algorithm).proof(RESOURCE, token, header={"jwk": public})
        await door.refuses("suit", proof, token=token)


async def test_a_bound_token_is_no_bearer_token_and_a_bearer_token_needs_no_proof(door: Door) -> None:
    await door.open(HOLDER.proof(RESOURCE, door.token))
    bearer = door.credential(door.token, "Bearer")
    assert door.auth.admit(bearer) is None
    with pytest.raises(Denied, match="without a proof") as caught:
        await door.auth.authenticate(bearer, "a", shown=True)
    said = door.challenges(caught.value, "Bearer").splitlines()
    assert said[1].startswith('www-authenticate: Bearer error="invalid_token"')
    assert said[2].startswith("www-authenticate: DPoP ")
    assert "error" not in said[2]
    assert f'algs="{" ".join(ALGORITHMS)}"' in said[2]

    plain = door.issuer.token()
    await door.refuses("not bound", HOLDER.proof(RESOURCE, plain), "invalid", token=plain)
    credential = door.credential(plain, "Bearer")
    assert (await door.auth.authenticate(credential, "a", shown=True)).subject == "ann"
    assert door.auth.admit(credential) is not None
    await door.refuses("not bound", HOLDER.proof(RESOURCE, plain), "invalid", token=plain)


async def test_where_dpop_is_required_or_off_the_other_scheme_is_refused(tmp_path: Path) -> None:
    required, off = Door(tmp_path, "required"), Door(tmp_path, "off")
    with pytest.raises(Denied, match="not DPoP") as caught:
        await required.auth.authenticate(required.credential(required.issuer.token(), "Bearer"), "a", shown=True)
    said = required.challenges(caught.value, "Bearer")
    assert "Bearer" not in said
    assert 'DPoP error="invalid_token"' in said
    assert 'resource_metadata="https://mcp.example.com/.well-known/' in said
    document = next(iter(required.auth.documents().values()))
    assert b'"dpop_bound_access_tokens_required":true' in document
    assert b'"dpop_signing_alg_values_supported":["ES256"' in document
    await off.refuses("not Bearer", HOLDER.proof(RESOURCE, off.token), "invalid")
    assert b"dpop" not in next(iter(off.auth.documents().values()))


async def test_a_nonce_is_asked_for_and_then_accepted(tmp_path: Path) -> None:
    nonces = Nonces()
    door = Door(tmp_path, nonces=nonces)
    with pytest.raises(Denied) as caught:
        await door.open(HOLDER.proof(RESOURCE, door.token))
    lines = door.challenges(caught.value).splitlines()
    assert any(line.startswith('www-authenticate: DPoP error="use_dpop_nonce"') for line in lines)
    nonce = next(line for line in lines if line.startswith("dpop-nonce: ")).removeprefix("dpop-nonce: ")
    await door.open(HOLDER.proof(RESOURCE, door.token, nonce=nonce))
    for wrong in ("x", 5, nonces.current(time.time() - 3 * PERIOD), "\ud800"):
        await door.refuses("nonce", HOLDER.proof(RESOURCE, door.token, nonce=wrong), "nonce")


async def test_requests_for_a_nonce_are_no_failures_of_an_address(tmp_path: Path) -> None:
    door = Door(tmp_path, nonces=Nonces())
    for _ in range(70):  # more than max_failures_per_minute
        await door.refuses("nonce", HOLDER.proof(RESOURCE, door.token), "nonce")


def test_gateways_with_the_same_keys_share_nonces_also_while_keys_change() -> None:
    one, two, alone = Nonces(), Nonces(), Nonces()
    one.renew([b"a" * 32])
    two.renew([b"b" * 32, b"a" * 32])
    assert two.accepts(one.current(1000.0), 1000.0)
    assert not one.accepts(two.current(1000.0), 1000.0)
    assert not alone.accepts(one.current(1000.0), 1000.0)
    assert one.accepts(one.current(1000.0), 1000.0 + PERIOD)
    assert not one.accepts(one.current(1000.0), 1000.0 + 2 * PERIOD)


async def test_if_no_more_proofs_can_be_remembered_they_are_refused_until_others_are_too_old() -> None:
    used = UsedProofs(limit=2)
    noted = [used.first_use(digest, 160, 100.0, f"of {digest!r}") for digest in (b"a", b"b", b"c", b"a")]
    assert noted == [True, True, None, False]
    assert used.first_use(b"c", 220, 160.9, "c") is None
    assert used.first_use(b"c", 221, 161.0, "c") is True
    assert len(used) == 1


async def test_one_client_leaves_room_for_the_proofs_of_others() -> None:
    used = UsedProofs(limit=8)
    assert [used.first_use(bytes([n]), 160, 100.0, "ann") for n in range(4)] == [True, True, None, None]
    assert used.first_use(b"b", 160, 100.0, "bob") is True
    assert used.first_use(b"c", 220, 161.0, "ann") is True, "its old proofs count no more"


@given(
    st.integers(1, 8),
    st.lists(
        st.tuples(st.integers(0, 20), st.integers(-MAX_AGE, MAX_AGE), st.integers(0, 40), st.sampled_from("abc")),
        max_size=60,
    ),
)
def test_no_proof_is_used_twice_while_it_is_accepted_and_memory_is_bounded(
    limit: int, events: list[tuple[int, int, int, str]]
) -> None:
    used, now, accepted = UsedProofs(limit), 1_000.0, dict[bytes, tuple[int, str]]()
    for name, age, wait, client in events:
        now += wait
        digest, until = bytes([name]), int(now) + age + MAX_AGE
        accepted = {digest: (end, owner) for digest, (end, owner) in accepted.items() if end >= int(now)}
        first = used.first_use(digest, until, now, client)
        assert len(used) <= limit
        if digest in accepted:
            assert first is False
        if first:
            accepted[digest] = until, client
        kept = sum(owner == client and end >= int(now) for end, owner in accepted.values())
        assert kept <= max(1, limit // SHARE)
        assert first is not None or len(accepted) == limit or kept == max(1, limit // SHARE)


class Elsewhere:
    """The proofs of other gateways."""

    def __init__(self, answer: bool | None) -> None:
        self.answer = answer

    async def first_use(self, digest: bytes, seconds: int) -> bool | None:
        return self.answer


@pytest.mark.parametrize(("answer", "admitted"), [(True, True), (None, True), (False, False)])
async def test_a_proof_that_another_gateway_has_seen_is_refused(
    door: Door, answer: bool | None, admitted: bool
) -> None:
    shown = ShownProof(HOLDER.proof(RESOURCE, door.token), "POST", RESOURCE, Elsewhere(answer))
    opened = door.auth.authenticate(door.credential(door.token), "a", shown=True, proof=shown)
    if admitted:
        assert (await opened).subject == "ann"
    else:
        with pytest.raises(Denied, match="used before"):
            await opened


async def test_without_a_known_url_no_proof_is_valid(door: Door) -> None:
    await door.refuses("htu", HOLDER.proof("", door.token), url="")
