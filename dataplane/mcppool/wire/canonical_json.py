"""The canonical form of a JSON document (RFC 8785): equal values have equal bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import isfinite
from typing import Any, Final

_LARGEST_POINT: Final = 21  # ECMAScript writes numbers up to 10²¹ without an exponent
_SMALLEST_POINT: Final = -6

_quoted = json.JSONEncoder(ensure_ascii=False).encode


def canonical(document: bytes) -> bytes:
    """The canonical form. Raises ValueError or RecursionError for a document that has none: no JSON, a name that occurs
    twice in an object, a number that no double holds, nesting that is too deep."""
    return b"".join(_written(parsed(document)))


def parsed(document: bytes) -> Any:
    """The value of a document, with doubles for all numbers. Raises as `canonical`."""
    return json.loads(
        document, object_pairs_hook=_unique, parse_int=_number, parse_float=_number, parse_constant=_refuse
    )


def write(value: Any) -> bytes:
    """The canonical form of a value from `parsed`, or of one made of such values."""
    return b"".join(_written(value))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name stands twice in an object")
    return members


def _number(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError("a number is too large")
    return number


def _refuse(text: str) -> float:
    raise ValueError(f"{text} is no JSON")


def _written(value: Any) -> Iterator[bytes]:
    if isinstance(value, dict):
        separator = b"{"
        for name in sorted(value, key=_utf16):
            yield separator
            yield _text(name)
            yield b":"
            yield from _written(value[name])
            separator = b","
        yield b"{}" if separator == b"{" else b"}"
    elif isinstance(value, list):
        separator = b"["
        for item in value:
            yield separator
            yield from _written(item)
            separator = b","
        yield b"[]" if separator == b"[" else b"]"
    elif isinstance(value, str):
        yield _text(value)
    elif isinstance(value, float):
        yield number_text(value).encode()
    else:
        yield {True: b"true", False: b"false", None: b"null"}[value]


def _utf16(name: str) -> bytes:
    return name.encode("utf-16-be", "surrogatepass")


def _text(text: str) -> bytes:
    return _quoted(text).encode("utf-8", "surrogatepass")


def number_text(number: float) -> str:
    """A finite double as ECMAScript writes it."""
    if number == 0:
        return "0"
    sign = "-" if number < 0 else ""
    mantissa, _, exponent = repr(abs(number)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    if 0 < point <= _LARGEST_POINT:
        text = digits.ljust(point, "0")
        rest = text[point:]
        return f"{sign}{text[:point]}.{rest}" if rest else f"{sign}{text}"
    if _SMALLEST_POINT < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    rest = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{rest}e{point - 1:+d}"
