"""Client certificates: principals of their own, and the binding of tokens to them."""

from __future__ import annotations

import base64
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from mcppool.access.certificates import ClientCertificates, principal_of_certificate
from mcppool.access.credential import Credential
from mcppool.access.denied import Denied
from mcppool.access.jwt import JwtTokens
from mcppool.access.proof_of_possession import check_binding
from mcppool.policy.principal import Principal
from mcppool.spec.sections.inbound import IssuerSpec, JwtSpec
from tests.issuer import RESOURCE, Issuer
from tests.unit.access.peer import NO_CERTIFICATE, Peer

NOW = datetime.now(UTC)
KEY = ec.generate_private_key(ec.SECP256R1())


def certificate(name: str, unit: str = "", *, issuer: str = "ca", uri: str = "", days: int = 10) -> bytes:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else []
    attributes += [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit)] if unit else []
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(attributes))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(KEY.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=20))
        .not_valid_after(NOW + timedelta(days=days))
    )
    if uri:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=False
        )
    return builder.sign(KEY, hashes.SHA256()).public_bytes(Encoding.DER)


def principal(der: bytes) -> Principal:
    return principal_of_certificate(der, "hash", NOW.timestamp())


def test_a_principal_is_the_issuer_and_the_subject_of_a_certificate() -> None:
    ann = principal(certificate("ann", "dev"))
    assert (ann.name, ann.groups, ann.method) == ("OU=dev,CN=ann", {"dev"}, "mtls")
    assert ann.key == principal(certificate("ann", "dev")).key  # a renewed one
    others = [certificate("bob", "dev"), certificate("ann"), certificate("ann", "dev", issuer="other")]
    assert ann.key not in {principal(der).key for der in others}


def test_a_certificate_without_a_subject_is_known_by_its_alternative_name() -> None:
    assert principal(certificate("", uri="spiffe://x/agent")).name == "spiffe://x/agent"
    with pytest.raises(Denied, match="names nobody"):
        principal(certificate(""))


def test_what_is_no_certificate_or_has_expired_is_refused() -> None:
    with pytest.raises(Denied, match="cannot be read"):
        principal(b"no certificate")
    with pytest.raises(Denied, match="not valid at this time"):
        principal(certificate("ann", days=-1))


async def test_a_certificate_is_read_once_for_many_calls() -> None:
    clients = ClientCertificates(300.0)
    assert clients.read({}, NO_CERTIFICATE) is None
    credential = clients.read({}, Peer(certificate("ann")))
    assert credential is not None
    now = time.time()
    assert clients.recall(credential, now) is None
    found = await clients.authenticate(credential, "a", now)
    assert clients.recall(credential, now + 1) is found


def test_a_token_that_is_bound_is_of_no_use_with_another_certificate_or_without_one() -> None:
    mine, other = Peer(certificate("ann")).thumbprint, Peer(certificate("bob")).thumbprint
    claims = {"cnf": {"x5t#S256": base64.urlsafe_b64encode(mine).decode().rstrip("=")}}

    def shown(certificate: bytes) -> Credential:
        return Credential("bearer", "token", b"digest", certificate)

    assert check_binding(claims, shown(mine))
    assert not check_binding({}, shown(mine))
    for certificate_shown in (other, b""):
        with pytest.raises(Denied, match="another certificate"):
            check_binding(claims, shown(certificate_shown))
    for binding in ({"jkt": "x"}, {}, "x", 5, [], {"x5t#S256": 5}, {**claims["cnf"], "jkt": "x"}):
        with pytest.raises(Denied, match="without a proof"):
            check_binding({"cnf": binding}, shown(mine))


async def test_a_bound_token_is_recalled_for_its_own_certificate_only(tmp_path: Path) -> None:
    issuer = Issuer()
    (tmp_path / "jwks").write_bytes(issuer.jwks)
    spec = JwtSpec(issuers=(IssuerSpec(issuer=issuer.url, jwks_file=str(tmp_path / "jwks")),))
    tokens = JwtTokens(spec, [RESOURCE], 300.0, lambda: None)
    mine, other = Peer(certificate("ann")), Peer(certificate("bob"))
    bound = base64.urlsafe_b64encode(mine.thumbprint).decode().rstrip("=")
    headers = {"authorization": f"Bearer {issuer.token(cnf={'x5t#S256': bound})}"}
    now = time.time()
    shown = {peer: tokens.read(headers, peer) for peer in (mine, other, NO_CERTIFICATE)}
    credential = shown[mine]
    assert credential is not None
    found = await tokens.authenticate(credential, "a", now)
    assert tokens.recall(credential, now) is found
    for peer in (other, NO_CERTIFICATE):
        stolen = shown[peer]
        assert stolen is not None
        assert tokens.recall(stolen, now) is None
        with pytest.raises(Denied, match="another certificate"):
            await tokens.authenticate(stolen, "a", now)
    await tokens.close()
