"""A client that holds a key, and proves it with each request (RFC 9449)."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import time
from collections.abc import Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

_NUMBERS = itertools.count()


def _encoded(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def binding_of(public: Mapping[str, Any]) -> dict[str, str]:
    """The `cnf` claim of a token that is bound to this key (RFC 7638)."""
    canonical = json.dumps(public, sort_keys=True, separators=(",", ":")).encode()
    return {"jkt": _encoded(hashlib.sha256(canonical).digest())}


class KeyHolder:
    """A client with a key of this algorithm; `binding` is the `cnf` claim of its tokens."""

    def __init__(self, private: Any = None, algorithm: str = "ES256") -> None:
        self.private = private or ec.generate_private_key(ec.SECP256R1())
        self.algorithm = algorithm
        made = jwt.get_algorithm_by_name(algorithm).to_jwk(self.private.public_key(), as_dict=True)
        self.public: dict[str, Any] = {name: made[name] for name in ("crv", "e", "kty", "n", "x", "y") if name in made}
        self.binding = binding_of(self.public)

    def proof(
        self,
        url: str,
        token: str,
        *,
        method: str = "POST",
        header: Mapping[str, Any] | None = None,
        signed_by: Any = None,
        **claims: Any,
    ) -> str:
        """A proof for a request with this token; a claim that is None is left out."""
        body = {
            "jti": f"proof-{next(_NUMBERS)}", "htm": method, "htu": url, "iat": int(time.time()),
            "ath": _encoded(hashlib.sha256(token.encode()).digest()), **claims,
        }  # fmt: skip
        head = {"typ": "dpop+jwt", "jwk": self.public, **(header or {})}
        return jwt.encode(
            {name: value for name, value in body.items() if value is not None},
            signed_by or self.private,
            head.get("alg", self.algorithm),
            head,
        )

    def headers(self, url: str, token: str, **proof: Any) -> dict[str, str]:
        """The headers of a request with this token."""
        return {"Authorization": f"DPoP {token}", "DPoP": self.proof(url, token, **proof)}
