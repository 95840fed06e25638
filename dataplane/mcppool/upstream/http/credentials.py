"""Credentials of the gateway at the servers that change by themselves: one header line, or the reason why there is
none."""

from __future__ import annotations

from typing import Protocol


class Credentials(Protocol):
    """The credential in each request to the servers of a pool. `line` is a header line; `missing` is the reason why
    there is none."""

    line: bytes
    missing: str | None

    async def obtain(self) -> None:
        """Wait for a fetch in progress. Raises NoCredentials if it gives nothing."""

    def refused(self, sent_at: float) -> bool:
        """A server answered 401 to a request sent at `sent_at` (monotonic seconds): whether other credentials exist
        now, or are being fetched."""
