"""`resources`: CPU and memory of a container."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from mcppool.spec.model import Check, Rule, Section
from mcppool.spec.sections.quantity import Quantity, amount
from mcppool.spec.values import Hint

ResourceName = Annotated[
    str, StringConstraints(pattern=r"^(cpu|memory|ephemeral-storage)$"), Hint("cpu, memory or ephemeral-storage")
]


class ResourcesSpec(Section):
    """corev1.ResourceRequirements of a container."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Check(
            "!has(self.requests) || !has(self.limits) || self.requests.all(name, !(name in self.limits) || "
            "quantity(string(self.requests[name])).compareTo(quantity(string(self.limits[name]))) <= 0)",
            "a request must not exceed the limit of the same name",
            lambda model: all(
                amount(value) <= amount(model.limits[name])
                for name, value in model.requests.items()
                if name in model.limits
            ),
            "requests",
        ),
    )

    requests: dict[ResourceName, Quantity] = Field({}, max_length=3, description="Reserved resources.")
    limits: dict[ResourceName, Quantity] = Field({}, max_length=3, description="Upper bounds.")
