"""The gateway as a client of an authorization server: it authenticates, and requests tokens."""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from secrets import token_urlsafe
from typing import Final
from urllib.parse import quote_plus

from mcppool.spec.sections.outbound import ClientCredentialsSpec
from mcppool.tls_files import client_context
from mcppool.upstream.oauth.http import send
from mcppool.upstream.oauth.private_key import algorithm_of, load_key, read_credential
from mcppool.upstream.oauth.token_response import (
    Token,
    TokenUnavailable,
    metadata_urls,
    read_token,
    read_token_endpoint,
)

ASSERTION_LIFETIME: Final = 60  # seconds
ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
FOUND_FOR: Final = 3600.0  # seconds that a token endpoint from metadata is used


class OAuthClient:
    """Requests tokens. It remembers only the issuer's token endpoint; secrets and keys are read anew for each request,
    so that a changed file applies at once."""

    def __init__(self, spec: ClientCredentialsSpec) -> None:
        self.spec = spec
        self._endpoint = spec.token_url
        self._found_at = 0.0

    async def own_token(self) -> Token:
        """A token for the gateway itself. Raises TokenUnavailable."""
        return await self.ask({"grant_type": "client_credentials"}, self.spec.scopes)

    async def ask(self, form: Mapping[str, str], scopes: tuple[str, ...]) -> Token:
        """The token for a grant. Raises TokenUnavailable."""
        spec = self.spec
        url = await self._token_endpoint()
        whole = {**form, "scope": " ".join(scopes), "audience": spec.audience, "resource": spec.resource}
        proof, headers, secret = self._proof(url, time.time())
        fields = {key: value for key, value in {**whole, **proof}.items() if value}
        try:
            answer = await send(url, spec.ca_file, form=fields, headers=headers)
            return read_token(answer.status, answer.body)
        except TokenUnavailable as error:
            self._endpoint = spec.token_url  # the issuer may have moved it
            raise TokenUnavailable(_without(str(error), secret)) from None

    async def _token_endpoint(self) -> str:
        spec, now = self.spec, time.monotonic()
        if self._endpoint is not None and (spec.issuer is None or now < self._found_at + FOUND_FOR):
            return self._endpoint
        assert spec.issuer is not None
        why = ""
        for url in metadata_urls(spec.issuer):
            answer = await send(url, spec.ca_file)
            if answer.status == 200:
                self._endpoint, self._found_at = read_token_endpoint(spec.issuer, answer.body), now
                return self._endpoint
            why = f"{url} answers HTTP {answer.status}"
        raise TokenUnavailable(f"the issuer has no metadata: {why}")

    def _proof(self, token_url: str, now: float) -> tuple[dict[str, str], dict[str, str], str | None]:
        """Fields and headers that authenticate the client, and the secret in them."""
        spec = self.spec
        if spec.private_key_file is not None:
            assertion = signed_assertion(spec, token_url, now)
            return (
                {
                    "client_id": spec.client_id,
                    "client_assertion_type": ASSERTION_TYPE,
                    "client_assertion": assertion,
                },
                {},
                assertion,
            )
        secret = _read_secret(spec.client_secret_file or "")
        if spec.client_secret_method == "post":  # noqa: S105
            return {"client_id": spec.client_id, "client_secret": secret}, {}, secret
        both = f"{quote_plus(spec.client_id)}:{quote_plus(secret)}"
        return {}, {"authorization": f"Basic {b64encode(both.encode()).decode()}"}, secret


def signed_assertion(spec: ClientCredentialsSpec, token_url: str, now: float) -> str:
    """The JWT that proves possession of the client's key (RFC 7523). Raises TokenUnavailable."""
    import jwt  # here, because only pools that use it pay for loading it

    key = load_key(spec.private_key_file or "")
    claims = {
        "iss": spec.client_id,
        "sub": spec.client_id,
        "aud": spec.assertion_audience or token_url,
        "jti": token_urlsafe(16),
        "iat": int(now),
        "exp": int(now) + ASSERTION_LIFETIME,
    }
    headers = {"kid": spec.key_id} if spec.key_id is not None else None
    return jwt.encode(claims, key, algorithm_of(key), headers=headers)


def unusable_files(spec: ClientCredentialsSpec) -> Iterator[tuple[str, str]]:
    """The keys of `spec` whose files cannot be used, each with the reason."""
    reads: tuple[tuple[str, str | None, Callable[[str], object]], ...] = (
        ("client_secret_file", spec.client_secret_file, _read_secret),
        ("private_key_file", spec.private_key_file, load_key),
        ("ca_file", spec.ca_file, client_context),
    )
    for key, path, read in reads:
        try:
            if path is not None:
                read(path)
        except (OSError, TokenUnavailable) as error:
            yield key, f"cannot be used: {error}"


def _read_secret(path: str) -> str:
    try:
        secret = read_credential(path).strip().decode()
    except UnicodeDecodeError:
        raise TokenUnavailable(f"the file {path} is not UTF-8") from None
    if not secret:
        raise TokenUnavailable(f"there is no secret in the file {path}")
    return secret


def _without(text: str, secret: str | None) -> str:
    return text.replace(secret, "(hidden)") if secret else text
