"""From raw data, as parsed from TOML or JSON, to a model: every problem at once, each at its place.

The reader goes through the data along the model's shape, converts the source's spelling into ours, and finds unknown
keys; pydantic then judges the values. Places are tuples of our own names (`("pools", 0, "timeouts")`) until a problem
is shown.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final, Generic, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from mcppool.spec.availability import available
from mcppool.spec.model import Refused, Section
from mcppool.spec.naming import RESOURCE, Spelling
from mcppool.spec.problems import Problem, show
from mcppool.spec.redaction import HIDDEN
from mcppool.spec.secret_refs import SecretKey, key_in, written_in
from mcppool.spec.sections.secret_ref import SecretRefSpec
from mcppool.spec.shape import FieldShape, Shape, allowed, fields_of
from mcppool.spec.values import FROM_FILE

FEW_KEYS: Final = 16
"""Largest number of known keys that the problem of an unknown key lists: that of the largest section."""


@dataclass(frozen=True)
class Unknown:
    """An unknown key, as its author wrote it."""

    key: str

    def __str__(self) -> str:
        return self.key


Place = tuple[str | int | Unknown, ...]
M = TypeVar("M", bound=BaseModel)
_ROUNDS: Final = 4
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_NOTHING: Final = object()


@dataclass(frozen=True)
class Finding:
    """A problem whose place is not yet written in the spelling of the source."""

    place: Place
    message: str
    value: object = None
    allowed: str | None = None
    others: tuple[Place, ...] = ()
    """Further places of a contradiction."""

    def at(
        self, model: type[BaseModel], spelling: Spelling, source: str, line: int | None = None, prefix: str = ""
    ) -> Problem:
        """The problem in the spelling of `source`, which holds a `model`."""
        path = write_place(self.place, model, spelling, prefix)
        return Problem(path, self.message, self.value, self.allowed, line, source)


def write_place(place: Place, model: type[BaseModel], spelling: Spelling, prefix: str = "") -> str:
    """`pools[0].retry_policy.strategy`, in the source's spelling. Names that hold dots or blanks are quoted."""
    text = prefix
    shape: Shape | None = Shape("section", model=model)
    for part in place:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            field = _field_at(shape, part)
            name = key_in(field, spelling) if field else _spelled(shape, part, spelling)
            name = name if _PLAIN_NAME.fullmatch(name) else show(name)
            text += f".{name}" if text else name
        shape = shape_at(shape, (part,))
    return text


def _field_at(shape: Shape | None, part: str | int | Unknown) -> FieldShape | None:
    if shape is None or shape.kind != "section" or shape.model is None or not isinstance(part, str):
        return None
    return fields_of(shape.model).get(part)


def _spelled(shape: Shape | None, part: str | Unknown, spelling: Spelling) -> str:
    ours = shape is not None and shape.kind == "section" and isinstance(part, str)
    return spelling.key(str(part)) if ours else str(part)


class Reader(Generic[M]):
    """Reads one model from raw data. Strict: unknown keys are problems. Lenient: they are left out and counted."""

    def __init__(self, model: type[M], spelling: Spelling, *, lenient: bool = False) -> None:
        self.model = model
        self.findings: list[Finding] = []
        self.unknown_fields = 0
        self._spelling = spelling
        self._lenient = lenient

    def read(self, data: Mapping[str, Any]) -> M | None:
        """The model, or None if there are mistakes, which `findings` lists."""
        return self.validate(self.conform(data))

    def conform(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """The data in the models' spelling, without unknown keys."""
        conformed: dict[str, Any] = self._conform(Shape("section", model=self.model), dict(data), ())
        return conformed

    def validate(self, data: Mapping[str, Any]) -> M | None:
        """The model from conformed data."""
        rest: dict[str, Any] = dict(data)
        # A section with a bad value is not checked for contradictions. So bad values are removed and the rest is judged
        # again, until there is nothing new; rules are few, so a few rounds suffice.
        for _ in range(_ROUNDS):
            try:
                model = self.model.model_validate(rest, context=FROM_FILE)
            except ValidationError as error:
                known = [finding.place for finding in self.findings]
                new = findings_of(error, self.model, self._spelling, known)
                self.findings += new
                places = [place for finding in new for place in (finding.place, *finding.others)]
                taken_out = [_take_out(rest, place) for place in places]
                if not any(taken_out):
                    return None
            else:
                return None if self.findings else model
        return None

    def drop(self, place: Place) -> None:
        """Forget the findings at a place and below, because a more important one replaces them."""
        self.findings = [finding for finding in self.findings if finding.place[: len(place)] != place]

    def _conform(self, shape: Shape, data: Any, place: Place) -> Any:
        if shape.kind == "section" and isinstance(data, dict):
            assert shape.model is not None
            return self._conform_section(shape.model, data, place)
        if shape.kind == "map" and isinstance(data, dict) and shape.item:
            return {key: self._conform(shape.item, value, (*place, key)) for key, value in data.items()}
        if shape.kind == "list" and isinstance(data, list) and shape.item:
            return tuple(self._conform(shape.item, value, (*place, index)) for index, value in enumerate(data))
        if shape.kind == "choice" and isinstance(data, str):
            ours = {self._spelling.value(choice): choice for choice in shape.choices}
            if data not in ours:
                message = f"{show(data)} is not allowed"
                words = allowed(shape if self._lenient else _in_this_version(shape, self.model, place), self._spelling)
                self.findings.append(Finding(place, message, data, words))
            return ours.get(data, data)
        return data

    def _conform_section(self, model: type[BaseModel], data: dict[str, Any], place: Place) -> dict[str, Any]:
        known = _keys(model, self._spelling, self._lenient)
        conformed = {}
        for key, value in data.items():
            if field := known.get(key):
                inner = (*place, field.name)
                found = self._conform(written_in(field, self._spelling).shape, value, inner)
                if field.shape.file and not self._spelling.files:
                    found = self._mounted(found, inner)
                conformed[field.name] = found
            elif self._lenient and not (issubclass(model, Section) and model.whole):
                self.unknown_fields += 1
            elif refused := _refused(model, key, self._spelling):
                self.findings.append(Finding((*place, Unknown(key)), f"cannot be set: {refused.why}", value))
            else:
                message = f"unknown key {show(key)}{_guess(key, known, self._spelling)}"
                self.findings.append(Finding((*place, Unknown(key)), message, value))
        return conformed

    def _mounted(self, reference: Any, place: Place) -> str:
        """The mounted file of a reference to a key of a Secret; some file if the reference is invalid."""
        try:
            read = SecretRefSpec.model_validate(reference)
        except ValidationError as error:
            known = [finding.place[len(place) :] for finding in self.findings if finding.place[: len(place)] == place]
            found = findings_of(error, SecretRefSpec, self._spelling, known)
            self.findings += [replace(finding, place=(*place, *finding.place)) for finding in found]
            return "/"
        return SecretKey(read.name, read.key).path


def _refused(model: type[BaseModel], key: str, spelling: Spelling) -> Refused | None:
    return model.refused.get(key) if spelling is RESOURCE and issubclass(model, Section) else None


@cache
def _keys(model: type[BaseModel], spelling: Spelling, in_snapshot: bool) -> Mapping[str, FieldShape]:
    """The keys of a section in the spelling of one kind of source."""
    fields = fields_of(model).values()
    return {key_in(field, spelling): field for field in fields if in_snapshot or not field.snapshot_only}


def _guess(key: str, known: Mapping[str, FieldShape], spelling: Spelling) -> str:
    """`; did you mean "…"?` if a known key is near, else the known keys if they are few."""
    for reference, field in known.items():
        if key in (field.name, spelling.key(field.name)) and field.shape.file:
            return f'; a resource names no files: use "{reference}"'
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.6) or [
        name for name in known if _bare(name) == _bare(key)
    ]
    if near:
        return f'; did you mean "{near[0]}"?'
    return f"; known keys: {', '.join(known)}" if len(known) <= FEW_KEYS else ""


def _bare(key: str) -> str:
    return key.replace("_", "").replace("-", "").lower()


def findings_of(
    error: ValidationError, model: type[BaseModel], spelling: Spelling, known: list[Place]
) -> list[Finding]:
    """The errors of pydantic, in plain words. Places in `known` have findings already."""
    found = []
    for details in error.errors(include_url=False):
        place = tuple(part for part in details["loc"] if part != "[key]")
        finding = _finding(place, details, model, spelling)
        if _follows_from_refused_items(details, error):
            continue
        if not any(finding.place[: len(other)] == other for other in known):
            found.append(finding)
    return found


def _follows_from_refused_items(details: ErrorDetails, error: ValidationError) -> bool:
    """Whether a list has too few items only because others of its items are refused, each with its own error."""
    place = details["loc"]
    return details["type"] == "too_short" and any(
        len(other["loc"]) > len(place) and other["loc"][: len(place)] == place
        for other in error.errors(include_url=False, include_context=False, include_input=False)
    )


def _finding(place: Place, details: ErrorDetails, model: type[BaseModel], spelling: Spelling) -> Finding:
    kind, value, context = details["type"], details["input"], details.get("ctx", {})
    if kind == "contradiction":
        fields, texts = context["fields"], dict(context["texts"])
        if "tag" in texts:
            texts["tag"] = spelling.value(texts["tag"])
        message = context["template"].format(*map(spelling.key, fields), **texts)
        first, *others = ((*place, *_parts(name)) for name in fields)
        shape = shape_at(Shape("section", model=model), first)
        shown = HIDDEN if shape is not None and _holds_secrets(shape) else _value_at(value, _parts(fields[0]))
        return Finding(first, message, shown, others=tuple(others))
    shape = shape_at(Shape("section", model=model), place)
    words = allowed(_in_this_version(shape, model, place), spelling) if shape else None
    if shape is not None and isinstance(value, str | list | dict) and _holds_secrets(shape):
        value = HIDDEN
    if details["loc"][-1:] == ("[key]",):
        around = shape_at(Shape("section", model=model), place[:-1])
        hint = around.key.hint if around is not None and around.key is not None else None
        why = details["msg"] if kind == "header" else "is not a possible name"
        return Finding(place, f"{show(place[-1])} {why}", place[-1], hint)
    if kind == "missing":
        return Finding(place, "is missing", None, words)
    if kind in ("duration", "size", "bounds", "url", "header", "address", "pin", "port", "quantity", "text"):
        return Finding(place, f"{show(value)} {details['msg']}", value, words)
    return Finding(place, f"{show(value)} is not allowed", value, words)


def _holds_secrets(shape: Shape) -> bool:
    """Whether the expected value is a secret, or has secrets in it: then the actual value may be one, too."""
    if shape.secret or (shape.item is not None and _holds_secrets(shape.item)):
        return True
    return shape.model is not None and any(_holds_secrets(field.shape) for field in fields_of(shape.model).values())


def _take_out(data: Any, place: Place) -> bool:
    """Remove a key from nested tables (copied on the way, because they belong to the caller); False if it is absent."""
    *path, last = place
    for part in path:
        if not isinstance(data, dict) or not isinstance(data.get(part), dict):
            return False
        data[part] = dict(data[part])
        data = data[part]
    return isinstance(data, dict) and data.pop(last, _NOTHING) is not _NOTHING


def _parts(dotted: str) -> Place:
    return tuple(int(part) if part.isdigit() else part for part in dotted.split("."))


def _value_at(value: Any, place: Place) -> object:
    for part in place:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _in_this_version(shape: Shape, model: type[BaseModel], place: Place) -> Shape:
    """The shape without the choices of later versions."""
    if shape.kind != "choice":
        return shape
    path, around = "", Shape("section", model=model)
    for part in place:
        if around.kind == "section":
            path = "" if part == "pools" else f"{path}.{part}".lstrip(".")
        around = shape_at(around, (part,)) or around
    return replace(shape, choices=available(path, shape.choices))


def shape_at(shape: Shape | None, place: Place) -> Shape | None:
    """The shape at a place below `shape`; None if the models have nothing there."""
    for part in place:
        if shape is None:
            return None
        if shape.kind == "section" and shape.model is not None:
            field = fields_of(shape.model).get(str(part))
            shape = field.shape if field else None
        else:
            shape = shape.item
    return shape
