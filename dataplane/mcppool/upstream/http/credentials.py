"""Credentials of the gateway at the servers that change by themselves: header lines, or the reason why there are
none."""

from __future__ import annotations

from typing import Protocol


class Credentials(Protocol):
    """The credentials in requests to the servers of a pool.

    `line` has the header lines of the gateway's own requests, `client_line` those of requests with lines on behalf of a
    client; `missing` and `missing_for_clients` give the reason why there are none. `exchanges`: each client has a token
    of its own.
    """

    exchanges: bool

    @property
    def line(self) -> bytes:
        """See above."""

    @property
    def client_line(self) -> bytes:
        """See above."""

    @property
    def missing(self) -> str | None:
        """See above."""

    @property
    def missing_for_clients(self) -> str | None:
        """See above."""

    async def obtain(self) -> None:
        """Wait for a fetch in progress. Raises NoCredentials if it gives nothing."""

    async def settle(self) -> None:
        """Wait until a fetch in progress has ended, with or without success."""

    def refused(self, sent_at: float) -> bool:
        """A server answered 401 to a request sent at `sent_at` (monotonic seconds): whether other credentials exist
        now, or are being fetched."""
