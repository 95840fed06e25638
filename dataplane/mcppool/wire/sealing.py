"""Session ids that carry their own route. Only gateways with the key can make or read them (design §1.6).

A token is ``KEYID.BASE64URL``: AES-256-GCM over the claims, with a random 96-bit nonce in front. The key id, the pool
and the principal are associated data: a token of another pool or principal is as invalid as a forged one. With random
nonces one key is good for 2³² tokens; rotate long before that.

A key file has one ``id:base64(32 bytes)`` per line; the first key mints, all are accepted; empty lines and lines that
begin with ``#`` are ignored. To rotate: append a new line everywhere, then move it to the top everywhere, then drop the
old one when its sessions have expired.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import time
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MAX_TOKEN: Final = 6 * 1024
"""Upper bound on the characters of a token. Clients send it in a header with each request, and common limits of one
header are 8 KiB."""

MAX_CAPABILITIES: Final = 2 * 1024
"""Upper bound in bytes, compressed, on the stored capabilities of a session; larger ones are left out."""

_MAX_INFLATED: Final = 256 * 1024  # upper bound in bytes before compression
_KEY_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")
_NONCE: Final = 12
_SECRET: Final = 32


class SessionClaims(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The data that a gateway needs to serve an unknown session."""

    endpoint: str
    """Identity of the endpoint that holds the session."""
    upstream_session: str
    """The server's own ``Mcp-Session-Id``."""
    version: str
    """The negotiated protocol revision."""
    capabilities: bytes | None
    """The client's capabilities, compressed by `compressed`. None if they were too large: then the session cannot move
    to another endpoint."""
    client: bytes
    """Raw JSON of the client's name and version."""
    issued: int
    """Unix time in seconds."""
    expires: int
    """Unix time in seconds at which the id expires."""


def compressed(capabilities: bytes) -> bytes | None:
    """Capabilities in the form for claims; None if they are too large."""
    if len(capabilities) > _MAX_INFLATED:
        return None
    small = zlib.compress(capabilities)
    return small if len(small) <= MAX_CAPABILITIES else None


def inflated(capabilities: bytes) -> bytes:
    """The raw JSON of compressed capabilities. Raises ValueError if they are invalid."""
    try:
        return zlib.decompressobj().decompress(capabilities, _MAX_INFLATED)
    except zlib.error as error:
        raise ValueError("not compressed capabilities") from error


class Key(msgspec.Struct, frozen=True):
    """One secret of 32 bytes and the public name that tokens carry."""

    id: str
    secret: bytes

    def __post_init__(self) -> None:
        if not _KEY_ID.fullmatch(self.id):
            raise ValueError(f"key id {self.id[:40]!r}: allowed are 1 to 32 letters, digits, '-' and '_'")
        if len(self.secret) != _SECRET:
            raise ValueError(f"key {self.id!r}: the secret has {len(self.secret)} bytes, not {_SECRET}")

    def __repr__(self) -> str:
        return f"Key(id={self.id!r})"


class KeyRing:
    """The first key mints tokens; tokens of all keys are accepted."""

    def __init__(self, keys: Sequence[Key]) -> None:
        if not keys:
            raise ValueError("a key ring needs at least one key")
        self.keys = tuple(keys)
        if len({key.id for key in keys}) != len(keys):
            raise ValueError("two keys of the ring have the same id")
        self._ciphers: dict[str, AESGCM] = {}

    def cipher(self, key_id: str) -> AESGCM | None:
        """The cipher of a key, None for an unknown one."""
        found = self._ciphers.get(key_id)
        if found is None:
            for key in self.keys:
                if key.id == key_id:
                    # Imported here because it costs 6 MB and modern-only gateways never seal anything.
                    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

                    found = self._ciphers[key_id] = AESGCM(key.secret)
        return found

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(key.id for key in self.keys)})"


def generate_key_line(now: float) -> str:
    """A line for a key file with a fresh secret, named after the day of `now` (Unix seconds, UTC)."""
    day = time.strftime("%Y%m%d", time.gmtime(now))
    return f"{day}-{os.urandom(3).hex()}:{base64.b64encode(os.urandom(_SECRET)).decode()}"


def parse_keys(text: str, source: str = "sealing keys") -> KeyRing:
    """Read a key file. Raises ValueError, which names `source` and the line and never shows a secret."""
    keys: list[Key] = []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        id, colon, encoded = line.partition(":")
        try:
            if not colon:
                raise ValueError("expected id:base64")
            keys.append(Key(id.strip(), base64.b64decode(encoded.strip(), validate=True)))
        except binascii.Error:
            raise ValueError(f"{source}:{number}: the secret is not base64") from None
        except ValueError as error:
            raise ValueError(f"{source}:{number}: {error}") from None
    try:
        return KeyRing(keys)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None


def context(pool: str, principal: str) -> bytes:
    """The context that a token is bound to besides its key; no two pairs give the same bytes."""
    return _encode((pool, principal))


def seal(claims: SessionClaims, ring: KeyRing, context: bytes) -> str:
    """A session id, visible ASCII, that reveals `claims` to holders of the key and `context`, and nothing to others.

    Raises ValueError if the token would be longer than `MAX_TOKEN`, which only a server with huge session ids can
    cause.
    """
    key_id = ring.keys[0].id
    cipher = ring.cipher(key_id)
    assert cipher is not None
    # The client's text is compressed separately from everything else: compressed together with the server's session id,
    # the length of the token would tell the client about the id.
    packed = _encode(claims)
    nonce = os.urandom(_NONCE)
    sealed = nonce + cipher.encrypt(nonce, packed, _associated(key_id, context))
    token = f"{key_id}.{base64.urlsafe_b64encode(sealed).rstrip(b'=').decode()}"
    if len(token) > MAX_TOKEN:
        raise ValueError(f"a sealed session of {len(token)} characters is too long; at most {MAX_TOKEN} are allowed")
    return token


def sealed_with(token: str) -> str:
    """The id of the key that a token claims."""
    return token.partition(".")[0]


def open_sealed(token: str, ring: KeyRing, context: bytes) -> SessionClaims | None:
    """The claims of a token that a key of `ring` sealed for `context`; None for any other text."""
    if len(token) > MAX_TOKEN:
        return None
    key_id, _, encoded = token.partition(".")
    cipher = ring.cipher(key_id)
    if cipher is None:
        return None
    try:
        sealed = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return None
    # Only the one canonical spelling: a second one would be another id for the same session, which the tombstone of the
    # first does not cover.
    if base64.urlsafe_b64encode(sealed).rstrip(b"=").decode() != encoded or len(sealed) < _NONCE:
        return None
    from cryptography.exceptions import InvalidTag

    try:
        return _decode(cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], _associated(key_id, context)))
    except (
        InvalidTag,
        msgspec.MsgspecError,
    ):  # the second: a gateway of another version, whose session is unknown here
        return None


def _associated(key_id: str, context: bytes) -> bytes:
    return b"mcppool session 2\0" + key_id.encode() + b"\0" + context


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(SessionClaims).decode
