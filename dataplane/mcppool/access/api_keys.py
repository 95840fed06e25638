"""`auth.inbound.type = "api_keys"`: keys that the gateway knows by their hashes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mcppool.access.credential import Credential, read_credential
from mcppool.access.denied import Denied
from mcppool.access.key_file import ApiKey, parse_keys, read_key_file
from mcppool.access.peer_certificate import PeerCertificate
from mcppool.access.principal_keys import principal_key
from mcppool.observe.logs import get_logger
from mcppool.policy.principal import Principal
from mcppool.spec.sections.inbound import ApiKeysSpec
from mcppool.watched_file import WatchedFile

log = get_logger("auth")

Keys = Mapping[bytes, tuple[ApiKey, Principal]]
"""Keys with their principals, by their hashes."""


class ApiKeys:
    """The keys of a file, which is read again when it changes. A file that cannot be read changes nothing.

    Raises OSError or ValueError if the file cannot be read at first. `on_change` is called after each change.
    """

    def __init__(self, spec: ApiKeysSpec, pool: str, on_change: Callable[[], None]) -> None:
        self.header = spec.header.lower()
        self._scheme = self.header == "authorization"
        self._pool = pool
        self._on_change = on_change
        self.file = WatchedFile(
            spec.keys_file, read_key_file, _by_hash, kind="API keys", on_change=self._changed, on_refusal=self._refused
        )

    def read(self, headers: Mapping[str, str], certificate: PeerCertificate) -> Credential | None:  # noqa: ARG002
        """See `Authenticator`."""
        value = headers.get(self.header)
        return read_credential(value, scheme=self._scheme) if value is not None else None

    def recall(self, credential: Credential, now: float) -> Principal | None:
        """See `Authenticator`. Its duration reveals nothing about a key: it depends only on hashes."""
        if self._scheme and credential.scheme != "bearer":
            return None
        found = self.file.value.get(credential.digest)
        if found is None:
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
        if credential.digest in self.file.value:
            raise Denied("expired", "the API key has expired")
        raise Denied("invalid", "the API key is not known")

    async def close(self) -> None:
        """See `Authenticator`."""
        await self.file.close()

    def _changed(self, _before: Keys, keys: Keys) -> None:
        log.event("api_keys_loaded", pool=self._pool, keys=len(keys))
        self._on_change()

    def _refused(self, problem: str) -> None:
        log.error("api_keys_refused", pool=self._pool, file=self.file.path, problem=problem)


def _by_hash(text: str) -> Keys:
    return {key.hash: (key, _principal(key)) for key in parse_keys(text)}


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
