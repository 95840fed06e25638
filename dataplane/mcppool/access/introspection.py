"""`auth.inbound.type = "introspection"`: the gateway asks the issuer whether an opaque token is valid (RFC 7662)."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote_plus

from mcppool.access.credential import Credential
from mcppool.access.denied import Denied
from mcppool.access.proof_of_possession import BEARER
from mcppool.access.token_authenticator import TokenAuthenticator, VerifiedToken
from mcppool.small_file import read_small_file
from mcppool.spec.sections.inbound import IntrospectionSpec
from mcppool.spec.written_urls import check_trusted_url
from mcppool.upstream.oauth.http import send
from mcppool.upstream.oauth.token_response import TokenUnavailable, metadata_urls

MAX_ASKED: Final = 64
"""Upper bound on concurrent requests to the issuer. Above it a client is asked to come again."""
REFUSED_FOR: Final = 10.0
"""Seconds that an invalid token is known to be invalid."""
MAX_REFUSED: Final = 10_000
RETRY: Final = 5.0
MAX_SECRET: Final = 4096


class Introspection(TokenAuthenticator):
    """Asks one issuer about tokens, once for each and not again before `revocation_bound` has passed.

    `may_fail` tells whether an address may cause another question.
    """

    method = "introspection"

    def __init__(
        self,
        spec: IntrospectionSpec,
        audiences: Sequence[str],
        revocation_bound: float,
        may_fail: Callable[[str], bool],
        schemes: Collection[str] = BEARER,
    ) -> None:
        super().__init__(revocation_bound, schemes)
        self._spec = spec
        self._audiences = frozenset(spec.audiences or audiences)
        self._may_fail = may_fail
        self._refused: OrderedDict[bytes, float] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[dict[str, Any]]] = {}
        self._url = spec.introspection_url
        read_secret(spec.client_secret_file)

    async def _verified(self, credential: Credential, address: str, now: float) -> VerifiedToken:
        if self._refused.get(credential.digest, 0.0) > now:
            raise Denied("invalid", "the token is not active")
        if not self._may_fail(address):
            raise Denied("invalid", "too many failures to authenticate")
        spec = self._spec
        claims = check_claims(await self._claims(credential), spec.issuer, self._audiences, now)
        if claims is None:
            self._refuse(credential.digest, now)
            raise Denied("invalid", "the token is not active, or not for this pool")
        size = len(json.dumps(claims))
        return VerifiedToken({"iss": spec.issuer, **claims}, spec.subject_claim, spec.groups_claim, size)

    async def close(self) -> None:
        """See `Authenticator`."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _refuse(self, digest: bytes, now: float) -> None:
        self._refused[digest] = now + REFUSED_FOR
        if len(self._refused) > MAX_REFUSED:
            self._refused.popitem(last=False)

    async def _claims(self, credential: Credential) -> dict[str, Any]:
        """The issuer's answer about a token: one request for all clients that send it at once. Raises Denied."""
        task = self._asking.get(credential.digest)
        if task is None:
            if len(self._asking) >= MAX_ASKED:
                raise Denied("unavailable", "too many tokens are being checked", retry_after=1.0)
            task = self._asking[credential.digest] = asyncio.create_task(self._ask(credential.token))
            task.add_done_callback(lambda _: self._asking.pop(credential.digest, None))
        try:
            return await asyncio.shield(task)
        except (TokenUnavailable, OSError, ValueError) as error:
            detail = "the issuer cannot be asked about the token"
            raise Denied("unavailable", detail, retry_after=RETRY) from error

    async def _ask(self, token: str) -> dict[str, Any]:
        spec = self._spec
        url = self._url or await self._discovered()
        both = f"{quote_plus(spec.client_id)}:{quote_plus(read_secret(spec.client_secret_file))}"
        headers = {"authorization": f"Basic {b64encode(both.encode()).decode()}"}
        form = {"token": token, "token_type_hint": "access_token"}
        answer = await send(url, spec.ca_file, form=form, headers=headers)
        if answer.status != 200:
            raise TokenUnavailable(f"{url} answers HTTP {answer.status}")
        document = _read(answer.body)
        if not isinstance(document, dict):
            raise ValueError("is not an object")
        self._url = url
        return document

    async def _discovered(self) -> str:
        """The URL of the introspection endpoint in the issuer's metadata."""
        for url in metadata_urls(self._spec.issuer):
            answer = await send(url, self._spec.ca_file)
            if answer.status == 200:
                document = _read(answer.body)
                if not isinstance(document, dict) or document.get("issuer") != self._spec.issuer:
                    raise ValueError(f"{url} is not the issuer's metadata")
                return check_trusted_url(str(document.get("introspection_endpoint", "")))
        raise TokenUnavailable("the issuer has no metadata")


def _read(body: bytes) -> object:
    """The JSON in an answer. Raises ValueError."""
    try:
        return json.loads(body)
    except RecursionError:
        raise ValueError("is nested too deeply") from None


def check_claims(
    answer: Mapping[str, Any], issuer: str, audiences: frozenset[str], now: float
) -> dict[str, Any] | None:
    """The claims of an active token for one of the audiences; None for any other token."""
    if answer.get("active") is not True or answer.get("iss", issuer) != issuer:
        return None
    audience = answer.get("aud")
    named = (
        {audience} if isinstance(audience, str) else set(map(str, audience)) if isinstance(audience, list) else set()
    )
    if named.isdisjoint(audiences):
        return None
    for name, past in (("exp", True), ("nbf", False)):
        value = answer.get(name)
        if value is not None and (not _is_time(value) or (value <= now) is past):
            return None
    return {name: value for name, value in answer.items() if name != "active"}


def read_secret(path: str) -> str:
    """The gateway's secret at the issuer, without white space around it. Raises OSError or ValueError."""
    secret = read_small_file(path, MAX_SECRET + 1).decode("ascii").strip()
    if not 0 < len(secret) <= MAX_SECRET:
        raise ValueError(f"a secret is one line of up to {MAX_SECRET} characters")
    return secret


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
