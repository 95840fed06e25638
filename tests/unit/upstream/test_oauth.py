"""Answers of authorization servers, and the gateway's proofs to them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa

from mcppool.spec.sections.outbound import ClientCredentialsSpec
from mcppool.upstream.oauth.client import signed_assertion
from mcppool.upstream.oauth.private_key import load_key
from mcppool.upstream.oauth.token_response import (
    Token,
    TokenUnavailable,
    metadata_urls,
    read_token,
    read_token_endpoint,
)


def token(**members: Any) -> bytes:
    return json.dumps({"access_token": "abc", "token_type": "Bearer", **members}).encode()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (token(), Token("abc")),
        (token(expires_in=60), Token("abc", 60)),
        (token(expires_in="60"), Token("abc", 60)),
        (token(expires_in="soon"), Token("abc")),
        (token(token_type="bearer", scope="a b", id_token=1), Token("abc")),
    ],
)
def test_a_token_is_read(body: bytes, expected: Token) -> None:
    assert read_token(200, body) == expected
    assert "abc" not in repr(expected)


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (200, b"", "not one with an access token"),
        (200, b"[" * 100_000, "not one with an access token"),
        (200, b'{"access_token": 3, "token_type": "Bearer"}', "not one with an access token"),
        (200, token(token_type="DPoP"), "not a bearer token"),
        (200, token(access_token="a b"), "visible ASCII"),
        (200, token(access_token="a\r\nHost: evil"), "visible ASCII"),
        (200, token(access_token=""), "visible ASCII"),
        (200, token(access_token="x" * 20_000), "visible ASCII"),
        (302, token(), "HTTP 302"),
        (500, b"<html>", "HTTP 500"),
        (
            401,
            b'{"error": "invalid_client", "error_description": "no\\nsuch client"}',
            "invalid_client: no?such client",
        ),
        (400, b'{"error": "a b"}', "HTTP 400$"),
    ],
)
def test_anything_else_is_no_token(status: int, body: bytes, why: str) -> None:
    with pytest.raises(TokenUnavailable, match=why.replace("?", r"\?")):
        read_token(status, body)


def test_metadata_is_looked_for_at_the_places_of_rfc_8414_and_of_openid_connect() -> None:
    assert metadata_urls("https://a.example/t/1/") == (
        "https://a.example/.well-known/oauth-authorization-server/t/1",
        "https://a.example/.well-known/openid-configuration/t/1",
        "https://a.example/t/1/.well-known/openid-configuration",
    )
    assert len(metadata_urls("https://a.example")) == 2


@pytest.mark.parametrize(
    ("metadata", "why"),
    [
        ({}, "no issuer and token_endpoint"),
        ({"issuer": "https://b.example", "token_endpoint": "https://a.example/t"}, "of another issuer"),
        ({"issuer": "https://a.example", "token_endpoint": "http://a.example/t"}, "must use https"),
        ({"issuer": "https://a.example", "token_endpoint": "https://me:pw@a.example/t"}, "password"),
        ({"issuer": "https://a.example", "token_endpoint": "file:///etc/passwd"}, "not an absolute URL"),
    ],
)
def test_metadata_that_leads_astray_is_refused(metadata: dict[str, str], why: str) -> None:
    with pytest.raises(TokenUnavailable, match=why):
        read_token_endpoint("https://a.example", json.dumps(metadata).encode())


def write_key(path: Path, key: Any, password: bytes | None = None) -> Path:
    encryption = serialization.NoEncryption() if password is None else serialization.BestAvailableEncryption(password)
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption))
    return path


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (ec.generate_private_key(ec.SECP256R1()), "ES256"),
        (ec.generate_private_key(ec.SECP384R1()), "ES384"),
        (ed25519.Ed25519PrivateKey.generate(), "EdDSA"),
        (rsa.generate_private_key(65537, 2048), "RS256"),
    ],
    ids=["P-256", "P-384", "Ed25519", "RSA"],
)
def test_an_assertion_is_signed_with_the_algorithm_of_its_key(tmp_path: Path, key: Any, algorithm: str) -> None:
    spec = ClientCredentialsSpec(
        token_url="https://a.example/t",
        client_id="me",
        key_id="k1",
        private_key_file=str(write_key(tmp_path / "k", key)),
    )
    signed = signed_assertion(spec, "https://a.example/t", 1000.0)
    assert jwt.get_unverified_header(signed) == {"alg": algorithm, "kid": "k1", "typ": "JWT"}
    options = {"verify_exp": False}
    claims = jwt.decode(
        signed,
        key.public_key(),
        [algorithm],
        audience="https://a.example/t",
        options=options,  # type: ignore[arg-type]
    )
    assert (claims["iss"], claims["sub"], claims["iat"], claims["exp"]) == ("me", "me", 1000, 1060)
    again = signed_assertion(spec, "https://a.example/t", 1000.0)
    assert jwt.decode(again, options={"verify_signature": False})["jti"] != claims["jti"]


def test_a_key_that_cannot_sign_is_refused_without_its_content(tmp_path: Path) -> None:
    good = ec.generate_private_key(ec.SECP256R1())
    for key, password, why in (
        (good, b"pw", "unencrypted private key"),
        (dsa.generate_private_key(1024), None, "no key for"),
        (ec.generate_private_key(ec.SECP224R1()), None, "no key for"),
    ):
        with pytest.raises(TokenUnavailable, match=why):
            load_key(str(write_key(tmp_path / "k", key, password)))
    (tmp_path / "k").write_text("hunter2")
    with pytest.raises(TokenUnavailable, match="no PEM file") as caught:
        load_key(str(tmp_path / "k"))
    assert "hunter2" not in str(caught.value)
    with pytest.raises(TokenUnavailable, match="cannot be read"):
        load_key(str(tmp_path / "none"))
