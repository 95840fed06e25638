"""Base of every section of a configuration: a frozen model, and rules between its values.

A rule is declared once (`rules = (NotMore("min_connections", "max_connections"),)`) and applies everywhere: pydantic
checks it when a configuration is read, and the generator of the CRD writes it as a CEL rule for the API server.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError


def contradiction(template: str, *fields: str, **texts: str) -> PydanticCustomError:
    """An error about several values; it is shown at the first of `fields` that the author wrote.

    `{0}`, `{1}` in the template are the names of the fields in the author's spelling, `{name}` is one of `texts`.
    """
    return PydanticCustomError("contradiction", "{template}", {"template": template, "fields": fields, "texts": texts})


@dataclass(frozen=True)
class NotMore:
    """`small` must not exceed `large`."""

    small: str
    large: str

    def check(self, model: Section) -> None:
        """Raise a contradiction if it does not hold."""
        small, large = getattr(model, self.small), getattr(model, self.large)
        if small is not None and large is not None and small > large:
            written = model.written()
            low, high = str(written[self.small]), str(written[self.large])
            raise contradiction("{0} ({low}) must not exceed {1} ({high})", self.small, self.large, low=low, high=high)


@dataclass(frozen=True)
class Member:
    """A union: the part called `member` is present if, and only if, `type` has this `tag`."""

    tag: str
    member: str

    def check(self, model: Section) -> None:
        """Raise a contradiction if it does not hold."""
        chosen = vars(model)["type"] == self.tag
        if chosen != (getattr(model, self.member) is not None):
            verb = "must be set if" if chosen else "may be set only if"
            raise contradiction(f"{{0}} {verb} type is {{tag}}", self.member, tag=self.tag)


@dataclass(frozen=True)
class Needs:
    """If `type` has this `tag`, `member` must be present; otherwise it may be present, and is ignored."""

    tag: str
    member: str

    def check(self, model: Section) -> None:
        """Raise a contradiction if it does not hold."""
        if vars(model)["type"] == self.tag and getattr(model, self.member) is None:
            raise contradiction("{0} must be set if type is {tag}", self.member, tag=self.tag)


@dataclass(frozen=True)
class Requires:
    """If `field` is set, `other` must be set: without it, `field` has no effect."""

    field: str
    other: str

    def check(self, model: Section) -> None:
        """Raise a contradiction if it does not hold."""
        if getattr(model, self.field) not in (None, ()) and getattr(model, self.other) is None:
            raise contradiction("{0} has no effect without {1}", self.field, self.other)


@dataclass(frozen=True)
class NeedsElsewhere:
    """If the `field` of one part has this `tag`, the `member` of another part must be present."""

    part: str
    field: str
    tag: str
    other: str
    member: str

    def check(self, model: Section) -> None:
        """Raise a contradiction if it does not hold."""
        if getattr(getattr(model, self.part), self.field) != self.tag:
            return
        if getattr(getattr(model, self.other), self.member) is None:
            needed = f"{self.other}.{self.member}"
            raise contradiction("is {tag}, but {1} is not set", f"{self.part}.{self.field}", needed, tag=self.tag)


@dataclass(frozen=True)
class Exclusive:
    """At most one of these may be given."""

    fields: tuple[str, ...]

    def check(self, model: Section) -> None:
        """Raise a contradiction if it does not hold."""
        given = [field for field in self.fields if getattr(model, field) not in (None, (), {})]
        if len(given) > 1:
            raise contradiction("{0} and {1} exclude each other", *reversed(given))


@dataclass(frozen=True)
class Excludes:
    """If `field` is set, the text of `other` must not match `pattern` (RE2); `because` gives the reason."""

    field: str
    other: str
    pattern: str
    because: str

    def check(self, model: Section) -> None:
        """Raise a contradiction if it does not hold."""
        text = getattr(model, self.other)
        if getattr(model, self.field) is None or text is None:
            return
        if (found := re.search(self.pattern, text)) is not None:
            raise contradiction(
                "{0} excludes {text} in {1}: {because}", self.field, self.other, text=found[0], because=self.because
            )


@dataclass(frozen=True)
class Incompatible:
    """These values, by their dotted keys, do not go together; `because` gives the reason."""

    values: tuple[tuple[str, str], ...]
    because: str

    def check(self, model: Section) -> None:
        """Raise a contradiction if all of them are set."""
        if all(attrgetter(key)(model) == value for key, value in self.values):
            keys = [key for key, _ in self.values]
            raise contradiction(
                "{0} cannot be {value}: {because}", *keys, value=self.values[0][1], because=self.because
            )


@dataclass(frozen=True)
class OneOf:
    """Exactly one of these must be given."""

    fields: tuple[str, ...]

    def check(self, model: Section) -> None:
        """Raise a contradiction if it does not hold."""
        if sum(getattr(model, field) is not None for field in self.fields) != 1:
            names = ", ".join(f"{{{number}}}" for number in range(len(self.fields)))
            raise contradiction(f"exactly one of {names} must be set", *self.fields)


@dataclass(frozen=True)
class Reserved:
    """A string, or the keys of a map, that must not begin with any of these, nor be one of `names`; `why` gives the
    reason."""

    field: str
    prefixes: tuple[str, ...]
    why: str
    names: tuple[str, ...] = ()

    def check(self, model: Section) -> None:
        """Raise a contradiction if it does not hold."""
        value = getattr(model, self.field)
        for text in (value,) if isinstance(value, str) else value:
            if text in self.names or text.startswith(self.prefixes):
                raise contradiction('"{text}" is reserved: {why}', self.field, text=text, why=self.why)


@dataclass(frozen=True)
class Refers:
    """The names in a list in a list (`names`: `containers.volume_mounts.name`) are names in another (`to`)."""

    names: tuple[str, str, str]
    to: tuple[str, str]

    def check(self, model: Section) -> None:
        """Raise a contradiction if it does not hold."""
        outer, inner, name = self.names
        known = {getattr(entry, self.to[1]) for entry in getattr(model, self.to[0])}
        for entry in getattr(model, outer):
            for reference in getattr(entry, inner):
                if (text := getattr(reference, name)) not in known:
                    raise contradiction('"{text}" is not one of {1}', outer, self.to[0], text=text)


@dataclass(frozen=True)
class Check:
    """Any other requirement of a section: as CEL for the API server, and as `holds` here; `message` states it.

    Names in the message have the spelling of the resource, so only sections that exist in resources alone use it.
    """

    cel: str
    message: str
    holds: Callable[[Any], bool]
    at: str

    def check(self, model: Section) -> None:
        """Raise a contradiction if it does not hold."""
        if not self.holds(model):
            raise contradiction("{text}", self.at, text=self.message)


Rule = (
    NotMore
    | Member
    | Needs
    | Requires
    | NeedsElsewhere
    | Exclusive
    | Excludes
    | Incompatible
    | OneOf
    | Reserved
    | Refers
    | Check
)


@dataclass(frozen=True)
class Refused:
    """A key of the Kubernetes object that is refused by name rather than dropped: its type, and the reason.

    The type is JSON's; `array` is one of objects, `strings` one of strings.
    """

    type: str
    why: str


class Section(BaseModel):
    """A frozen part of the configuration that allows no key beyond its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)

    rules: ClassVar[tuple[Rule, ...]] = ()
    short_form: ClassVar[str | None] = None
    """In words, the value that a file may have in place of the table."""
    list_key: ClassVar[str | None] = None
    """The key that identifies the items of a list of this section; None if such a list is one value."""
    whole: ClassVar[bool] = False
    """Whether a snapshot with an unknown key in this section is refused: without a condition that it does not know, a
    gateway would allow more."""
    refused: ClassVar[Mapping[str, Refused]] = {}
    """Keys, in the spelling of the resource, that are refused by name."""
    corev1: ClassVar[str | None] = None
    """The Kubernetes type that this section equals, field by field, where its documentation serves readers better."""

    @model_validator(mode="after")
    def _keep_rules(self) -> Self:
        for rule in type(self).rules:
            rule.check(self)
        for name, value in self:
            if isinstance(value, tuple):
                _distinct(name, value)
        return self

    def written(self) -> dict[str, Any]:
        """The values as they stand in a file: durations and sizes as strings."""
        return self.model_dump(mode="json")


def _distinct(field: str, items: tuple[Any, ...]) -> None:
    """Refuse items of a list that cannot be told apart."""
    seen: set[object] = set()
    for index, item in enumerate(items):
        key = getattr(item, "list_key", None)
        if key is None:
            return
        name = getattr(item, key)
        if name in seen:
            raise contradiction("{text} is listed twice", f"{field}.{index}", text=str(name))
        seen.add(name)
