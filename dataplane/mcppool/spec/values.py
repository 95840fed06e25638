"""Kinds of values that TOML and JSON lack: durations, sizes and ratios.

Both are strings for people (`"250ms"`, `"1h30m"`, `"4MiB"`) and plain numbers in Python: seconds and bytes. Durations
follow GEP-2257, like Kubernetes' Gateway API, in steps of one millisecond.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, GetCoreSchemaHandler, Strict, StringConstraints, ValidationInfo
from pydantic_core import PydanticCustomError, core_schema

DURATION_PATTERN = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"
SIZE_PATTERN = r"^[0-9]{1,9}(B|KiB|MiB|GiB)$"

_DURATION = re.compile(DURATION_PATTERN, re.ASCII)
_DURATION_PART = re.compile(r"([0-9]+)(ms|h|m|s)", re.ASCII)
_MILLISECONDS = {"h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_SIZE = re.compile(SIZE_PATTERN, re.ASCII)
_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}

FROM_FILE = {"from_file": True}
"""Validation context of values that a person wrote: a bare number is no duration there, because it has no unit."""


def parse_duration(text: str) -> float:
    """Seconds of a duration such as `1h30m` or `250ms`; ValueError if it is none."""
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text!r} is not a duration")
    return sum(int(number) * _MILLISECONDS[unit] for number, unit in _DURATION_PART.findall(text)) / 1000


def format_duration(seconds: float) -> str:
    """The shortest duration string of so many seconds, in whole milliseconds; the inverse of `parse_duration`."""
    rest = round(seconds * 1000)
    text = ""
    for unit, size in _MILLISECONDS.items():
        count, rest = divmod(rest, size)
        if count:
            text += f"{count}{unit}"
    return text or "0s"


def parse_size(text: str) -> int:
    """Bytes of a size such as `4MiB`; ValueError if it is none."""
    if not _SIZE.fullmatch(text):
        raise ValueError(f"{text!r} is not a size")
    number = text.rstrip("BKMGi")
    return int(number) * _BYTES[text[len(number) :]]


def format_size(size: int) -> str:
    """The size string with the largest unit that leaves a whole number; the inverse of `parse_size`."""
    unit = next(unit for unit in reversed(_BYTES) if size % _BYTES[unit] == 0) if size else "B"
    return f"{size // _BYTES[unit]}{unit}"


@dataclass(frozen=True)
class Hint:
    """The allowed values in words, where a pattern would be hard to read; with a pattern for schemas if code does the
    check."""

    text: str
    pattern: str | None = None


@dataclass(frozen=True)
class SnapshotOnly:
    """Marks a value that the operator sets in snapshots and that no person writes."""


@dataclass(frozen=True)
class OnDisk:
    """Marks the name of a file on the gateway's machine. In a resource a key of a Secret takes its place."""


@dataclass(frozen=True)
class Secret:
    """Marks a value that is never shown: not by `check`, not on `/configz`, not in a problem."""


@dataclass(frozen=True)
class DurationRule:
    """Reads a duration into seconds. `word` is a text that stands for `meaning`, as in `suspect_after = "auto"`."""

    minimum: float = 0.001
    maximum: float = 168 * 3600.0
    word: str | None = None
    meaning: float | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.with_info_plain_validator_function(
            self._read, serialization=core_schema.plain_serializer_function_ser_schema(self.write, when_used="json")
        )

    def _read(self, value: object, info: ValidationInfo) -> float | None:
        if self.word is not None and (value == self.word or (value == self.meaning and not info.context)):
            return self.meaning
        if isinstance(value, str):
            try:
                seconds = parse_duration(value)
            except ValueError:
                raise PydanticCustomError("duration", "is not a duration") from None
        elif isinstance(value, int | float) and not isinstance(value, bool):
            if info.context and info.context.get("from_file"):
                raise PydanticCustomError("duration", "is a number without a unit")
            seconds = round(float(value), 3)
        else:
            raise PydanticCustomError("duration", "is not a duration")
        if not self.minimum <= seconds <= self.maximum:
            raise PydanticCustomError("bounds", "is too short" if seconds < self.minimum else "is too long")
        return seconds

    def write(self, value: float | None) -> str | None:
        """The text of a value as a person would write it."""
        return self.word if value is None or value == self.meaning else format_duration(value)


@dataclass(frozen=True)
class CountRule:
    """Reads a whole number. `word` is a text that stands for None, as in `workers = "auto"`."""

    minimum: int
    maximum: int
    word: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.with_info_plain_validator_function(
            self._read, serialization=core_schema.plain_serializer_function_ser_schema(self.write, when_used="json")
        )

    def _read(self, value: object, info: ValidationInfo) -> int | None:
        if value == self.word or (value is None and not info.context):
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not self.minimum <= value <= self.maximum:
            raise PydanticCustomError("count", "is not allowed")
        return value

    def write(self, value: int | None) -> int | str:
        """The value as a person would write it."""
        return self.word if value is None else value


@dataclass(frozen=True)
class RatioRule:
    """Reads a share of a whole: a number from 0 to 1. A whole number is one, too."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self._read, serialization=core_schema.plain_serializer_function_ser_schema(self.write, when_used="json")
        )

    def _read(self, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise PydanticCustomError("ratio", "is not allowed")
        return float(value)

    def write(self, value: float) -> float:
        """The value as a person would write it."""
        return value


@dataclass(frozen=True)
class SizeRule:
    """Reads a size into bytes."""

    minimum: int = 1
    maximum: int = 1 << 40

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.with_info_plain_validator_function(
            self._read, serialization=core_schema.plain_serializer_function_ser_schema(format_size, when_used="json")
        )

    def _read(self, value: object, info: ValidationInfo) -> int:
        if isinstance(value, str):
            try:
                size = parse_size(value)
            except ValueError:
                raise PydanticCustomError("size", "is not a size") from None
        elif isinstance(value, int) and not isinstance(value, bool):
            if info.context and info.context.get("from_file"):
                raise PydanticCustomError("size", "is a number without a unit")
            size = value
        else:
            raise PydanticCustomError("size", "is not a size")
        if not self.minimum <= size <= self.maximum:
            raise PydanticCustomError("bounds", "is too small" if size < self.minimum else "is too large")
        return size


Integer = Annotated[int, Strict()]
"""A whole number that was written as one: not `true`, not `5.0`, not `"5"`."""

Flag = Annotated[bool, Strict()]
"""`true` or `false`, and no value that looks like one of them."""

Duration = Annotated[float, DurationRule()]
"""Seconds: more than 0, at most a week."""

Ratio = Annotated[float, RatioRule()]
"""A share of a whole, from 0 to 1."""

DurationOrZero = Annotated[float, DurationRule(minimum=0)]
"""Seconds: at most a week; zero turns the feature off."""

Size = Annotated[int, SizeRule()]
"""Bytes."""


def _has_no_nul(text: str) -> str:
    if "\0" in text:
        raise PydanticCustomError("text", "has a NUL character in it, which no program and no file accepts")
    return text


Text = Annotated[str, StringConstraints(min_length=1, max_length=1024), AfterValidator(_has_no_nul)]
"""A string that is not empty."""

Scope = Annotated[
    str,
    StringConstraints(pattern=r"^[!#-\[\]-~]+$", max_length=256),
    Hint("visible ASCII without spaces, quotes and backslashes"),
]
"""A scope of an access token (RFC 6749 §3.3). One with other characters is in no token."""

FileName = Annotated[str, StringConstraints(min_length=1, max_length=4096), AfterValidator(_has_no_nul), OnDisk()]
"""The path of a file, as the gateway sees it."""
