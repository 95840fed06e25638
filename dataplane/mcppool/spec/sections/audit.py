"""`audit`: a record of who called which tool, and of what was refused."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from mcppool.spec.model import Needs, Rule, Section
from mcppool.spec.values import Flag, Hint, Integer, SizeRule, Text

AuditFile = Annotated[
    str,
    StringConstraints(min_length=1, max_length=4096, pattern=r"^[^\x00]*[^/\x00]$"),
    Hint("the name of a file in a folder to which the gateway may write"),
]


class AuditSpec(Section):
    """The audit log: one JSON line for each call of a tool and for each refusal."""

    rules: ClassVar[tuple[Rule, ...]] = (Needs("file", "file"),)

    type: Literal["none", "file", "stdout"] = Field("none", description="Where the audit log goes.")
    file: AuditFile | None = Field(None, description="File for type file.")
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
        description="What happens when the buffer is full. `drop`: lines are dropped and counted. `refuse`: calls of "
        "tools are refused until lines can be written again.",
    )
