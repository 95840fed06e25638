"""Credentials of the gateway at the servers that change by themselves: one header line, or why there is none."""

from __future__ import annotations

from typing import Protocol


class Credentials(Protocol):
    """What each request to the servers of a pool carries. `line` is a header line; `missing` says why there is none."""

    line: bytes
    missing: str | None

    async def obtain(self) -> None:
        """Wait for a fetch under way. Raises NoCredentials if it gives nothing."""

    def refused(self, sent_at: float) -> bool:
        """A server answered 401 to a request sent at `sent_at` (monotonic seconds): whether other credentials than it
        had are there now, or are being fetched."""
