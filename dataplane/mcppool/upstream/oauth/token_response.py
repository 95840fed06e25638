"""Answers of authorization servers: metadata (RFC 8414) and tokens (RFC 6749). Pure: bytes in, values out."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import msgspec

from mcppool.spec.written_urls import check_trusted_url
from mcppool.wire.members import UNREADABLE

MAX_TOKEN: Final = 16 * 1024  # bytes
MAX_DESCRIPTION: Final = 200  # characters of an error's description that the log gets
_TOKEN: Final = re.compile(r"[!-~]+")
_CODE: Final = re.compile(r"[!-~]{1,64}")


class TokenUnavailable(Exception):
    """There is no token. The text gives the reason, for the log, and holds no secret."""


class Token(msgspec.Struct, frozen=True):
    """An access token; `expires_in` is in seconds, None if the issuer gives no lifetime."""

    value: str
    expires_in: float | None = None

    def __repr__(self) -> str:
        """Without the token."""
        return f"<Token expires_in={self.expires_in}>"


class _Token(msgspec.Struct):
    access_token: str
    token_type: str
    expires_in: float | str | None = None


class _Error(msgspec.Struct):
    error: str
    error_description: str | None = None


class _Metadata(msgspec.Struct):
    issuer: str
    token_endpoint: str


_token = msgspec.json.Decoder(_Token).decode
_error = msgspec.json.Decoder(_Error).decode
_metadata = msgspec.json.Decoder(_Metadata).decode


def read_token(status: int, body: bytes) -> Token:
    """The token in an answer of a token endpoint. Raises TokenUnavailable."""
    if status != 200:
        raise TokenUnavailable(f"the token endpoint answers HTTP {status}{_named_error(body)}")
    try:
        read = _token(body)
    except UNREADABLE as error:
        raise TokenUnavailable("the token endpoint's answer is not one with an access token") from error
    if read.token_type.lower() not in ("bearer", "n_a"):
        raise TokenUnavailable(f"the token endpoint gives a token of type {read.token_type[:64]!r}, not a bearer token")
    if len(read.access_token) > MAX_TOKEN or not _TOKEN.fullmatch(read.access_token):
        raise TokenUnavailable(f"the token is not one of 1 to {MAX_TOKEN} visible ASCII characters")
    return Token(read.access_token, _seconds(read.expires_in))


def _seconds(expires_in: float | str | None) -> float | None:
    """Some issuers write the number as a string."""
    try:
        return None if expires_in is None else float(expires_in)
    except ValueError:
        return None


def _named_error(body: bytes) -> str:
    try:
        read = _error(body)
    except UNREADABLE:
        return ""
    if not _CODE.fullmatch(read.error):
        return ""
    description = "".join(c if c.isprintable() else "?" for c in (read.error_description or "")[:MAX_DESCRIPTION])
    return f" {read.error}" + (f": {description}" if description else "")


def metadata_urls(issuer: str) -> tuple[str, ...]:
    """The possible URLs of an issuer's metadata: RFC 8414, then OpenID Connect in the place of RFC 8414 and in its
    own."""
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    places = [
        f"/.well-known/oauth-authorization-server{path}",
        f"/.well-known/openid-configuration{path}",
        f"{path}/.well-known/openid-configuration",
    ]
    return tuple(dict.fromkeys(urlunsplit((parts.scheme, parts.netloc, place, "", "")) for place in places))


def read_token_endpoint(issuer: str, body: bytes) -> str:
    """The token endpoint in an issuer's metadata. Raises TokenUnavailable."""
    try:
        read = _metadata(body)
    except UNREADABLE as error:
        raise TokenUnavailable("the issuer's metadata has no issuer and token_endpoint") from error
    if read.issuer.rstrip("/") != issuer.rstrip("/"):
        raise TokenUnavailable(f"the issuer's metadata is of another issuer, {read.issuer[:MAX_DESCRIPTION]!r}")
    try:
        return check_trusted_url(read.token_endpoint)
    except ValueError as error:
        raise TokenUnavailable(f"the token_endpoint in the issuer's metadata {error}") from error
