"""The founding document's classes of errors: names in code, metrics and logs."""

from __future__ import annotations

from enum import StrEnum


class ErrorClass(StrEnum):
    """The kind of an attempt's fault."""

    RETRYABLE = "retryable"
    """The server answered with a fault of its own, or with an invalid answer."""
    NETWORK = "network"
    """No connection, or one that broke."""
    TIMEOUT = "timeout"
    """Nothing came in time."""
    THROTTLED = "throttled"
    """The server or the gateway is overloaded: 429, 503, or a full queue."""
    NON_RETRYABLE = "non_retryable"
    """Trying again cannot help: authentication, validation, a session that is gone."""
