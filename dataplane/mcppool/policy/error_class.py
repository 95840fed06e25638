"""The founding document's classes of errors: names in code, metrics and logs."""

from __future__ import annotations

from enum import StrEnum


class ErrorClass(StrEnum):
    """What kind of fault an attempt met."""

    RETRYABLE = "retryable"
    """The server answered with a fault of its own, or with something that is no answer."""
    NETWORK = "network"
    """No connection, or one that broke."""
    TIMEOUT = "timeout"
    """Nothing came in time."""
    THROTTLED = "throttled"
    """The server asks for less: 429, 503, or a full queue of ours."""
    NON_RETRYABLE = "non_retryable"
    """Trying again cannot help: authentication, validation, a session that is gone."""
