"""The founding document's classes of errors: names in code, metrics and logs."""

from __future__ import annotations

from enum import StrEnum


class ErrorClass(StrEnum):
    """The kind of an attempt's fault."""

    RETRYABLE = "retryable"
    """The server answered with a fault of its own, or with an invalid answer."""
    NETWORK = "network"
    """No connection, or a broken one."""
    TIMEOUT = "timeout"
    """No answer in time."""
    THROTTLED = "throttled"
    """The server or the gateway is overloaded: 429, 503, or a full queue."""
    NON_RETRYABLE = "non_retryable"
    """A retry cannot help: authentication, validation, a lost session."""
