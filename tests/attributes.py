"""The attributes of a class of slots, which a compiled class has, too, but names elsewhere."""

from __future__ import annotations


def attributes_of(cls: type) -> set[str]:
    """Names of the attributes of the class's own instances."""
    names: tuple[str, ...] = cls.__dict__.get("__mypyc_attrs__") or cls.__dict__["__slots__"]
    return set(names)
