"""`audit`: a record of the calls of tools and of the refusals, with their principals."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints

from mcppool.spec.model import Member, Needs, Rule, Section
from mcppool.spec.sections.collector import CollectorAccess, CollectorUrl
from mcppool.spec.values import Flag, Hint, Integer, SizeRule, Text

AuditFile = Annotated[
    str,
    StringConstraints(min_length=1, max_length=4096, pattern=r"^[^\x00]*[^/\x00]$"),
    Hint("the name of a file in a folder that the gateway may write to"),
]

LOGS_PATH: Final = "/v1/logs"
"""The path at which collectors take logs, by OTLP's specification."""


class OtlpSpec(CollectorAccess):
    """A collector of OpenTelemetry that takes the lines as logs, by OTLP over HTTP."""

    url: CollectorUrl = Field(description="URL of the collector. Without a path, `/v1/logs` is added.")

    @property
    def logs_url(self) -> str:
        """The URL that logs are sent to."""
        return self.url.rstrip("/") + LOGS_PATH if urlsplit(self.url).path in ("", "/") else self.url


class AuditSpec(Section):
    """The audit log: one JSON line for each call of a tool and for each refusal."""

    rules: ClassVar[tuple[Rule, ...]] = (Needs("file", "file"), Member("otlp", "otlp"))

    type: Literal["none", "file", "stdout", "otlp"] = Field("none", description="Where the audit log goes.")
    file: AuditFile | None = Field(None, description="File for type file.")
    otlp: OtlpSpec | None = Field(None, description="For type otlp.")
    max_size: Annotated[int, SizeRule(minimum=1 << 16)] = Field(
        100 << 20, description="Size at which the file is renamed to `FILE.1` and a new one is begun."
    )
    keep: Integer = Field(5, ge=1, le=1000, description="Number of renamed files that are kept.")
    arguments: Flag = Field(False, description="Write the arguments of calls, up to 8 KiB of each call.")
    redact: tuple[Text, ...] = Field(
        ("*password*", "*secret*", "*token*", "*key*", "*credential*", "authorization"),
        max_length=64,
        description="Names of arguments, at any depth, whose values are not written. `*` stands for any text; case "
        "does not matter.",
    )
    buffer: Annotated[int, SizeRule(minimum=1 << 16, maximum=1 << 30)] = Field(
        4 << 20, description="Bytes of lines that wait to be written, for all pools that share the log."
    )
    overflow: Literal["drop", "refuse"] = Field(
        "drop",
        description="Reaction to a full buffer. `drop`: lines are dropped and counted. `refuse`: calls of "
        "tools are refused until lines can be written again.",
    )
