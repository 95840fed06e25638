"""Keys of an issuer, kept up to date: from its URL, or from a file."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from time import monotonic
from typing import Final, Protocol

from mcppool.access.denied import Denied
from mcppool.access.verification_keys import VerificationKey, matching, read_key_set
from mcppool.observe.logs import get_logger
from mcppool.small_file import read_small_file
from mcppool.spec.sections.inbound import IssuerSpec
from mcppool.spec.written_urls import check_trusted_url
from mcppool.supervision import supervise
from mcppool.upstream.oauth.http import send
from mcppool.upstream.oauth.token_response import TokenUnavailable, metadata_urls
from mcppool.watched_file import WatchedFile

REFRESH: Final = 300.0
"""Seconds between two periodic fetches of keys."""
AGAIN: Final = 10.0
"""Lower bound on the seconds between two fetches: unknown key ids cost an issuer no more requests than that."""
MAX_FILE: Final = 1 << 20

log = get_logger("auth")


class KeySource(Protocol):
    """The keys of one issuer."""

    async def find(self, kid: str | None, algorithm: str) -> list[VerificationKey]:
        """The keys that may have signed a token with this header. Raises Denied if no keys are known yet."""

    async def renewed(self) -> bool:
        """Look again for keys, if the last look is long enough ago; whether they have changed. An issuer may replace a
        key under the same key id, or have none."""

    async def close(self) -> None:
        """End its background task."""


class FileKeys:
    """Keys in a file, which is read again when it changes. A file that cannot be read changes nothing.

    Raises OSError or ValueError if it cannot be read at first. `on_change` is called when a key has been removed.
    """

    def __init__(self, path: str, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self.file = WatchedFile(
            path, read_file, read_key_set, kind="issuer keys", on_change=self._changed, on_refusal=self._refused
        )

    async def find(self, kid: str | None, algorithm: str) -> list[VerificationKey]:
        """See `KeySource`."""
        return matching(self.file.value, kid, algorithm)

    async def renewed(self) -> bool:
        """See `KeySource`. The file is watched anyway."""
        return False

    async def close(self) -> None:
        """See `KeySource`."""
        await self.file.close()

    def _changed(self, before: tuple[VerificationKey, ...], keys: tuple[VerificationKey, ...]) -> None:
        log.event("issuer_keys_loaded", file=self.file.path, keys=len(keys))
        if lost(before, keys):
            self._on_change()

    def _refused(self, problem: str) -> None:
        log.error("issuer_keys_refused", file=self.file.path, problem=problem)


class RemoteKeys:
    """Keys at a URL, or at the URL in the issuer's metadata. While the issuer is away the known keys stay valid.

    `on_change` is called when a key has been removed.
    """

    def __init__(self, spec: IssuerSpec, on_change: Callable[[], None]) -> None:
        self._spec = spec
        self._on_change = on_change
        self._uri = spec.jwks_uri
        self._fetching: asyncio.Task[None] | None = None
        self._fetched = float("-inf")
        self._trouble = ""
        self.keys: tuple[VerificationKey, ...] = ()
        self._refresher = supervise("issuer keys", self._refresh, about=spec.issuer)

    async def find(self, kid: str | None, algorithm: str) -> list[VerificationKey]:
        """See `KeySource`. An unknown key is looked up once, for all requests that need it meanwhile."""
        found = matching(self.keys, kid, algorithm)
        if found:
            return found
        await self.renewed()
        if not self.keys:
            detail = f"the keys of {self._spec.issuer} are not known yet"
            raise Denied("unavailable", detail, retry_after=AGAIN)
        return matching(self.keys, kid, algorithm)

    async def renewed(self) -> bool:
        """See `KeySource`."""
        before = self.keys
        if self._fetching is not None or monotonic() - self._fetched >= AGAIN:
            await self._fetch()
        return self.keys != before

    async def close(self) -> None:
        """See `KeySource`."""
        tasks = [task for task in (self._refresher, self._fetching) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _refresh(self) -> None:
        while True:
            await self._fetch()
            await asyncio.sleep(REFRESH if self.keys and not self._trouble else AGAIN)

    async def _fetch(self) -> None:
        """Fetch the keys, or wait for the fetch in progress. A failure is logged, and changes nothing."""
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch_now())
        await asyncio.shield(self._fetching)

    async def _fetch_now(self) -> None:
        self._fetched = monotonic()
        try:
            keys = await self._keys()
        except (TokenUnavailable, ValueError) as error:
            if str(error) != self._trouble:
                self._trouble = str(error)
                log.error("issuer_keys_unavailable", issuer=self._spec.issuer, detail=str(error), known=len(self.keys))
            return
        finally:
            self._fetching = None
        gone = lost(self.keys, keys)
        if self._trouble or keys != self.keys:
            log.event("issuer_keys_loaded", issuer=self._spec.issuer, keys=len(keys))
        self.keys, self._trouble = keys, ""
        if gone:
            self._on_change()

    async def _keys(self) -> tuple[VerificationKey, ...]:
        uri = self._uri or await self._discovered()
        answer = await send(uri, self._spec.ca_file)
        if answer.status != 200:
            raise TokenUnavailable(f"{uri} answers with status {answer.status}")
        try:
            keys = read_key_set(answer.body)
        except ValueError as error:
            raise ValueError(f"{uri} {error}") from None
        self._uri = uri
        return keys

    async def _discovered(self) -> str:
        """The URL of the keys in the issuer's metadata."""
        told = []
        for url in metadata_urls(self._spec.issuer):
            answer = await send(url, self._spec.ca_file)
            if answer.status == 200:
                return key_url(self._spec.issuer, answer.body, url)
            told.append(f"{url}: status {answer.status}")
        raise TokenUnavailable("the issuer has no metadata: " + ", ".join(told))


def key_url(issuer: str, metadata: bytes, url: str) -> str:
    """The URL of the keys in an issuer's metadata, which must be of this very issuer. Raises ValueError."""
    try:
        document = json.loads(metadata)
        said, uri = document["issuer"], document["jwks_uri"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ValueError(f"{url} is not metadata with issuer and jwks_uri") from None
    if said != issuer:
        raise ValueError(f"{url} is the metadata of another issuer, {str(said)[:200]!r}")
    try:
        return check_trusted_url(str(uri))
    except ValueError as error:
        raise ValueError(f"the jwks_uri in {url} {error}") from None


def lost(before: tuple[VerificationKey, ...], after: tuple[VerificationKey, ...]) -> bool:
    """Whether a key was removed: its tokens are no longer valid."""
    return not {key.thumbprint for key in before} <= {key.thumbprint for key in after}


def read_file(path: str) -> bytes:
    """The bytes of a file of keys. Raises OSError, or ValueError if it is too large."""
    data = read_small_file(path, MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise ValueError(f"has more than {MAX_FILE} bytes")
    return data
