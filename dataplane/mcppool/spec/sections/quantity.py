"""Quantities of resources in Kubernetes' notation, such as `100m` and `128Mi`."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Final

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from mcppool.spec.shape import Kinded
from mcppool.spec.values import Hint

QUANTITY_PATTERN: Final = (
    r"^(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
)
_QUANTITY = re.compile(QUANTITY_PATTERN, re.ASCII)
_PARTS = re.compile(r"([+-]?[0-9.]+)(?:([KMGTPE]i|[numkMGTPE])|[eE]([+-]?[0-9]+))?", re.ASCII)
_FACTORS: Final = {
    **{unit: Decimal(10) ** power for unit, power in zip("numkMGTPE", (-9, -6, -3, 3, 6, 9, 12, 15, 18), strict=True)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", 1)},
}


def _quantity(value: object) -> object:
    if (isinstance(value, int) and not isinstance(value, bool)) or (
        isinstance(value, str) and len(value) <= 32 and _QUANTITY.fullmatch(value)
    ):
        return value
    raise PydanticCustomError("quantity", "is not a quantity")


Quantity = Annotated[
    int | str, BeforeValidator(_quantity), Kinded("quantity"), Hint("a quantity such as 100m or 128Mi")
]


def amount(quantity: int | str) -> Decimal:
    """The number of a quantity: `100m` is 0.1, `1Ki` is 1024. ValueError if it is none."""
    if isinstance(quantity, int):
        return Decimal(quantity)
    parts = _PARTS.fullmatch(quantity)
    if parts is None:
        raise ValueError(f"{quantity!r} is not a quantity")
    number, unit, exponent = parts.groups()
    return Decimal(number) * (_FACTORS[unit] if unit else Decimal(10) ** int(exponent or 0))
