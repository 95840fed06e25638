"""How the gateway reaches a collector of OpenTelemetry: for `audit` and `tracing`."""

from __future__ import annotations

from typing import Annotated, ClassVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from mcppool.spec.address import is_internal
from mcppool.spec.model import Requires, Rule, Section
from mcppool.spec.sections.headers import HeaderValueSpec, SentHeader
from mcppool.spec.values import DurationRule, FileName, Hint
from mcppool.spec.written_urls import ABSOLUTE_PATTERN, check_absolute_url


def _check_collector_url(url: str) -> str:
    """Refuse plain HTTP across a public network: audit lines and spans name clients."""
    check_absolute_url(url)
    parts = urlsplit(url)
    if parts.scheme != "https" and not is_internal(parts.hostname or ""):
        raise PydanticCustomError(
            "url",
            "must use https, except to a private address, or a name without a dot or in .svc, .local or .internal",
        )
    return url


CollectorUrl = Annotated[
    str,
    StringConstraints(max_length=2048),
    AfterValidator(_check_collector_url),
    Hint("a URL such as https://collector.example.com:4318, without query", ABSOLUTE_PATTERN),
]


class CollectorAccess(Section):
    """Headers, time-out and TLS of the requests to a collector."""

    rules: ClassVar[tuple[Rule, ...]] = (Requires("key_file", "certificate_file"),)

    headers: dict[SentHeader, HeaderValueSpec] = Field(
        {}, max_length=32, description="Headers of each request to the collector, such as `Authorization`."
    )
    timeout: Annotated[float, DurationRule(minimum=0.1, maximum=300.0)] = Field(
        10.0, description="Upper bound on each wait for the collector."
    )
    ca_file: FileName | None = Field(
        None, description="File with the certificate authorities to trust for the collector, in place of the system's."
    )
    certificate_file: FileName | None = Field(
        None, description="File with the gateway's own certificate for the collector."
    )
    key_file: FileName | None = Field(None, description="File with its private key.")
