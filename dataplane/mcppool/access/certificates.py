"""`auth.inbound.type = "mtls"`: clients show a certificate, which the listener has verified in the TLS handshake."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from mcppool.access.credential import Credential
from mcppool.access.denied import Denied
from mcppool.access.peer_certificate import PeerCertificate
from mcppool.access.principal_keys import principal_key
from mcppool.access.token_cache import TokenCache
from mcppool.policy.principal import Principal

LARGEST: Final = 64 * 1024
"""Upper bound in bytes on a certificate."""


class ClientCertificates:
    """Makes a principal of each certificate, by its issuer and subject: a renewed certificate is the same principal."""

    header = ""

    def __init__(self, revocation_bound: float) -> None:
        self._cache = TokenCache(revocation_bound)

    def read(self, headers: Mapping[str, str], certificate: PeerCertificate) -> Credential | None:  # noqa: ARG002
        """See `Authenticator`."""
        if not certificate.thumbprint:
            return None
        return Credential("", certificate.der.decode("latin-1"), certificate.thumbprint, certificate.thumbprint)

    def recall(self, credential: Credential, now: float) -> Principal | None:
        """See `Authenticator`."""
        return self._cache.get(credential.digest, now)

    async def authenticate(self, credential: Credential, address: str, now: float) -> Principal:  # noqa: ARG002
        """See `Authenticator`."""
        der = credential.token.encode("latin-1")
        principal = principal_of_certificate(der, credential.digest.hex()[:16], now)
        self._cache.keep(credential.digest, len(der), principal, now)
        return principal

    async def close(self) -> None:
        """See `Authenticator`."""


def principal_of_certificate(der: bytes, token_hash: str, now: float) -> Principal:
    """The principal of a certificate. Its organizational units are its groups. Raises Denied."""
    if len(der) > LARGEST:
        raise Denied("invalid", f"the certificate has more than {LARGEST} bytes")
    try:
        certificate = x509.load_der_x509_certificate(der)
        issuer, subject = certificate.issuer.rfc4514_string(), certificate.subject.rfc4514_string()
        name = subject or _alternative_name(certificate)
        units = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
        expires = certificate.not_valid_after_utc.timestamp()
        begins = certificate.not_valid_before_utc.timestamp()
    except (ValueError, x509.ExtensionNotFound):
        raise Denied("invalid", "the certificate cannot be read, or names nobody") from None
    if not begins <= now < expires:
        raise Denied("expired", "the certificate is not valid at this time")
    return Principal(
        principal_key("mtls", issuer, name),
        "mtls",
        issuer=issuer,
        subject=name,
        name=name,
        groups=frozenset(str(unit.value) for unit in units),
        expires_at=expires,
        token_hash=token_hash,
    )


def _alternative_name(certificate: x509.Certificate) -> str:
    """The first alternative name, such as a SPIFFE id, of a certificate without a subject. Raises ExtensionNotFound or
    ValueError."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    for name in names:
        return str(name.value)
    raise ValueError("no name")
