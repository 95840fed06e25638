"""What every part of a configuration is made of: a frozen model, and rules between its values.

A rule is declared once (`rules = (NotMore("min_connections", "max_connections"),)`) and holds everywhere: pydantic checks it when a
configuration is read, and the generator of the CRD writes it as a CEL rule for the API server.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError


class Rule(Protocol):
    """Something that must hold between the values of one model."""

    def check(self, model: BaseModel) -> None:
        """Raise `contradiction(...)` where it does not hold."""

    def cel(
        self, name: Callable[[str], str], value: Callable[[str], str], durations: frozenset[str]
    ) -> tuple[str, str]:
        """The same as a CEL expression over `self`, and its message; `name` and `value` put into camel case."""


def contradiction(message: str, *fields: str) -> PydanticCustomError:
    """An error that concerns several values: it is shown at the first of `fields` that the user wrote, else at the first."""
    return PydanticCustomError("contradiction", "{message}", {"message": message, "fields": list(fields)})


@dataclass(frozen=True)
class NotMore:
    """`small` must not exceed `large`."""

    small: str
    large: str

    def check(self, model: BaseModel) -> None:
        """See `Rule.check`."""
        small, large = getattr(model, self.small), getattr(model, self.large)
        if small is not None and large is not None and small > large:
            raise contradiction(f"{self.small} must not exceed {self.large}", self.small, self.large)

    def cel(
        self, name: Callable[[str], str], value: Callable[[str], str], durations: frozenset[str]
    ) -> tuple[str, str]:
        """See `Rule.cel`."""
        small, large = name(self.small), name(self.large)
        left, right = f"self.{small}", f"self.{large}"
        if self.small in durations:
            left, right = f"duration({left})", f"duration({right})"
        return f"!has(self.{small}) || !has(self.{large}) || {left} <= {right}", f"{small} must not exceed {large}"


@dataclass(frozen=True)
class Member:
    """A union: the part called `member` is there if, and only if, `type` has this `tag`."""

    tag: str
    member: str

    def check(self, model: BaseModel) -> None:
        """See `Rule.check`."""
        chosen = getattr(model, "type") == self.tag  # noqa: B009 (the protocol of unions, not an attribute of every model)
        if chosen != (getattr(model, self.member) is not None):
            verb = "must be set" if chosen else "may only be set"
            raise contradiction(f"{self.member} {verb} when type is {self.tag}", self.member)

    def cel(
        self, name: Callable[[str], str], value: Callable[[str], str], durations: frozenset[str]
    ) -> tuple[str, str]:
        """See `Rule.cel`."""
        tag, member = value(self.tag), name(self.member)
        # Written so that it also holds for an object whose own defaults are not filled in yet.
        rule = f"!has(self.type) || (self.type == '{tag}' ? has(self.{member}) : !has(self.{member}))"
        return rule, f"{member} must be set if and only if type is {tag}"


@dataclass(frozen=True)
class Exclusive:
    """At most one of these may be set."""

    fields: tuple[str, ...]

    def check(self, model: BaseModel) -> None:
        """See `Rule.check`."""
        given = [field for field in self.fields if getattr(model, field)]
        if len(given) > 1:
            raise contradiction(f"{' and '.join(given)} exclude each other: give one", *reversed(given))

    def cel(
        self, name: Callable[[str], str], value: Callable[[str], str], durations: frozenset[str]
    ) -> tuple[str, str]:
        """See `Rule.cel`."""
        count = " + ".join(f"(has(self.{name(field)}) ? 1 : 0)" for field in self.fields)
        return f"{count} <= 1", f"{', '.join(map(name, self.fields))} exclude each other"


@dataclass(frozen=True)
class Immutable:
    """May not be changed once it is set; only the API server, which knows the old value, can see to that."""

    field: str

    def check(self, model: BaseModel) -> None:
        """See `Rule.check`."""

    def cel(
        self, name: Callable[[str], str], value: Callable[[str], str], durations: frozenset[str]
    ) -> tuple[str, str]:
        """See `Rule.cel`."""
        field = name(self.field)
        return f"self.{field} == oldSelf.{field}", f"{field} is immutable; create a new pool instead"


class Section(BaseModel):
    """A frozen part of the configuration that knows no key beyond its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)

    rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="after")
    def _keep_rules(self) -> Self:
        for rule in type(self).rules:
            rule.check(self)
        return self

    def written(self) -> dict[str, Any]:
        """The values as they stand in a file: durations and sizes as strings."""
        return self.model_dump(mode="json")
