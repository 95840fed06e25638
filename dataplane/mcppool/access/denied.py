"""The reason why a request is not admitted."""

from __future__ import annotations

from typing import Literal

AuthFailure = Literal[
    "missing", "invalid", "expired", "insufficient_scope", "unavailable", "rate_limited", "proof", "nonce"
]
"""Kinds of failures to authenticate, in metrics and logs."""


class Denied(Exception):
    """A request without a principal. `detail` is for the client and the log; it contains no credential.

    `missing`: the request has no credential. `invalid` and `expired`: its credential is not valid.
    `insufficient_scope`: the principal is known, and lacks `scopes`. `unavailable`: the gateway cannot tell, because an
    authorization server does not answer. `rate_limited`: the address has failed too often. `proof`:
    the DPoP proof is not valid. `nonce`: it needs a nonce of the gateway. `retry_after` is in seconds.
    """

    def __init__(
        self, failure: AuthFailure, detail: str, *, scopes: tuple[str, ...] = (), retry_after: float | None = None
    ) -> None:
        super().__init__(detail)
        self.failure: AuthFailure = failure
        self.detail = detail
        self.scopes = scopes
        self.retry_after = retry_after
