"""Names and labels in the forms that Kubernetes allows."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

from mcppool.spec.values import Hint

LabelKey = Annotated[
    str,
    StringConstraints(
        pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$", max_length=317
    ),
    Hint("the key of a label, such as team or example.com/team"),
]
LabelValue = Annotated[
    str,
    StringConstraints(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$", max_length=63),
    Hint("the value of a label: at most 63 letters, digits and inner - _ ."),
]
DnsLabel = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63), Hint("a DNS label")
]
DnsName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253), Hint("a DNS name")
]
