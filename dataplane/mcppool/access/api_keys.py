"""`auth.inbound.type = "api_keys"`: keys that the gateway knows by their hashes."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable, Mapping
from typing import Final

from mcppool.access.certificates import PeerCertificate
from mcppool.access.credential import Credential, read_credential
from mcppool.access.denied import Denied
from mcppool.access.key_file import ApiKey, parse_keys, read_key_file
from mcppool.access.principal_keys import principal_key
from mcppool.observe.logs import get_logger
from mcppool.policy.principal import Principal
from mcppool.spec.sections.inbound import ApiKeysSpec
from mcppool.supervision import supervise

INTERVAL: Final = 2.0
"""Seconds between two looks at the file; a mounted Secret takes a minute to change anyway."""

log = get_logger("auth")


class ApiKeys:
    """The keys of a file, which is read again when it changes. A file that cannot be read changes nothing.

    Raises OSError or ValueError if the file cannot be read at first. `on_change` is called after each change.
    """

    def __init__(self, spec: ApiKeysSpec, pool: str, on_change: Callable[[], None]) -> None:
        self.header = spec.header.lower()
        self._scheme = self.header == "authorization"
        self._path = spec.keys_file
        self._pool = pool
        self._on_change = on_change
        self._text = read_key_file(self._path)
        self._refused = ""
        self._keys = _by_hash(parse_keys(self._text))
        self._watcher: asyncio.Task[None] | None = supervise("API keys", self._watch, about=pool)

    def read(self, headers: Mapping[str, str], certificate: PeerCertificate) -> Credential | None:  # noqa: ARG002
        """See `Authenticator`."""
        value = headers.get(self.header)
        return read_credential(value, scheme=self._scheme) if value is not None else None

    def recall(self, credential: Credential, now: float) -> Principal | None:
        """See `Authenticator`. Its duration reveals nothing about a key: it depends only on hashes."""
        if self._scheme and credential.scheme != "bearer":
            return None
        found = self._keys.get(credential.digest)
        if found is None or not hmac.compare_digest(found[0].hash, credential.digest):
            return None
        key, principal = found
        return None if key.expires is not None and now >= key.expires else principal

    async def authenticate(self, credential: Credential, address: str, now: float) -> Principal:  # noqa: ARG002
        """See `Authenticator`."""
        principal = self.recall(credential, now)
        if principal is not None:
            return principal
        if self._scheme and credential.scheme != "bearer":
            raise Denied("invalid", "the scheme of Authorization is not Bearer")
        if credential.digest in self._keys:
            raise Denied("expired", "the API key has expired")
        raise Denied("invalid", "the API key is not known")

    async def close(self) -> None:
        """See `Authenticator`."""
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            self.refresh()

    def refresh(self) -> None:
        """Check the file, and apply a change."""
        try:
            text = read_key_file(self._path)
            if text == self._text:
                return
            keys = _by_hash(parse_keys(text))
        except (OSError, ValueError) as error:
            if str(error) != self._refused:
                self._refused = str(error)
                log.error("api_keys_refused", pool=self._pool, file=self._path, problem=str(error))
            return
        self._text, self._keys, self._refused = text, keys, ""
        log.event("api_keys_loaded", pool=self._pool, keys=len(keys))
        self._on_change()


def _by_hash(keys: tuple[ApiKey, ...]) -> Mapping[bytes, tuple[ApiKey, Principal]]:
    return {key.hash: (key, _principal(key)) for key in keys}


def _principal(key: ApiKey) -> Principal:
    return Principal(
        principal_key("api_keys", key.name),
        "api_keys",
        name=key.name,
        groups=frozenset(key.groups),
        scopes=frozenset(key.scopes),
        expires_at=key.expires,
        token_hash=key.hash.hex()[:16],
    )
