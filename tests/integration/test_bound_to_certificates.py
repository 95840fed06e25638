"""Clients that are known by their certificates, and tokens that are bound to one, over real TLS."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.certificates import make_server_certificate
from tests.conftest import GatewayFactory
from tests.issuer import Issuer
from tests.servers import modern_call
from tests.servers.faults import FaultServer
from tests.servers.process import HOST


class Clients:
    """An authority, and the certificates of its clients."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "clients")])
        own = self._builder(self._name, self._key.public_key()).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self.ca = folder / "clients.crt"
        self.ca.write_bytes(own.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def _builder(self, name: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
        )

    def certificate(self, name: str) -> tuple[Path, str]:
        """The file of a client's certificate and key, and the thumbprint of RFC 8705."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = self._builder(subject, key.public_key()).sign(self._key, hashes.SHA256())
        file = self._folder / f"{name}.pem"
        file.write_bytes(
            made.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        der = made.public_bytes(serialization.Encoding.DER)
        return file, base64.urlsafe_b64encode(hashlib.sha256(der).digest()).decode().rstrip("=")


async def test_a_client_is_its_certificate_and_a_bound_token_needs_its_own(
    gateway: GatewayFactory, tmp_path: Path
) -> None:
    clients, files, issuer = Clients(tmp_path), make_server_certificate(tmp_path / "tls"), Issuer()
    (ann, bound), (bob, _) = clients.certificate("ann"), clients.certificate("bob")
    keys = tmp_path / "jwks.json"
    keys.write_bytes(issuer.jwks)
    async with FaultServer() as server:
        pools = (
            f'[[pools]]\nname = "cert"\nendpoints = ["{server.url}"]\nauth = {{inbound = {{type = "mtls"}}}}\n'
            f'[[pools]]\nname = "token"\nendpoints = ["{server.url}"]\n[pools.auth.inbound]\ntype = "jwt"\n'
            f'jwt = {{issuers = [{{issuer = "{issuer.url}", audiences = ["here"], jwks_file = "{keys}"}}]}}\n'
        )
        tls = (
            f'[listener.tls]\ncertificate_file = "{files.certificate}"\nkey_file = "{files.key}"\n'
            f'client_ca_file = "{clients.ca}"\nclient_certificates = "optional"'
        )
        front = await asyncio.to_thread(gateway, pools, listener=tls)

        async def status(pool: str, certificate: Path | None, token: str = "") -> int:
            context = ssl.create_default_context(cafile=files.ca)
            if certificate is not None:
                context.load_cert_chain(certificate)
            headers, body = modern_call("read")
            shown = {"Authorization": f"Bearer {token}"} if token else {}
            url = f"https://{HOST}:{front.port}/{pool}/mcp"
            async with (
                aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as http,
                http.post(url, data=body, headers=headers | shown) as response,
            ):
                await response.read()
                return response.status

        assert await status("cert", ann) == 200
        assert await status("cert", None) == 401
        token = issuer.token(aud="here", cnf={"x5t#S256": bound})
        assert await status("token", ann, token) == 200
        assert await status("token", bob, token) == 401
        assert await status("token", None, token) == 401
        assert await status("token", None, issuer.token(aud="here")) == 200
